"""Celery messages of drives, by name. Lost ones are made up for by a schedule, or by the next request."""

from uuid import UUID

from celery import current_app
from django.db import transaction


def ask_verification(blob_id: UUID) -> None:
    """Have an unverified blob read, once the transaction at hand is committed."""
    transaction.on_commit(
        lambda: current_app.send_task("drives.tasks.verify", args=[str(blob_id)]), robust=True
    )


def ask_storage_check(check_id: UUID) -> None:
    """Have database and storage compared, once the transaction at hand is committed."""
    transaction.on_commit(
        lambda: current_app.send_task("drives.tasks.check_storage", args=[str(check_id)]), robust=True
    )


def ask_drawing(preview_id: UUID) -> None:
    """Have a preview made, once the transaction at hand is committed."""
    transaction.on_commit(
        lambda: current_app.send_task("drives.tasks.make_preview", args=[str(preview_id)]), robust=True
    )
