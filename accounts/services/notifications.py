"""Messages to users: stored, and pushed to their open sockets."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from accounts.models import Notification, User
from common.realtime import publish_on_commit

KEPT = timedelta(days=90)
PROFILE, SECURITY = "/account#profile", "/account#security"
"""Where a user sees to what a notification of their account is about."""


def rendered(text: str, params: dict[str, Any]) -> str:
    """`text` with its values, in the language of the reader."""
    if not text:
        return ""
    return gettext(text) % params if params else gettext(text)


def notify(
    *,
    user: User,
    title: str,
    message: str = "",
    level: Notification.Level = Notification.Level.INFO,
    params: dict[str, Any] | None = None,
    action_url: str = "",
) -> Notification:
    """Store a notification and push it after commit. Texts are English sources marked with gettext_noop."""
    values = params or {}
    stored = Notification.objects.create(
        user=user, title=title, message=message, level=level, params=values, action_url=action_url
    )
    push(stored)
    return stored


def push(stored: Notification) -> None:
    """Send a notification to the user's open sockets after the commit."""
    # Not in the language of the request at hand, which often is somebody else's: the reader's socket translates.
    news = {
        "id": stored.pk,
        "title": stored.title,
        "message": stored.message,
        "params": stored.params,
        "type": str(stored.level),
        "action_url": stored.action_url,
    }
    publish_on_commit(stored.user_id, "notification", news)


def translated(news: dict[str, Any]) -> dict[str, Any]:
    """What `notify` has published, in the language of the reader."""
    values = news["params"]
    words = {name: rendered(news[name], values) for name in ("title", "message")}
    return {name: value for name, value in (news | words).items() if name != "params"}


def mark_read(notifications: QuerySet[Notification]) -> int:
    """Mark those of `notifications` that are unread; returns how many they were."""
    now = timezone.now()
    return notifications.filter(read_at__isnull=True).update(read_at=now, updated_at=now)


def delete(notification: Notification) -> None:
    """Delete a notification; one that is gone already is no error."""
    Notification.objects.filter(pk=notification.pk).delete()


def purge(*, now: datetime) -> int:
    """Delete notifications of more than KEPT ago, read or not; returns how many."""
    deleted, _by_model = Notification.objects.filter(created_at__lt=now - KEPT).delete()
    return deleted
