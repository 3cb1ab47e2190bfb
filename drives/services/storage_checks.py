"""Comparing database and storage, with what was found kept for operators."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from drives.models import StorageCheck
from drives.services.fsck import Tally, check_storage
from drives.storage import StorageError

MOST_FINDINGS = 500


def run_check(*, check_id: UUID | None, now: datetime) -> StorageCheck | None:
    """Do the check that was asked for, or one of the schedule's own. A message that comes twice does no second one.

    A storage that fails ends it with its error.
    """
    check = (
        StorageCheck.objects.create()
        if check_id is None
        else StorageCheck.objects.filter(pk=check_id).first()
    )
    if check is None:
        return None
    if not StorageCheck.objects.filter(pk=check.pk, begun_at__isnull=True).update(begun_at=now):
        return None
    check.begun_at, tally = now, Tally()
    try:
        for finding in check_storage(now=now, tally=tally):
            if len(check.findings) < MOST_FINDINGS:
                plain = {
                    name: str(value) for name, value in asdict(finding).items() if value not in ("", None)
                }
                check.findings.append(plain)
    except StorageError as error:
        check.error = str(error)[:500]
    check.blobs, check.objects_seen = tally.blobs, tally.objects
    for kind, count in tally.found.items():
        setattr(check, kind, count)
    check.finished_at = timezone.now()
    check.save()
    return check
