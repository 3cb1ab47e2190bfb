"""Scheduled work of uploads, and news that had to wait."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from drives.services.direct import abandon_object
from uploads.services.news import tell_rest
from uploads.services.reconciliation import reconcile_quota
from uploads.services.tasks import expire_tasks


@shared_task
def expire() -> None:
    """Fail uploads whose time is over and give their reservations back."""
    expire_tasks(now=timezone.now())


@shared_task
def reconcile() -> None:
    """Compare the sums of all drives with what they hold, and mend them."""
    reconcile_quota()


@shared_task
def tell_progress(task_id: str) -> None:
    """Send the progress that was not sent because there had been news a moment ago."""
    tell_rest(UUID(task_id))


@shared_task
def abandon(storage_key: str, upload_id: str) -> None:
    """Remove a direct upload that was given up from the bucket."""
    abandon_object(key=storage_key, upload_id=upload_id)
