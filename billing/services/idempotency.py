"""One key, one effect, for requests: the answer of the first is that of every other."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from billing.errors import IdempotencyConflict, RequestUnderWay
from billing.models import IdempotentRequest

ABANDONED_AFTER = timedelta(seconds=60)
"""A request that has no answer by then died with its server; whoever sends it again takes its place."""
KEPT = timedelta(days=30)


def claim(*, user: User, key: str, fingerprint: str) -> IdempotentRequest:
    """The request under `key`: a new one to be carried out (status None), or an answered one to be repeated.

    Raises IdempotencyConflict for a key that came with another request, RequestUnderWay.
    """
    now = timezone.now()
    row, is_new = IdempotentRequest.objects.get_or_create(
        user=user, key=key, defaults={"fingerprint": fingerprint, "started_at": now}
    )
    if row.fingerprint != fingerprint:
        raise IdempotencyConflict
    if is_new or row.status is not None:
        return row
    abandoned = IdempotentRequest.objects.filter(
        pk=row.pk, status=None, started_at__lte=now - ABANDONED_AFTER
    )
    if not abandoned.update(started_at=now):
        raise RequestUnderWay(retry_after=1)
    row.started_at = now
    return row


def answer(*, request: IdempotentRequest, status: int, body: Any) -> None:
    """Keep a success; whatever was refused changed nothing, and its key is free again.

    Of a request that was taken for dead the answer counts that took its place.
    """
    mine = IdempotentRequest.objects.filter(pk=request.pk, started_at=request.started_at)
    if 200 <= status < 300:
        mine.update(status=status, body=body, updated_at=timezone.now())
    else:
        mine.delete()


def forget(*, now: datetime) -> int:
    """Delete requests older than KEPT; how many. What they did has keys of its own in the ledger."""
    return IdempotentRequest.objects.filter(started_at__lt=now - KEPT).delete()[0]
