"""A channel's own file of a day against our orders and refunds."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from billing.channels import channel_named, offered
from billing.channels.base import FileRow
from billing.models import RechargeOrder, ReconciliationRun, RefundOrder
from billing.periods import end_of, start_of
from billing.services import nightly
from billing.services.nightly import Finding, Report


@dataclass(frozen=True)
class ChannelDifference:
    """What does not agree: `check` says how, `subject` is the number of the order or refund."""

    check: str
    channel: str
    subject: str
    detail: str
    wallet_id: UUID | None = None


def reconcile_channel(day: date) -> tuple[int, list[ChannelDifference]]:
    """How many lines the files of all channels have for `day` (China Standard Time), and what differs from our rows.

    Nothing is put right. Raises ChannelUnavailable, ChannelRefused where a file cannot be had.
    """
    count, found = 0, []
    for name in offered():
        rows = channel_named(name).file_of(day)
        count += len(rows)
        found += [*differing_payments(name, rows, day), *differing_refunds(name, rows, day)]
    return count, found


def differing_payments(channel: str, rows: list[FileRow], day: date) -> Iterator[ChannelDifference]:
    there = {row.order_no: row for row in rows if not row.refund_no}
    orders = RechargeOrder.objects.filter(channel=channel)
    here = {order.order_no: order for order in orders.filter(order_no__in=list(there))}
    for order_no, row in there.items():
        order = here.get(order_no)
        if order is None:
            yield ChannelDifference("unknown_order", channel, order_no, f"paid {row.amount}, no such order")
            continue
        seen = [
            (
                "not_credited",
                order.status != RechargeOrder.Status.PAID,
                f"paid {row.amount}, {order.status} here",
            ),
            ("amount", order.amount != row.amount, f"paid {row.amount}, ordered {order.amount}"),
            (
                "transaction",
                bool(order.transaction_no) and order.transaction_no != row.transaction_no,
                f"paid by {row.transaction_no}, credited for {order.transaction_no}",
            ),
        ]
        for check, differs, detail in seen:
            if differs:
                yield ChannelDifference(check, channel, order_no, detail, order.wallet_id)
    paid = orders.filter(paid_at__gte=start_of(day), paid_at__lt=end_of(day))
    for order in paid.exclude(order_no__in=list(there)).order_by("order_no"):
        detail = f"credited {order.amount}, not in the file"
        yield ChannelDifference("not_in_file", channel, order.order_no, detail, order.wallet_id)


def differing_refunds(channel: str, rows: list[FileRow], day: date) -> Iterator[ChannelDifference]:
    there: dict[str, Decimal] = {row.refund_no: row.amount for row in rows if row.refund_no}
    refunds = RefundOrder.objects.filter(order__channel=channel).select_related("order")
    here = {refund.refund_no: refund for refund in refunds.filter(refund_no__in=list(there))}
    for refund_no, amount in there.items():
        refund = here.get(refund_no)
        if refund is None:
            yield ChannelDifference(
                "unknown_refund", channel, refund_no, f"paid back {amount}, no such refund"
            )
        elif refund.status == RefundOrder.Status.FAILED or refund.amount != amount:
            detail = f"paid back {amount}, {refund.status} with {refund.amount} here"
            yield ChannelDifference("refund", channel, refund_no, detail, refund.order.wallet_id)


def check_orders(day: date) -> Report:
    """The nightly check of channels' files."""
    count, differences = reconcile_channel(day)
    return Report(
        count,
        [Finding(each.check, each.subject, each.detail, wallet_id=each.wallet_id) for each in differences],
    )


nightly.register(ReconciliationRun.Kind.ORDERS, check_orders)
