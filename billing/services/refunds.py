"""Refunds of orders through the channel by which they were paid."""

import logging
import secrets
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import AuditEvent, Notification, User
from accounts.services import audit
from accounts.services.notifications import notify
from billing.channels import channel_named
from billing.channels.base import AskedRefund, Refund, RefundState
from billing.errors import ChannelRefused, IdempotencyConflict, InsufficientBalance
from billing.models import Hold, MoneyAlert, RechargeOrder, RefundOrder
from billing.services.alerts import alert
from billing.services.holds import close, lock_hold, place_hold
from billing.services.invoiceable import watch_invoices
from billing.services.orders import SHORTEST_POLL, follow_due
from billing.services.receivables import free_to_pay_back, lock_paid, lock_wallet, require_reason

logger = logging.getLogger(__name__)
Status = RefundOrder.Status


def refund_order(
    *, order: RechargeOrder, amount: Decimal, key: str, reason: str, actor: User, site: str
) -> RefundOrder:
    """Pay `amount` of an order back by its channel; a hold keeps it until the channel has done so.

    The same `key` pays back once. Raises Invalid, OrderNotPaid, RefundTooLarge, InsufficientBalance (only paid money
    that is available goes back, nothing that was given), WalletParked, IdempotencyConflict. Where the channel does not
    answer now, it is asked again by `follow_refunds`.
    """
    row = register_refund(order=order, amount=amount, key=key, reason=reason, actor=actor)
    if row.status == Status.PENDING:
        send_refund(row, site)
    return row


def register_refund(
    *, order: RechargeOrder, amount: Decimal, key: str, reason: str, actor: User
) -> RefundOrder:
    """The row and its hold, committed before the channel hears of it."""
    require_reason(reason)
    now = timezone.now()
    with transaction.atomic():
        RechargeOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        known = RefundOrder.objects.select_related("order").filter(order=order, key=key).first()
        if known is not None:
            if known.amount != amount:
                raise IdempotencyConflict
            return known
        locked = lock_paid(order, amount)
        wallet = lock_wallet(locked.wallet)
        free = free_to_pay_back(wallet)
        if amount > free:
            raise InsufficientBalance(required=float(amount), available=float(free))
        refund_no = f"B{now:%Y%m%d}{secrets.token_hex(10)}"
        hold = place_hold(
            wallet=wallet,
            amount=amount,
            key=f"refund:{refund_no}",
            purpose=Hold.Purpose.WITHDRAWAL,
            description=_("Paying back order %(order)s") % {"order": locked.order_no},
        )
        row = RefundOrder.objects.create(
            order=locked,
            amount=amount,
            refund_no=refund_no,
            key=key,
            reason=reason,
            maker=actor,
            hold=hold,
            poll_at=now + SHORTEST_POLL,
        )
        audit.record(
            AuditEvent.Action.BALANCE_CHANGED,
            user=locked.payer,
            actor=actor,
            target=row,
            after={"amount": f"{-amount:.2f}", "order_no": locked.order_no, "reason": reason},
        )
        watch_invoices(wallet=wallet, key=f"refund:{row.pk}")
        return row


def send_refund(row: RefundOrder, site: str) -> None:
    """Ask the channel to pay back, once for a refund number, and take its answer in."""
    order = row.order
    asked = AskedRefund(
        order_no=order.order_no,
        refund_no=row.refund_no,
        amount=row.amount,
        total=order.amount,
        reason=row.reason,
        notify_url=f"{site.rstrip('/')}/api/v1/billing/notify/{order.channel}",
    )
    channel = channel_named(order.channel)
    try:
        told = channel.refund(asked)
    except ChannelRefused as error:
        # It may be refused because another worker has just sent the same refund.
        told = channel.query_refund(order.order_no, row.refund_no)
        if told.state == RefundState.ABSENT:
            told = Refund(order.channel, row.refund_no, RefundState.FAILED, detail=str(error.data["reason"]))
    take_refund_in(told)
    row.refresh_from_db()


def check_refund(*, refund: RefundOrder, site: str) -> RefundOrder:
    """Ask the channel how a refund stands; one that it does not know is sent (again)."""
    order = refund.order
    told = channel_named(order.channel).query_refund(order.order_no, refund.refund_no)
    if told.state == RefundState.ABSENT:
        send_refund(refund, site)
    else:
        take_refund_in(told)
    refund.refresh_from_db()
    return refund


def take_refund_in(told: Refund) -> None:
    """What a channel says of a refund: done, the hold is captured; failed, it is released. Once, whoever says so."""
    if told.state not in (RefundState.SUCCEEDED, RefundState.FAILED):
        return
    with transaction.atomic():
        row = (
            RefundOrder.objects.select_for_update(of=("self",))
            .select_related("order__wallet", "order__payer", "hold")
            .filter(refund_no=told.refund_no, order__channel=told.channel)
            .first()
        )
        if row is None or row.status == Status.SUCCEEDED:
            return
        order, now = row.order, timezone.now()
        done = told.state == RefundState.SUCCEEDED
        if done and (told.amount != row.amount or row.status == Status.FAILED):
            seen = {"asked": str(row.amount), "told": str(told.amount), "status": row.status}
            kind = MoneyAlert.Kind.REFUND_MISMATCH
            alert(kind, key=row.refund_no, wallet=order.wallet, order=order, data=seen)
            return
        if row.status == Status.FAILED:
            return
        hold = lock_hold(row.hold)
        close(
            hold,
            row.amount if done else Decimal(0),
            _("Paying back order %(order)s") % {"order": order.order_no},
        )
        changes = {
            "done_at": now,
            "channel_no": told.channel_no,
            "failure": "" if done else told.detail[:200],
        }
        row.move_to(Status.SUCCEEDED if done else Status.FAILED, **changes)
        if done:
            notify(
                user=order.payer,
                title=gettext_noop("A payment was paid back"),
                message=gettext_noop("%(amount)s yuan of order %(order)s go back the way they came."),
                params={"amount": f"{row.amount:.2f}", "order": order.order_no},
                level=Notification.Level.INFO,
            )
        else:
            kind, seen = MoneyAlert.Kind.REFUND_FAILED, {"reason": told.detail}
            alert(kind, key=row.refund_no, wallet=order.wallet, order=order, data=seen)


def follow_refunds(*, now: datetime, site: str, limit: int = 200) -> int:
    """Ask about refunds under way whose time has come; how many were asked about."""
    due = RefundOrder.objects.filter(status=Status.PENDING, poll_at__lte=now).select_related("order")
    due = due.annotate(channel=F("order__channel"))
    return follow_due(due, lambda row: check_refund(refund=row, site=site), now=now, limit=limit)
