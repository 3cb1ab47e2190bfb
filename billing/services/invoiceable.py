"""How much can be invoiced: what was paid with real money, was used, and stands on no invoice yet.

Three figures bound it, and the smallest counts. Of each bill: what was paid of it and not burnt of gifts, less what was
given back and what invoices have of it. Of the wallet: the same over all its bills, so that what one invoice has too
much of is missing for the others. And the money that came in from outside, less what went back there and what was
invoiced: a balance brought over or corrected by hand was not received here.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet, Sum

from billing.models import (
    Bill,
    CreditRequest,
    InvoiceLine,
    InvoiceRequest,
    MoneyAlert,
    Receivable,
    RechargeOrder,
    RefundOrder,
    Wallet,
)
from billing.selectors import Narrowing
from billing.services.alerts import alert
from billing.services.ledger import ZERO

LEFT = """
WITH burnt AS (
  SELECT regexp_replace(key, '^consume:(.*):[^:]*$', '\\1') AS hold_key, sum(gift_delta) AS gift
    FROM billing_ledgerentry WHERE wallet_id = %(wallet)s AND kind = 'consume' AND gift_delta < 0 GROUP BY 1
), back AS (
  SELECT r.bill_id, sum(e.amount - e.gift_delta) AS paid
    FROM billing_refund r JOIN billing_ledgerentry e ON e.id = r.entry_id WHERE e.wallet_id = %(wallet)s GROUP BY 1
), taken AS (
  SELECT l.bill_id, sum(l.amount) AS amount
    FROM billing_invoiceline l JOIN billing_invoicerequest i ON i.id = l.invoice_id
   WHERE i.wallet_id = %(wallet)s AND i.status = ANY(%(live)s) GROUP BY 1
), bills AS (
  SELECT b.id, b.created_at,
         trunc(b.amount + coalesce(own.gift_delta, 0) + coalesce(burnt.gift, 0) - coalesce(back.paid, 0), 2)
         - coalesce(taken.amount, 0) AS rest
    FROM billing_bill b
    LEFT JOIN billing_ledgerentry own ON own.id = b.entry_id
    LEFT JOIN billing_hold h ON h.id = b.hold_id
    LEFT JOIN burnt ON burnt.hold_key = h.key
    LEFT JOIN back ON back.bill_id = b.id
    LEFT JOIN taken ON taken.bill_id = b.id
   WHERE b.wallet_id = %(wallet)s
)
SELECT id, created_at, rest FROM bills WHERE rest <> 0 ORDER BY created_at, id
"""


@dataclass(frozen=True)
class Left:
    """What is left to invoice of a bill, in whole fen; below zero where invoices have more than was paid in the end."""

    bill_id: UUID
    created_at: datetime
    amount: Decimal


def left_of_bills(wallet: Wallet) -> list[Left]:
    """The bills of the wallet of which something is left, or too much invoiced; the oldest first."""
    live = [str(status) for status in InvoiceRequest.LIVE_STATUSES]
    with connection.cursor() as cursor:
        cursor.execute(LEFT, {"wallet": wallet.pk, "live": live})
        return [Left(*row) for row in cursor.fetchall()]


def total(rows: QuerySet, column: str = "amount") -> Decimal:
    found: Decimal = rows.aggregate(total=Sum(column, default=ZERO))["total"]
    return found


def received(wallet: Wallet) -> Decimal:
    """Real money that came into the wallet and did not go back: orders less refunds by channels and chargebacks, and
    credits by hand of which two operators said that they are payments."""
    orders = RechargeOrder.objects.filter(wallet=wallet, status=RechargeOrder.Status.PAID)
    refunds = RefundOrder.objects.filter(order__wallet=wallet).exclude(status=RefundOrder.Status.FAILED)
    transfers = CreditRequest.objects.filter(
        wallet=wallet, is_payment=True, status=CreditRequest.Status.APPROVED
    )
    lost = total(refunds) + total(Receivable.objects.filter(wallet=wallet))
    return total(orders) + total(transfers) - lost


def invoiced(wallet: Wallet) -> Decimal:
    live = InvoiceRequest.objects.filter(wallet=wallet, status__in=InvoiceRequest.LIVE_STATUSES)
    return total(live)


@dataclass(frozen=True)
class Invoiceable:
    """What can be invoiced of what was chosen: `amount` in all, of `bills` each that much at most, the oldest first."""

    amount: Decimal
    bills: list[Left]

    def shares(self, amount: Decimal) -> list[tuple[UUID, Decimal]]:
        """`amount`, which is there, spread over the bills, the oldest first."""
        found = []
        for left in self.bills:
            part = min(left.amount, amount)
            if part > 0:
                found.append((left.bill_id, part))
                amount -= part
        return found


def invoiceable(
    wallet: Wallet, *, bills: Collection[UUID] | None = None, narrowing: Narrowing | None = None
) -> Invoiceable:
    """Of the wallet, or of these bills, or of those of these days."""
    rows = left_of_bills(wallet)
    cap = min(sum((row.amount for row in rows), ZERO), received(wallet) - invoiced(wallet))
    chosen = [row for row in rows if row.amount > 0]
    if bills is not None:
        chosen = [row for row in chosen if row.bill_id in bills]
    if narrowing is not None:
        meant = Bill.objects.filter(narrowing.condition(), wallet=wallet)
        kept = set(meant.filter(pk__in=[row.bill_id for row in chosen]).values_list("pk", flat=True))
        chosen = [row for row in chosen if row.bill_id in kept]
    return Invoiceable(max(min(cap, sum((row.amount for row in chosen), ZERO)), ZERO), chosen)


def excess_of(wallet: Wallet) -> Decimal:
    """By how much the invoices of the wallet are more than they may be; 0 where all is well."""
    over = -sum((row.amount for row in left_of_bills(wallet) if row.amount < 0), ZERO)
    return max(over, invoiced(wallet) - received(wallet), ZERO)


def covering(wallet: Wallet) -> list[str]:
    """Numbers of issued invoices that have more of a bill than is left of it; all, where it is no single bill."""
    short = [row.bill_id for row in left_of_bills(wallet) if row.amount < 0]
    issued = Q(status=InvoiceRequest.Status.ISSUED, wallet=wallet)
    found = InvoiceRequest.objects.filter(issued)
    if short:
        found = found.filter(pk__in=InvoiceLine.objects.filter(bill__in=short).values("invoice"))
    return sorted(found.values_list("number", flat=True)[:50])


def watch_invoices(*, wallet: Wallet, key: str) -> None:
    """Alert the operators where invoices are of more than was paid in the end, and they do not know it yet.

    Called whenever money goes back.
    """
    excess = excess_of(wallet)
    seen = {"excess": f"{excess:.2f}", "invoices": covering(wallet)} if excess else {}
    told = MoneyAlert.objects.filter(kind=MoneyAlert.Kind.INVOICE_EXCEEDED, wallet=wallet, resolved_at=None)
    if excess and not told.filter(data=seen).exists():
        alert(MoneyAlert.Kind.INVOICE_EXCEEDED, key=key, wallet=wallet, data=seen)
