"""The one way money moves: `post_entry`. Holds are built on it. Lock order: job, hold, wallet."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditEvent, User
from accounts.services import audit
from billing.errors import HoldExceeded, IdempotencyConflict, InsufficientBalance
from billing.models import Bill, BillLine, Hold, LedgerEntry, Wallet
from common.errors import Invalid

FEN = Decimal("0.01")
SMALLEST = Decimal("0.000001")
LARGEST_CREDIT = Decimal(10_000_000)


def to_fen(amount: Decimal) -> Decimal:
    """Rounded to the fen, half up."""
    return amount.quantize(FEN, ROUND_HALF_UP)


def up_to_fen(amount: Decimal) -> Decimal:
    """Rounded up to the fen, so that a hold always covers what `to_fen` charges."""
    return amount.quantize(FEN, ROUND_UP)


# One statement takes the row lock, checks what is available and numbers the entry.
MOVE = """
UPDATE billing_wallet
   SET balance = balance + %(amount)s, held = held + %(held)s, sequence = sequence + 1, updated_at = now()
 WHERE id = %(wallet)s AND balance + %(amount)s - (held + %(held)s) >= 0
   AND held + %(held)s >= 0 AND balance + %(amount)s >= 0
RETURNING balance, held, sequence
"""


def post_entry(
    *,
    wallet: Wallet,
    kind: LedgerEntry.Kind,
    amount: Decimal = Decimal(0),
    held_delta: Decimal = Decimal(0),
    key: str,
    description: str = "",
    task_id: UUID | None = None,
    actor: User | None = None,
) -> LedgerEntry:
    """Move money and write the entry, in one transaction; the same `key` has one effect.

    A repeated call returns the first entry. Raises IdempotencyConflict when the content differs,
    InsufficientBalance when less is available than is taken or held; ValueError for more than six places, which
    wallet and entry would round each for itself.
    """
    if amount % SMALLEST or held_delta % SMALLEST:
        raise ValueError("money has six decimal places")
    content: dict[str, Any] = {"kind": kind, "amount": amount, "held_delta": held_delta, "task_id": task_id}
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(MOVE, {"amount": amount, "held": held_delta, "wallet": wallet.pk})
                moved = cursor.fetchone()
            if moved is not None:
                balance, held, sequence = moved
                return LedgerEntry.objects.create(
                    wallet=wallet,
                    sequence=sequence,
                    balance_after=balance,
                    held_after=held,
                    key=key,
                    description=description,
                    actor=actor,
                    **content,
                )
    except IntegrityError as error:
        if getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") != "billing_entry_key":
            raise
    return earlier_entry(wallet, key, content)


def earlier_entry(wallet: Wallet, key: str, content: dict[str, Any]) -> LedgerEntry:
    """The entry already written under `key`; without one, the move was refused for lack of money."""
    entry = LedgerEntry.objects.filter(wallet=wallet, key=key).first()
    if entry is None:
        wallet.refresh_from_db()
        required = content["held_delta"] if content["held_delta"] > 0 else -content["amount"]
        raise InsufficientBalance(required=float(required), available=float(wallet.available))
    if any(getattr(entry, field) != value for field, value in content.items()):
        raise IdempotencyConflict
    return entry


def wallet_of(user: User, currency: str = "CNY") -> Wallet:
    """The user's wallet; registration makes one, and whoever came another way gets an empty one here."""
    wallet, _created = Wallet.objects.get_or_create(user=user, currency=currency)
    return wallet


def credit(*, user: User, amount: Decimal, key: str, reason: str, actor: User | None = None) -> LedgerEntry:
    """An operator's credit in CNY: positive, in whole fen, at most LARGEST_CREDIT.

    Raises Invalid, IdempotencyConflict.
    """
    if not amount.is_finite() or not 0 < amount <= LARGEST_CREDIT or amount % FEN:
        raise Invalid(
            _("An amount is more than 0, at most %(limit)s, with at most two decimals."),
            field="amount",
            limit=int(LARGEST_CREDIT),
        )
    if not reason.strip() or len(reason) > 500:
        raise Invalid(_("A reason of at most 500 characters is needed."), field="reason")
    with transaction.atomic():
        entry = post_entry(
            wallet=wallet_of(user),
            kind=LedgerEntry.Kind.RECHARGE,
            amount=amount,
            key=key,
            description=reason,
            actor=actor,
        )
        record_credit(user, entry, actor)
    return entry


