"""Messages to users: stored, and pushed to their open sockets."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from accounts.models import Notification, User
from common.realtime import publish_on_commit


def rendered(text: str, params: dict[str, Any]) -> str:
    """`text` in the language of the reader, with its values."""
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
    news = {
        "id": stored.pk,
        "title": rendered(title, values),
        "message": rendered(message, values),
        "type": level.value,
        "action_url": action_url,
    }
    publish_on_commit(user.pk, "notification", news)
    return stored


def mark_read(notifications: QuerySet[Notification]) -> int:
    """Mark those of `notifications` that are unread; returns how many they were."""
    return notifications.filter(read_at__isnull=True).update(read_at=timezone.now())
