"""One key, one effect: every repetition of a request gets the answer of the first."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from billing.errors import IdempotencyConflict, RequestUnderWay
from billing.models import IdempotentRequest

ABANDONED_AFTER = timedelta(seconds=60)
"""A request without an answer after this time died with its server; a repetition takes its place."""
KEPT = timedelta(days=30)


def claim(*, user: User, key: str, fingerprint: str) -> IdempotentRequest:
    """The request under `key`: a new one to be carried out (status None), or one whose answer is to be repeated.

    Raises IdempotencyConflict where the key came with another request, RequestUnderWay.
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
    """Keep the answer of a success. A refused request changed nothing, so its key becomes free again."""
    mine = IdempotentRequest.objects.filter(pk=request.pk, started_at=request.started_at)
    if 200 <= status < 300:
        mine.update(status=status, body=body, updated_at=timezone.now())
    else:
        mine.delete()


def forget(*, now: datetime) -> int:
    """Delete requests older than KEPT; returns how many. Their effects have keys of their own in the ledger."""
    return IdempotentRequest.objects.filter(started_at__lt=now - KEPT).delete()[0]
