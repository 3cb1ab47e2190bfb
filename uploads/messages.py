"""Celery messages of uploads, by name. A lost one costs a redraw or some time, never data."""

from uuid import UUID

from celery import current_app
from django.db import transaction

MESSAGE_SECONDS = 30  # what waits longer is of no interest any more


def tell_progress_later(task_id: UUID, *, seconds: float) -> None:
    current_app.send_task(
        "uploads.tasks.tell_progress", args=[str(task_id)], countdown=seconds, expires=MESSAGE_SECONDS
    )


def abandon_later(storage_key: str, upload_id: str) -> None:
    """Have an abandoned direct upload removed from the bucket. If the message is lost, the sweep removes it."""
    transaction.on_commit(
        lambda: current_app.send_task("uploads.tasks.abandon", args=[storage_key, upload_id]), robust=True
    )
