"""Users who may not come in, and those who may again."""

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Session, User
from accounts.services.sessions import end_sessions


def block(users: QuerySet[User]) -> int:
    """Block `users` and end their sessions; returns how many were active until now."""
    with transaction.atomic():
        blocked = users.filter(is_active=True).update(is_active=False)
        end_sessions(Session.objects.filter(user__in=users))
    return blocked


def unblock(users: QuerySet[User]) -> int:
    """Let blocked `users` sign in again; returns how many were blocked until now."""
    return users.filter(is_active=False).update(is_active=True)
