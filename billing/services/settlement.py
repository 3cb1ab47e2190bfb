"""The one place where a payment becomes money in a wallet: notices, polling and operators all end here."""

import logging
from datetime import datetime
from enum import StrEnum

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import AuditEvent, Notification, User
from accounts.services import audit
from accounts.services.notifications import notify
from billing.channels.base import Payment, PaymentState
from billing.errors import (
    AmountMismatch,
    CurrencyMismatch,
    MerchantMismatch,
    NotPaid,
    OrderUnknown,
    PaidAfterClose,
    PaidTwice,
    SettlementRefused,
)
from billing.models import LedgerEntry, MoneyAlert, RechargeOrder
from billing.services.alerts import alert
from billing.services.ledger import post_entry
from billing.services.receivables import collect
from billing.signals import wallet_credited

logger = logging.getLogger(__name__)
Status = RechargeOrder.Status
Kind = MoneyAlert.Kind


class Source(StrEnum):
    """How we learned of a payment."""

    NOTICE = "notice"
    POLL = "poll"
    OPERATOR = "operator"


AT_STAKE: dict[type[SettlementRefused], MoneyAlert.Kind] = {
    AmountMismatch: Kind.AMOUNT_MISMATCH,
    CurrencyMismatch: Kind.CURRENCY_MISMATCH,
    MerchantMismatch: Kind.MERCHANT_MISMATCH,
    PaidAfterClose: Kind.PAID_AFTER_CLOSE,
    PaidTwice: Kind.PAID_TWICE,
}
"""Refusals after which somebody's money is in the wrong place, so that an operator is alerted."""


def settle(*, payment: Payment, source: Source, actor: User | None = None, reason: str = "") -> RechargeOrder:
    """Credit the order that was paid; the same payment again changes nothing.

    An operator (`source`, with `actor` and `reason`) also credits an order that was closed before it was paid.
    Raises OrderUnknown, NotPaid, MerchantMismatch, CurrencyMismatch, AmountMismatch, PaidAfterClose, PaidTwice; what
    puts money at stake leaves an alert. Never call it in a transaction: a refusal would take its alert back.
    """
    if payment.state != PaymentState.PAID:
        raise NotPaid
    with transaction.atomic():
        order = (
            RechargeOrder.objects.select_for_update(of=("self",))
            .select_related("wallet", "payer")
            .filter(order_no=payment.order_no, channel=payment.channel)
            .first()
        )
        if order is None:
            raise OrderUnknown
        refusal = objection(order, payment, source)
        if refusal is None:
            if order.status != Status.PAID:
                credit_order(order, payment, source, actor, reason)
            return order
        kind = AT_STAKE.get(type(refusal))
        if kind:
            seen = {
                "source": source,
                "merchant": payment.merchant,
                "amount": str(payment.amount),
                "currency": payment.currency,
                "transaction_no": payment.transaction_no,
            }
            key = f"{order.order_no}:{payment.transaction_no}"
            alert(kind, key=key, wallet=order.wallet, order=order, data=seen)
    logger.warning("order %s is not settled: %s", order.order_no, refusal.code)
    raise refusal


def objection(order: RechargeOrder, payment: Payment, source: Source) -> SettlementRefused | None:
    """Why the payment does not settle the order; None if it does."""
    if payment.merchant != order.merchant:
        return MerchantMismatch()
    if payment.currency != order.currency or order.wallet.currency != order.currency:
        return CurrencyMismatch()
    if payment.amount != order.amount:
        return AmountMismatch()
    if order.status == Status.PAID:
        return None if payment.transaction_no == order.transaction_no else PaidTwice()
    if order.status != Status.PENDING and source != Source.OPERATOR:
        return PaidAfterClose()
    return None


def credit_order(
    order: RechargeOrder, payment: Payment, source: Source, actor: User | None, reason: str
) -> None:
    """Post the entry of an order that is locked, and whatever follows from it."""
    entry = post_entry(
        wallet=order.wallet,
        kind=LedgerEntry.Kind.RECHARGE,
        amount=order.amount,
        key=f"order:{order.order_no}",
        description=order.description
        or _("Recharge by %(channel)s") % {"channel": order.get_channel_display()},
        actor=actor,
    )
    paid_at: datetime = payment.paid_at or timezone.now()
    order.move_to(Status.PAID, entry=entry, paid_at=paid_at, transaction_no=payment.transaction_no)
    if source == Source.OPERATOR:
        audit.record(
            AuditEvent.Action.BALANCE_CHANGED,
            user=order.payer,
            actor=actor,
            target=entry,
            before={"balance": f"{entry.balance_after - entry.amount:.2f}"},
            after={
                "balance": f"{entry.balance_after:.2f}",
                "amount": f"{entry.amount:.2f}",
                "order_no": order.order_no,
                "reason": reason,
            },
        )
    collected = collect(wallet=order.wallet)
    notify(
        user=order.payer,
        title=gettext_noop("Your payment has arrived"),
        message=gettext_noop("%(amount)s yuan were credited; the balance is %(balance)s yuan."),
        params={"amount": f"{order.amount:.2f}", "balance": f"{entry.balance_after - collected:.2f}"},
        level=Notification.Level.SUCCESS,
    )
    wallet_credited.send(sender=type(order.wallet), wallet=order.wallet, entry=entry)
