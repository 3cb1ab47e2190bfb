"""Scheduled work of billing: load, claim, one service call."""

from celery import shared_task
from django.utils import timezone

import billing.services.channel_files
import billing.services.invoice_books  # noqa: F401  (the same)
from billing.channels import our_site
from billing.periods import day_of
from billing.services import (
    gifts,
    idempotency,
    invoices,
    membership,
    nightly,
    orders,
    refunds,
    statements,
    voucher_batches,
)


@shared_task
def reconcile(kinds: list[str]) -> None:
    """Compare yesterday's money with what it must agree with; what was compared before is left alone."""
    nightly.reconcile_due(
        today=day_of(timezone.now()), kinds=[kind for kind in kinds if kind in nightly.CHECKS]
    )


@shared_task
def write_statements() -> None:
    """Write the statements of months that are over, and mail those that were not mailed."""
    now = timezone.now()
    statements.write_due(now=now)
    statements.mail_due(now=now)


@shared_task
def expire_gifts() -> None:
    """Take back what is left of gifts whose time is over."""
    gifts.expire_gifts(now=timezone.now())


@shared_task
def tell_of_gifts() -> None:
    """Tell of gifts whose time is over soon."""
    gifts.tell_of_ends(now=timezone.now())


@shared_task
def expire_vouchers() -> None:
    """Close the batches of vouchers whose time is over."""
    voucher_batches.expire_batches(now=timezone.now())


@shared_task
def forget_requests() -> None:
    """Delete what was kept to answer requests with an Idempotency-Key again."""
    idempotency.forget(now=timezone.now())


@shared_task
def follow_orders() -> None:
    """Ask payment channels about orders that wait, and close those not paid in time."""
    orders.follow_orders(now=timezone.now())


@shared_task
def follow_refunds() -> None:
    """Ask payment channels about refunds under way."""
    refunds.follow_refunds(now=timezone.now(), site=our_site())


@shared_task
def renew_memberships() -> None:
    """Renew, lower or end the memberships whose period is over."""
    membership.renew_due(now=timezone.now())


@shared_task
def mail_invoices() -> None:
    """Mail the invoices that were issued."""
    invoices.mail_due(now=timezone.now())
