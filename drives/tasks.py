"""Scheduled work of drives."""

from celery import shared_task

from drives.services.blobs import sweep_blobs


@shared_task
def sweep() -> None:
    """Delete blobs that nothing points to."""
    sweep_blobs()
