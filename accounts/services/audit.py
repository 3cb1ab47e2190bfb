"""The audit log."""

from typing import Any

from django.db.models import Model

from accounts.models import AuditEvent, User
from common import origin
from common.middleware import request_id


def record(
    action: AuditEvent.Action,
    *,
    user: User | None = None,
    actor: User | None = None,
    target: Model | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEvent:
    """Record what happened, in the caller's transaction. The request at hand tells from where.

    `user` is the account concerned, `actor` who acted. `before` and `after` are JSON without secrets.
    """
    where = origin.current.get()
    return AuditEvent.objects.create(
        action=action,
        user=user,
        actor=actor,
        target_type=target._meta.label_lower if target else "",
        target_id=str(target.pk) if target else "",
        ip=where.ip or None,
        device=where.device,
        request_id=request_id.get().strip("-"),
        before=before or {},
        after=after or {},
    )
