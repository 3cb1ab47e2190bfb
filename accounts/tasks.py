"""Scheduled work of accounts."""

from celery import shared_task
from django.utils import timezone

from accounts.services import invitations


@shared_task
def sweep_invitations() -> None:
    """Mark invitations to teams as expired; they are refused from the moment on, swept or not."""
    invitations.sweep(now=timezone.now())
