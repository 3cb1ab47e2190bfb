"""Scheduled work of accounts."""

from celery import shared_task
from django.utils import timezone

from accounts.services import codes, deletion, invitations, notices, notifications, sessions, wechat


@shared_task
def sweep_invitations() -> None:
    """Mark invitations to teams as expired. They are refused from that moment on, marked or not."""
    invitations.sweep(now=timezone.now())


@shared_task
def purge_wechat_logins() -> None:
    """Delete sign-ins by WeChat that are over for a day."""
    wechat.purge(now=timezone.now())


@shared_task
def purge_sign_ins() -> None:
    """Delete phone codes and sessions that have long been of no use."""
    now = timezone.now()
    codes.purge(now=now)
    sessions.purge(now=now)


@shared_task
def purge_notifications() -> None:
    """Delete notifications that are old."""
    notifications.purge(now=timezone.now())


@shared_task
def delete_accounts() -> None:
    """Delete the accounts whose time of grace is over. Run twice, or by two workers at once, it does no more."""
    deletion.delete_due(now=timezone.now())


@shared_task
def send_notices() -> None:
    """Send the notices of operators that are not sent yet; scheduled, too, for what a lost message left."""
    while notices.send_batch():
        pass
