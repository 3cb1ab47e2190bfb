"""Scheduled work of uploads."""

from celery import shared_task
from django.utils import timezone

from uploads.services.tasks import expire_tasks


@shared_task
def expire() -> None:
    """Fail uploads whose time is over and give their reservations back."""
    expire_tasks(now=timezone.now())
