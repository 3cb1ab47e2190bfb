"""How full drives are, day by day."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.db.models import OuterRef, Subquery

from billing.models import MembershipPlan
from drives.models import Drive, DriveUsageSample

BATCH = 1000


def sample_usage(*, now: datetime) -> int:
    """One sample for every drive and day (UTC); a second run on the same day replaces it. Returns how many drives."""
    day, count = now.astimezone(UTC).date(), 0
    counted: Any = Drive.objects.with_file_count()  # mypy does not see the annotation in values_list()
    plan = MembershipPlan.objects.filter(level=OuterRef("user__member_level")).values("storage_size")
    figures = counted.annotate(plan_size=Subquery(plan)).values_list(
        "pk", "used_size", "reserved_size", "file_count", "plan_size"
    )
    rows = figures.order_by("pk").iterator(BATCH)
    while batch := list(islice(rows, BATCH)):
        samples = [
            DriveUsageSample(
                drive_id=pk,
                sample_date=day,
                used_size=used,
                reserved_size=reserved,
                file_count=files,
                plan_size=plan_size,
            )
            for pk, used, reserved, files, plan_size in batch
        ]
        DriveUsageSample.objects.bulk_create(
            samples,
            update_conflicts=True,
            unique_fields=["drive", "sample_date"],
            update_fields=["used_size", "reserved_size", "file_count", "plan_size", "updated_at"],
        )
        count += len(samples)
    return count
