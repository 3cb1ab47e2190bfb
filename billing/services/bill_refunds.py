"""Refunds of bills: by an operator, for a reason, never more than the bill."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy, gettext_noop

from accounts.models import AuditEvent, Notification, User
from accounts.services import audit
from accounts.services.notifications import notify
from billing.errors import IdempotencyConflict, RefundExceeded
from billing.models import Bill, Gift, LedgerEntry, Refund, Wallet
from billing.services.invoiceable import watch_invoices
from billing.services.ledger import FEN, ZERO, post_entry
from billing.signals import wallet_credited
from common.errors import Invalid

GIFT_LASTS = timedelta(days=30)
"""How long a gift is valid that returns spent gift money."""


def refund_bill(*, bill: Bill, amount: Decimal, reason: str, key: str, actor: User | None = None) -> Refund:
    """Give `amount` (whole fen) of the bill back; the same `key` gives it once.

    What was paid comes back first, then what was burnt of gifts, as a gift for 30 days. Raises Invalid, RefundExceeded,
    IdempotencyConflict.
    """
    if not amount.is_finite() or amount <= 0 or amount % FEN:
        raise Invalid(gettext_lazy("An amount is more than 0, with at most two decimals."), field="amount")
    if not reason.strip() or len(reason) > 500:
        raise Invalid(gettext_lazy("A reason of at most 500 characters is needed."), field="reason")
    with transaction.atomic():
        # Whoever else gives back of this bill waits here.
        locked = (
            Bill.objects.select_for_update(of=("self",), no_key=True).select_related("wallet").get(pk=bill.pk)
        )
        if earlier := Refund.objects.filter(bill=locked, entry__key=f"refund:{key}").first():
            if earlier.amount != amount:
                raise IdempotencyConflict
            return earlier
        left = refundable(locked)
        if amount > left:
            raise RefundExceeded(refundable=float(left))
        paid = min(amount, paid_of(locked) - paid_back(locked))
        entry = post_entry(
            wallet=locked.wallet,
            kind=LedgerEntry.Kind.REFUND,
            amount=amount,
            gift_delta=amount - paid,
            key=f"refund:{key}",
            task_id=locked.task_id,
            description=reason,
            actor=actor,
        )
        if amount > paid:
            Gift.objects.create(
                wallet=locked.wallet,
                entry=entry,
                amount=amount - paid,
                remaining=amount - paid,
                expires_at=timezone.now() + GIFT_LASTS,
            )
        refund = Refund.objects.create(bill=locked, entry=entry, amount=amount, reason=reason, actor=actor)
        record(refund, locked.wallet, actor)
        watch_invoices(wallet=locked.wallet, key=f"refund:{refund.pk}")
        wallet_credited.send(sender=Wallet, wallet=locked.wallet, entry=entry)
    return refund


def refund_task(
    *, task_id: UUID, amount: Decimal, reason: str, key: str, actor: User | None = None
) -> list[Refund]:
    """Refund a render task: the newest of its bills first. Raises what `refund_bill` raises."""
    with transaction.atomic():
        bills = Bill.objects.filter(task_id=task_id).select_for_update(of=("self",), no_key=True)
        left = {bill: refundable(bill) for bill in bills.order_by("-created_at", "-pk")}
        done = Refund.objects.filter(bill__task_id=task_id, entry__key__startswith=f"refund:{key}:")
        if earlier := list(done):
            if sum(refund.amount for refund in earlier) != amount:
                raise IdempotencyConflict
            return earlier
        if amount > sum(left.values()):
            raise RefundExceeded(refundable=float(sum(left.values())))
        refunds: list[Refund] = []
        for bill, most in left.items():
            part = min(amount, most)
            if part > 0 or (not refunds and amount <= 0):
                refunds.append(
                    refund_bill(bill=bill, amount=part, reason=reason, key=f"{key}:{bill.pk}", actor=actor)
                )
                amount -= part
        return refunds


def refundable(bill: Bill) -> Decimal:
    """What is left of the bill, in whole fen."""
    return bill.amount - (Refund.objects.filter(bill=bill).aggregate(total=Sum("amount"))["total"] or ZERO)


def entries_of(bill: Bill) -> QuerySet[LedgerEntry]:
    """The entries by which the bill was paid."""
    by_hold = Q(key__startswith=f"consume:{bill.hold.key}:") if bill.hold else Q(pk=bill.entry_id)
    return LedgerEntry.objects.filter(by_hold, wallet=bill.wallet_id, kind=LedgerEntry.Kind.CONSUME)


def paid_of(bill: Bill) -> Decimal:
    """What of the bill was paid money, and not burnt of gifts."""
    burnt = entries_of(bill).aggregate(total=Sum("gift_delta"))["total"] or ZERO
    return bill.amount + burnt


def paid_back(bill: Bill) -> Decimal:
    sums = LedgerEntry.objects.filter(refund__bill=bill).aggregate(all=Sum("amount"), given=Sum("gift_delta"))
    return (sums["all"] or ZERO) - (sums["given"] or ZERO)


def record(refund: Refund, wallet: Wallet, actor: User | None) -> None:
    """Write it into the audit log, and tell the owner of the wallet if that is a person."""
    entry = refund.entry
    audit.record(
        AuditEvent.Action.BALANCE_CHANGED,
        user=wallet.user,
        actor=actor,
        target=refund,
        before={"balance": f"{entry.balance_after - entry.amount:.2f}"},
        after={
            "balance": f"{entry.balance_after:.2f}",
            "amount": f"{entry.amount:.2f}",
            "bill": str(refund.bill_id),
            "reason": refund.reason,
        },
    )
    if wallet.user is not None and wallet.user.deleted_at is None:
        notify(
            user=wallet.user,
            title=gettext_noop("%(amount)s yuan were given back"),
            message=gettext_noop("%(reason)s"),
            level=Notification.Level.SUCCESS,
            params={"amount": f"{refund.amount:.2f}", "reason": refund.reason},
        )
