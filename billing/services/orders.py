"""Recharge orders: made, followed at their channel, closed in time. Only `settle` (services.settlement) credits."""

import logging
import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.permissions import Action, require
from billing.channels import channel_named, offered
from billing.channels.base import Asked, PaymentState
from billing.errors import (
    ChannelNotOffered,
    ChannelRefused,
    ChannelUnavailable,
    CurrencyMismatch,
    IdempotencyConflict,
    OrderNotPending,
    SettlementRefused,
    TooManyOrders,
)
from billing.models import Currency, RechargeOrder, Wallet
from billing.services.ledger import FEN
from billing.services.settlement import Source, settle
from common.errors import DomainError, Invalid, NotVisible

logger = logging.getLogger(__name__)
Status = RechargeOrder.Status
SHORTEST_POLL, LONGEST_POLL = timedelta(seconds=10), timedelta(minutes=5)
LONGEST_RUN = 10
"""Seconds after which `follow_due` takes up nothing more."""


def new_number(now: datetime) -> str:
    """Our number for an order at the channels: the day and 80 random bits; 29 letters and digits."""
    return f"R{now:%Y%m%d}{secrets.token_hex(10)}"


def place_order(
    *,
    wallet: Wallet,
    payer: User,
    amount: Decimal,
    key: str,
    site: str,
    channel: str = "",
    currency: str = Currency.CNY,
    description: str = "",
) -> RechargeOrder:
    """Make an order, with a way to pay it through `channel` or the first one offered. Only `settle` brings the money.

    Repeated with its `key`, the same order is returned; it is offered to the channel again where that was not
    completed. `site` is the scheme and host at which the channel reaches us. Raises Invalid, NotVisible, Forbidden,
    ChannelNotOffered, CurrencyMismatch, TooManyOrders, IdempotencyConflict, ChannelUnavailable, ChannelRefused.
    """
    if not amount.is_finite() or not 0 < amount <= settings.RECHARGE_LIMIT or amount % FEN:
        raise Invalid(
            gettext_lazy("An amount is more than 0, at most %(limit)s, with at most two decimals."),
            field="amount",
            limit=int(settings.RECHARGE_LIMIT),
        )
    require_to_pay_into(wallet, payer)
    if not wallet.currency == currency == Currency.CNY:
        raise CurrencyMismatch
    where = channel_named(channel or next(iter(offered()), ""))
    order = register_order(
        wallet=wallet,
        payer=payer,
        channel=where.name,
        merchant=where.merchant,
        amount=amount,
        key=key,
        description=description,
    )
    if order.status != Status.PENDING or order.code_url or order.pay_url:
        return order
    asked = Asked(
        order_no=order.order_no,
        amount=order.amount,
        subject=_("Recharge of Yuntu"),
        expires_at=order.expires_at,
        notify_url=f"{site.rstrip('/')}/api/v1/billing/notify/{where.name}",
        return_url=settings.PAYMENT_RETURN_URL or f"{site.rstrip('/')}/billing",
    )
    try:
        offer = where.create(asked)
    except ChannelRefused as error:
        order.move_to(Status.FAILED, failure=str(error.data["reason"]), closed_at=timezone.now())
        raise
    RechargeOrder.objects.filter(pk=order.pk).update(
        code_url=offer.code_url, pay_url=offer.pay_url, updated_at=timezone.now()
    )
    order.refresh_from_db()
    return order


def register_order(
    *,
    wallet: Wallet,
    payer: User,
    channel: str,
    merchant: str,
    amount: Decimal,
    key: str,
    description: str,
) -> RechargeOrder:
    """The order's row, committed before the channel hears of it, so that its notices always find an order."""
    now = timezone.now()
    made = {"channel": channel, "amount": amount, "description": description}
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(
            pk=payer.pk
        )  # counts and the key, one request at a time
        known = RechargeOrder.objects.filter(wallet=wallet, payer=payer, key=key).first()
        if known is not None:
            if any(getattr(known, name) != value for name, value in made.items()):
                raise IdempotencyConflict
            return known
        limit = settings.RECHARGE_OPEN_ORDERS
        if RechargeOrder.objects.filter(payer=payer, status=Status.PENDING).count() >= limit:
            raise TooManyOrders(limit=limit)
        return RechargeOrder.objects.create(
            wallet=wallet,
            payer=payer,
            merchant=merchant,
            key=key,
            order_no=new_number(now),
            expires_at=now + settings.RECHARGE_LIFETIME,
            poll_at=now + SHORTEST_POLL,
            **made,
        )


