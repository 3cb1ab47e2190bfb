"""Scheduled work of billing: load, claim, one service call."""

from celery import shared_task
from django.utils import timezone

from billing.periods import day_of
from billing.services import gifts, idempotency, nightly


@shared_task
def reconcile(kinds: list[str]) -> None:
    """Compare yesterday's money with what it must agree with; what was compared before is left alone."""
    nightly.reconcile_due(
        today=day_of(timezone.now()), kinds=[kind for kind in kinds if kind in nightly.CHECKS]
    )


@shared_task
def expire_gifts() -> None:
    """Take back what is left of gifts whose time is over."""
    gifts.expire_gifts(now=timezone.now())


@shared_task
def forget_requests() -> None:
    """Delete what was kept to answer requests with an Idempotency-Key again."""
    idempotency.forget(now=timezone.now())
