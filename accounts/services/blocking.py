"""Users who may not come in, and those who may again."""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import AuditEvent, Session, User
from accounts.services import app_passwords, audit
from accounts.services.sessions import End, end_sessions


def block(users: QuerySet[User], *, actor: User | None = None) -> int:
    """Block `users`, end their sessions and revoke their app passwords; returns how many were active until now."""
    with transaction.atomic():
        active = lock(users.filter(is_active=True))
        User.objects.filter(pk__in=active).update(is_active=False)
        note(AuditEvent.Action.BLOCKED, active, actor)
        end_sessions(Session.objects.filter(user__in=active), reason=End.BLOCKED, actor=actor)
        app_passwords.revoke_all(users=active)
    return len(active)


def unblock(users: QuerySet[User], *, actor: User | None = None) -> int:
    """Let blocked `users` sign in again; returns how many were blocked until now. A deleted user stays out."""
    with transaction.atomic():
        blocked = lock(users.filter(is_active=False, deleted_at__isnull=True))
        User.objects.filter(pk__in=blocked).update(is_active=True)
        note(AuditEvent.Action.UNBLOCKED, blocked, actor)
    return len(blocked)


def lock(users: QuerySet[User]) -> list[UUID]:
    # No key is locked: whoever holds a session to end it writes to the audit log, and that points to the user.
    rows = users.order_by("pk").select_for_update(of=("self",), no_key=True)
    return list(rows.values_list("pk", flat=True))


def note(action: AuditEvent.Action, users: Iterable[UUID], actor: User | None) -> None:
    for user in User.objects.filter(pk__in=users):
        audit.record(action, user=user, actor=actor, target=user)
