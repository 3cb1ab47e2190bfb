"""Celery messages of accounts, by name. What gets lost is found by a schedule."""

from celery import current_app
from django.db import transaction


def send_on_commit(name: str) -> None:
    """A broker that is away costs a few seconds, not the request."""
    transaction.on_commit(lambda: current_app.send_task(f"accounts.tasks.{name}"), robust=True)
