"""Scheduled work of drives."""

from celery import shared_task
from django.utils import timezone

from drives.services import blobs


@shared_task
def sweep() -> None:
    """Delete blobs that nothing points to, and staged bytes that nobody will finish."""
    blobs.sweep_blobs(now=timezone.now())
    blobs.sweep_staging(now=timezone.now())
