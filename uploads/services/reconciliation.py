"""Whether the sums of drives agree with their files and uploads; wrong sums are corrected."""

import logging
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import F, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from drives.models import Drive, DriveQuerySet, File
from uploads.models import TaskFile, UploadTask

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drift:
    """The sums of a drive as they were and as they must be, in bytes."""

    drive_id: UUID
    used: int
    true_used: int
    reserved: int
    true_reserved: int


def with_true_sums() -> DriveQuerySet:
    """Drives with `true_used`, the bytes of their living files, and `true_reserved`, of what open uploads still owe."""
    files = File.objects.living().filter(drive=OuterRef("pk")).order_by().values("drive")
    owed = (
        TaskFile.objects.filter(task__drive=OuterRef("pk"), task__status__in=UploadTask.OPEN_STATUSES)
        .exclude(status__in=TaskFile.LANDED_STATUSES)
        .order_by()
        .values("task__drive")
    )
    return Drive.objects.annotate(
        true_used=Coalesce(Subquery(files.values(total=Sum("size"))), 0),
        true_reserved=Coalesce(Subquery(owed.values(total=Sum("file_size"))), 0),
    )


def reconcile_quota() -> list[Drift]:
    """Correct the sums of drives that are wrong; each is logged as an error of ours."""
    drifted = with_true_sums().exclude(used_size=F("true_used"), reserved_size=F("true_reserved"))
    found = (mend(pk) for pk in list(drifted.order_by("pk").values_list("pk", flat=True)))
    return [drift for drift in found if drift]


def mend(drive_id: UUID) -> Drift | None:
    """Correct the sums of a drive; None where they are right.

    Whoever changes a sum holds the drive's row until the files that it counts are committed. So the row is locked
    first, and the files are counted by a later statement: a count without the lock might miss an upload that is
    landing.
    """
    with transaction.atomic():
        Drive.objects.select_for_update(of=("self",), no_key=True).filter(pk=drive_id).first()
        drive = with_true_sums().filter(pk=drive_id).values(*FIELDS).first()
        if drive is None or (drive["used_size"], drive["reserved_size"]) == (
            drive["true_used"],
            drive["true_reserved"],
        ):
            return None
        Drive.objects.filter(pk=drive_id).update(
            used_size=drive["true_used"], reserved_size=drive["true_reserved"], updated_at=timezone.now()
        )
    drift = Drift(drive_id, *(drive[name] for name in FIELDS))
    logger.error("The sums of a drive had drifted and were mended: %s", drift)
    return drift


FIELDS = ("used_size", "true_used", "reserved_size", "true_reserved")
