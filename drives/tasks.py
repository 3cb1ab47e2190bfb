"""Scheduled work of drives."""

from celery import shared_task
from django.utils import timezone

from drives.services import blobs, usage


@shared_task
def sweep() -> None:
    """Delete blobs that nothing points to, and staged bytes that nobody will finish."""
    blobs.sweep_blobs(now=timezone.now())
    blobs.sweep_staging(now=timezone.now())


@shared_task
def sample_usage() -> None:
    """Write down how full every drive is today."""
    usage.sample_usage(now=timezone.now())