def record_credit(user: User, entry: LedgerEntry, actor: User | None) -> None:
    """Write a credit down in the audit log, once: for a repeated call the entry is an earlier one, and so is this."""
    action = AuditEvent.Action.BALANCE_CHANGED
    done = {"action": action, "target_type": LedgerEntry._meta.label_lower, "target_id": str(entry.pk)}
    if AuditEvent.objects.filter(**done).exists():
        return
    audit.record(
        action,
        user=user,
        actor=actor,
        target=entry,
        before={"balance": f"{entry.balance_after - entry.amount:.2f}"},
        after={
            "balance": f"{entry.balance_after:.2f}",
            "amount": f"{entry.amount:.2f}",
            "reason": entry.description,
        },
    )


def place_hold(*, user: User, amount: Decimal, key: str, task_id: UUID, description: str) -> Hold:
    """Set `amount` (> 0) aside. Raises InsufficientBalance, IdempotencyConflict."""
    wallet = wallet_of(user)
    with transaction.atomic():
        post_entry(
            wallet=wallet,
            kind=LedgerEntry.Kind.HOLD,
            held_delta=amount,
            key=f"hold:{key}",
            task_id=task_id,
            description=description,
        )
        placed = {"amount": amount, "task_id": task_id}
        return Hold.objects.get_or_create(wallet=wallet, key=key, defaults=placed)[0]


def extend_hold(*, hold: Hold, amount: Decimal, key: str, description: str) -> None:
    """Set `amount` (> 0) more aside in an open hold; the same `key` has one effect.

    Raises InsufficientBalance, IdempotencyConflict; ValueError for a closed hold.
    """
    with transaction.atomic():
        locked = Hold.objects.select_for_update(of=("self",)).select_related("wallet").get(pk=hold.pk)
        if locked.status == Hold.Status.CLOSED:
            raise ValueError("a closed hold is not extended")
        is_new = not LedgerEntry.objects.filter(wallet=locked.wallet, key=f"hold:{key}").exists()
        post_entry(
            wallet=locked.wallet,
            kind=LedgerEntry.Kind.HOLD,
            held_delta=amount,
            key=f"hold:{key}",
            task_id=locked.task_id,
            description=description,
        )
        if is_new:
            Hold.objects.filter(pk=locked.pk).update(amount=F("amount") + amount, updated_at=timezone.now())


@dataclass(frozen=True)
class Charge:
    """What a job used: `quantity` units at `unit_price`, as it will stand on the bill."""

    description: str
    quantity: Decimal
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.unit_price


def settle_hold(*, hold: Hold, charges: list[Charge], description: str) -> Bill | None:
    """Close the hold: capture what was used, rounded to the fen as a whole, release the rest, write the bill.

    Settling a closed hold again changes nothing. Raises HoldExceeded when more was used than held.
    """
    used = [charge for charge in charges if charge.quantity]
    due = to_fen(sum((charge.amount for charge in used), Decimal(0)))
    with transaction.atomic():
        # In a statement of its own: read together with the wallet's, the row could be a stale one.
        locked = Hold.objects.select_for_update(of=("self",)).select_related("wallet").get(pk=hold.pk)
        if locked.status == Hold.Status.CLOSED:
            return Bill.objects.filter(hold=locked).first()
        if due > locked.rest:
            raise HoldExceeded(held=float(locked.rest), used=float(due))
        move_hold(locked, LedgerEntry.Kind.CONSUME, due, description)
        move_hold(locked, LedgerEntry.Kind.RELEASE, locked.amount - due, description)
        locked.captured, locked.released = due, locked.amount - due
        locked.status, locked.closed_at = Hold.Status.CLOSED, timezone.now()
        locked.save(update_fields=["captured", "released", "status", "closed_at", "updated_at"])
        if not due:
            return None
        return write_bill(locked, used, due, description)


def move_hold(hold: Hold, kind: LedgerEntry.Kind, amount: Decimal, description: str) -> None:
    if amount:
        post_entry(
            wallet=hold.wallet,
            kind=kind,
            amount=-amount if kind == LedgerEntry.Kind.CONSUME else Decimal(0),
            held_delta=-amount,
            key=f"{kind}:{hold.key}",
            task_id=hold.task_id,
            description=description,
        )


def write_bill(hold: Hold, charges: list[Charge], amount: Decimal, description: str) -> Bill:
    bill = Bill.objects.create(
        wallet=hold.wallet, hold=hold, task_id=hold.task_id, amount=amount, description=description
    )
    BillLine.objects.bulk_create(
        BillLine(
            bill=bill,
            description=charge.description,
            quantity=charge.quantity,
            unit_price=charge.unit_price,
            amount=charge.amount,
        )
        for charge in charges
    )
    return bill
