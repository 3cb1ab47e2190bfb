"""What was paid and may go back, and what wallets owe after chargebacks."""

from decimal import Decimal

from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from accounts.models import AuditEvent, Notification, User
from accounts.services import audit
from accounts.services.notifications import notify
from billing.errors import IdempotencyConflict, OrderNotPaid, RefundTooLarge
from billing.models import Hold, LedgerEntry, MoneyAlert, Receivable, RechargeOrder, RefundOrder, Wallet
from billing.services.alerts import alert
from billing.services.invoiceable import watch_invoices
from billing.services.ledger import FEN, ZERO, post_entry
from common.errors import Invalid

Status = RechargeOrder.Status


def lock_wallet(wallet: Wallet) -> Wallet:
    """The wallet as it is now; whoever moves its money waits for the caller's transaction."""
    return Wallet.objects.select_for_update(no_key=True, of=("self",)).get(pk=wallet.pk)


def free_to_pay_back(wallet: Wallet) -> Decimal:
    """Paid, not given, and neither set aside nor on its way back; of a wallet that is locked."""
    going = Hold.objects.filter(
        wallet=wallet, status=Hold.Status.OPEN, purpose=Hold.Purpose.WITHDRAWAL
    ).aggregate(total=Sum(F("amount") - F("captured") - F("released"), default=ZERO))["total"]
    return max(min(wallet.available, wallet.paid - going), ZERO)


def refundable(order: RechargeOrder) -> Decimal:
    """What of an order is neither paid back, nor on its way, nor charged back."""
    refunds = RefundOrder.objects.filter(order=order).exclude(status=RefundOrder.Status.FAILED)
    back = refunds.aggregate(total=Sum("amount", default=ZERO))["total"]
    charged = Receivable.objects.filter(order=order).aggregate(total=Sum("amount", default=ZERO))["total"]
    return order.amount - back - charged


def require_reason(reason: str, longest: int = 200) -> None:
    if not reason.strip() or len(reason) > longest:
        raise Invalid(
            gettext_lazy("A reason of at most %(limit)s characters is needed."), field="reason", limit=longest
        )


def lock_paid(order: RechargeOrder, amount: Decimal) -> RechargeOrder:
    """The order, locked, of which `amount` can go back. Raises Invalid, OrderNotPaid, RefundTooLarge."""
    if not amount.is_finite() or amount <= 0 or amount % FEN:
        raise Invalid(gettext_lazy("An amount is more than 0, with at most two decimals."), field="amount")
    locked = RechargeOrder.objects.select_for_update(of=("self",)).select_related("wallet").get(pk=order.pk)
    if locked.status != Status.PAID:
        raise OrderNotPaid
    left = refundable(locked)
    if amount > left:
        raise RefundTooLarge(refundable=float(left))
    return locked


def charge_back(*, order: RechargeOrder, amount: Decimal, key: str, reason: str, actor: User) -> Receivable:
    """A channel has taken `amount` of a paid order back: take what is there, the next recharges pay the rest.

    The same `key` counts once. Raises Invalid, OrderNotPaid, RefundTooLarge, IdempotencyConflict.
    """
    require_reason(reason)
    with transaction.atomic():
        RechargeOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        known = Receivable.objects.filter(order=order, key=key).first()
        if known is not None:
            if known.amount != amount:
                raise IdempotencyConflict
            return known
        locked = lock_paid(order, amount)
        row = Receivable.objects.create(
            wallet=locked.wallet, order=locked, amount=amount, key=key, reason=reason, maker=actor
        )
        before = lock_wallet(locked.wallet).balance
        taken = collect(wallet=locked.wallet)
        row.refresh_from_db()
        audit.record(
            AuditEvent.Action.BALANCE_CHANGED,
            user=locked.payer,
            actor=actor,
            target=row,
            before={"balance": f"{before:.2f}"},
            after={
                "balance": f"{before - taken:.2f}",
                "amount": f"{-amount:.2f}",
                "order_no": locked.order_no,
                "reason": reason,
            },
        )
        if row.settled_at is None:
            missing = {"amount": str(row.amount), "collected": str(row.collected)}
            kind = MoneyAlert.Kind.CHARGEBACK_UNCOVERED
            alert(kind, key=str(row.pk), wallet=row.wallet, order=locked, data=missing)
        watch_invoices(wallet=row.wallet, key=f"receivable:{row.pk}")
        notify(
            user=locked.payer,
            title=gettext_noop("A payment was charged back"),
            message=gettext_noop("%(amount)s yuan of order %(order)s were taken back by the channel."),
            params={"amount": f"{amount:.2f}", "order": locked.order_no},
            level=Notification.Level.WARNING,
        )
        return row


def collect(*, wallet: Wallet) -> Decimal:
    """Take what open receivables of the wallet still miss, the oldest first, as far as it can pay; what was taken."""
    taken = ZERO
    with transaction.atomic():
        locked = lock_wallet(wallet)
        free = free_to_pay_back(locked)
        for row in Receivable.objects.filter(wallet=wallet, settled_at=None).order_by("created_at", "pk"):
            part = min(row.amount - row.collected, free - taken)
            if part <= 0:
                break
            post_entry(
                wallet=locked,
                kind=LedgerEntry.Kind.CHARGEBACK,
                amount=-part,
                key=f"receivable:{row.pk}:{row.collected}",
                description=_("Chargeback of order %(order)s") % {"order": row.order.order_no},
                actor=None,
            )
            row.collected += part
            row.settled_at = timezone.now() if row.collected == row.amount else None
            row.save(update_fields=["collected", "settled_at", "updated_at"])
            taken += part
    return taken
