"""Scheduled work of uploads, and news that had to wait."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

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
