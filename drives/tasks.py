"""Scheduled work of drives."""

import logging
from collections import Counter
from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from drives.models import Blob
from drives.services import (
    archives,
    previews,
    storage_charge,
    storage_checks,
    traffic_charge,
    trash,
    usage,
    versions,
)
from drives.services.direct import verify_blob
from drives.services.garbage import collect_garbage
from drives.services.late_md5 import add_late_md5

logger = logging.getLogger(__name__)
VERIFY_AFTER = timedelta(minutes=15)


@shared_task
def sweep() -> None:
    """Remove content that nothing points to, and uploads that nobody will finish."""
    counts, sizes = Counter[str](), Counter[str]()
    for found in collect_garbage(now=timezone.now()):
        counts[found.kind] += 1
        sizes[found.kind] += found.size
    for kind, count in sorted(counts.items()):
        logger.info("Garbage: %s %s, %s bytes", count, kind, sizes[kind])


@shared_task
def verify(blob_id: str) -> None:
    """Read content that a client put into the bucket itself, so that others may share it."""
    verify_blob(blob_id=UUID(blob_id))


@shared_task
def verify_rest(limit: int = 100) -> None:
    """The same for what no message has reached in a quarter of an hour, the oldest first."""
    waiting = Blob.objects.filter(verified_at__isnull=True, created_at__lt=timezone.now() - VERIFY_AFTER)
    for pk in waiting.order_by("updated_at", "pk").values_list("pk", flat=True)[:limit]:
        # One that cannot be read goes to the end of the line; `fsck_storage` names it.
        Blob.objects.filter(pk=pk).update(updated_at=timezone.now())
        try:
            verify_blob(blob_id=pk)
        except OSError:
            logger.exception("blob %s could not be verified", pk)


@shared_task
def add_md5() -> None:
    """Read content that came without an MD5, so that instant upload finds it."""
    add_late_md5()


@shared_task
def make_preview(preview_id: str) -> None:
    """Draw a preview that somebody asked for."""
    previews.make_preview(preview_id=UUID(preview_id))


@shared_task
def sample_usage() -> None:
    """Write down how full every drive is today."""
    usage.sample_usage(now=timezone.now())


@shared_task
def charge_storage() -> None:
    """Charge what people stored beyond their plans, for each day that is over and not paid yet."""
    logger.info("Storage: %s days charged", storage_charge.charge_storage(now=timezone.now()))


@shared_task
def charge_traffic() -> None:
    """Write down what was downloaded on days that are over, and charge it where traffic has a price."""
    logger.info("Traffic: %s days charged", traffic_charge.charge_traffic(now=timezone.now()))


@shared_task
def empty_trash() -> None:
    """Delete for good what was put away long ago: trash, versions, the content of deleted drives, links to ZIPs."""
    now = timezone.now()
    items = trash.purge_old(now=now)
    rows = trash.delete_purged() + trash.empty_deleted_drives(now=now)
    logger.info("Trash: %s items, %s rows, %s old versions", items, rows, versions.drop_old(now=now))
    archives.drop_expired(now=now)


@shared_task(ignore_result=False)
def check_storage(check_id: str | None = None) -> None:
    """Compare database and storage; weekly by schedule, or because an operator asked."""
    storage_checks.run_check(check_id=UUID(check_id) if check_id else None, now=timezone.now())
