"""Celery messages of uploads, by name. Losing one costs a redraw, never data."""

from uuid import UUID

from celery import current_app

MESSAGE_SECONDS = 30  # what waits longer is of no interest any more


def tell_progress_later(task_id: UUID, *, seconds: float) -> None:
    current_app.send_task(
        "uploads.tasks.tell_progress", args=[str(task_id)], countdown=seconds, expires=MESSAGE_SECONDS
    )