def require_to_pay_into(wallet: Wallet, payer: User) -> None:
    """Raises NotVisible or Forbidden, unless it is the payer's own wallet or one of a team whose money they manage."""
    if wallet.team:
        require(payer, Action.MANAGE_MONEY, wallet.team)
    elif wallet.user != payer:
        raise NotVisible


def cancel_order(*, order: RechargeOrder, actor: User) -> RechargeOrder:
    """Close an order at its channel and here; one that was paid meanwhile is settled instead.

    Raises OrderNotPending, Forbidden, and what `close_order` raises.
    """
    require_to_pay_into(order.wallet, actor)
    if order.status != Status.PENDING:
        raise OrderNotPending
    return close_order(order=order)


def close_order(*, order: RechargeOrder) -> RechargeOrder:
    """Ask first, then close at the channel, then here: so nobody can pay for an order that is closed.

    Raises ChannelUnavailable, ChannelRefused; SettlementRefused where something else was paid than the order asks
    for. In that case an alert is raised and the order is closed as well.
    """
    channel = channel_named(order.channel)
    for _attempt in range(2):
        try:
            if check_order(order=order, source=Source.POLL).status != Status.PENDING:
                return order
        except SettlementRefused:
            mark_closed(order)
            raise
        if channel.close(order.order_no):
            return mark_closed(order)
        # Paid between the question and the closing.
    raise ChannelUnavailable


def mark_closed(order: RechargeOrder) -> RechargeOrder:
    """Closed here, unless it is settled by now."""
    now = timezone.now()
    RechargeOrder.objects.filter(pk=order.pk, status=Status.PENDING).update(
        status=Status.CLOSED, closed_at=now, updated_at=now
    )
    order.refresh_from_db()
    return order


def check_order(
    *, order: RechargeOrder, source: Source, actor: User | None = None, reason: str = ""
) -> RechargeOrder:
    """Ask the channel about an order, and settle it where it was paid. Raises what `settle` and the channel do."""
    payment = channel_named(order.channel).query(order.order_no)
    if payment.state == PaymentState.PAID:
        settle(payment=payment, source=source, actor=actor, reason=reason)
    elif payment.state == PaymentState.CLOSED:
        mark_closed(order)
    order.refresh_from_db()
    return order


def follow_orders(*, now: datetime, limit: int = 200) -> int:
    """Ask about orders whose time has come, and close those not paid in time; how many were looked at."""
    due = RechargeOrder.objects.filter(status=Status.PENDING, poll_at__lte=now)

    def follow(order: RechargeOrder) -> None:
        if now >= order.expires_at:
            close_order(order=order)
        else:
            check_order(order=order, source=Source.POLL)

    return follow_due(due, follow, now=now, limit=limit, end=lambda order: order.expires_at)


def follow_due(
    rows: QuerySet[Any],
    follow: Callable[[Any], Any],
    *,
    now: datetime,
    limit: int,
    end: Callable[[Any], datetime | None] = lambda row: None,
) -> int:
    """Call `follow` for due rows that have a `channel`. A row is claimed by moving its due time on, so one caller
    takes it.

    Rows are looked at less and less often, but no later than at their `end`. A channel that does not answer is not
    asked again in this call, and none after LONGEST_RUN: the rest is for the next call. Otherwise a channel that is
    away would occupy every thread of the workers.
    """
    count, away, until = 0, set[str](), time.monotonic() + LONGEST_RUN
    for row in rows.order_by("poll_at", "pk")[:limit]:
        if time.monotonic() >= until:
            break
        if row.channel in away:
            continue
        then = now + min(max((now - row.created_at) / 4, SHORTEST_POLL), LONGEST_POLL)
        last = end(row)
        if last is not None and now < last:
            then = min(then, last)
        # Not `rows.filter`: with a join Django asks in a subquery, which is not checked again behind another caller.
        mine = type(row).objects.filter(pk=row.pk, status=row.Status.PENDING, poll_at=row.poll_at)
        if not mine.update(poll_at=then):
            continue
        count += 1
        try:
            follow(row)
        except ChannelUnavailable as error:
            logger.warning("%s: %s", row, error.code)
            away.add(row.channel)
        except (ChannelNotOffered, ChannelRefused, SettlementRefused) as error:
            logger.warning("%s: %s", row, error.code)
        except DomainError as error:
            logger.error("%s: %s", row, error.code)
    return count
