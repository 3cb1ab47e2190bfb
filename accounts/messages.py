"""Celery messages of accounts, by name. A schedule makes up for those that are lost."""

from celery import current_app
from django.db import transaction


def send_on_commit(name: str) -> None:
    """Send after the commit. While the broker is away this costs a few seconds, not the request."""
    transaction.on_commit(lambda: current_app.send_task(f"accounts.tasks.{name}"), robust=True)
