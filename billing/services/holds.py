"""Money set aside for work under way: placed, extended, captured as it is used, and closed once."""

from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from billing.errors import HoldExceeded
from billing.models import Bill, Hold, LedgerEntry, Wallet
from billing.services.bills import Charge, due_for, write_bill
from billing.services.ledger import post_entry
from billing.services.limits import enforce_limit

CAPTURED_BY = {
    Hold.Purpose.JOB: LedgerEntry.Kind.CONSUME,
    Hold.Purpose.WITHDRAWAL: LedgerEntry.Kind.WITHDRAWAL,
}


def place_hold(
    *,
    wallet: Wallet,
    amount: Decimal,
    key: str,
    description: str,
    task_id: UUID | None = None,
    purpose: Hold.Purpose = Hold.Purpose.JOB,
    spender: User | None = None,
    engine: str = "",
) -> Hold:
    """Set `amount` (> 0) aside, for a job of `spender`.

    Raises InsufficientBalance, WalletParked, IdempotencyConflict, SpendingLimitReached.
    """
    with transaction.atomic():
        post_entry(
            wallet=wallet,
            kind=LedgerEntry.Kind.HOLD,
            held_delta=amount,
            key=f"hold:{key}",
            task_id=task_id,
            description=description,
        )
        placed = {
            "amount": amount,
            "task_id": task_id,
            "purpose": purpose,
            "spender": spender,
            "engine": engine,
        }
        hold, is_new = Hold.objects.get_or_create(wallet=wallet, key=key, defaults=placed)
        if is_new:
            enforce_limit(hold=hold, amount=amount)
        return hold


def lock_hold(hold: Hold) -> Hold:
    """The hold as it is now, locked in a statement of its own: read together with the wallet, it could be stale."""
    return Hold.objects.select_for_update(of=("self",)).select_related("wallet").get(pk=hold.pk)


def extend_hold(*, hold: Hold, amount: Decimal, key: str, description: str) -> None:
    """Set `amount` (> 0) more aside in an open hold; the same `key` has one effect.

    Raises InsufficientBalance, WalletParked, IdempotencyConflict, SpendingLimitReached; ValueError for a closed hold.
    """
    with transaction.atomic():
        locked = lock_hold(hold)
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
            enforce_limit(hold=locked, amount=amount)


def capture_hold(*, hold: Hold, total: Decimal, description: str) -> LedgerEntry | None:
    """Take from an open hold what is still missing of `total` (whole fen, of the whole hold so far); None if nothing
    is.

    The total makes repetition harmless. Raises HoldExceeded; ValueError for a closed hold.
    """
    with transaction.atomic():
        locked = lock_hold(hold)
        if locked.status == Hold.Status.CLOSED:
            raise ValueError("nothing is captured from a closed hold")
        entry = capture(locked, total, description)
        if entry:
            locked.save(update_fields=["captured", "updated_at"])
        return entry


def settle_hold(*, hold: Hold, charges: list[Charge], description: str) -> Bill | None:
    """Close the hold: capture what was used and is not captured yet, release the rest, write the bill.

    What was used is rounded to the fen as a whole. Settling a closed hold again changes nothing. Raises HoldExceeded
    when more was used than held, or less than was captured.
    """
    used = [charge for charge in charges if charge.quantity]
    due = due_for(used)
    with transaction.atomic():
        locked = lock_hold(hold)
        if locked.status == Hold.Status.CLOSED:
            return Bill.objects.filter(hold=locked).first()
        close(locked, due, description)
        if not due:
            return None
        return write_bill(
            wallet=locked.wallet,
            hold=locked,
            task_id=locked.task_id,
            amount=due,
            description=description,
            charges=used,
        )


def close(hold: Hold, total: Decimal, description: str) -> None:
    """Capture up to `total` and release the rest of a hold that is locked and open. Raises HoldExceeded."""
    capture(hold, total, description)
    hold.released = hold.rest
    move(hold, LedgerEntry.Kind.RELEASE, hold.released, f"release:{hold.key}", description)
    hold.status, hold.closed_at = Hold.Status.CLOSED, timezone.now()
    hold.save(update_fields=["captured", "released", "status", "closed_at", "updated_at"])


def capture(hold: Hold, total: Decimal, description: str) -> LedgerEntry | None:
    """Capture up to `total` of a hold that is locked and open; the caller saves it."""
    if not hold.captured <= total <= hold.amount:
        raise HoldExceeded(held=float(hold.amount), captured=float(hold.captured), used=float(total))
    kind = CAPTURED_BY[Hold.Purpose(hold.purpose)]
    entry = move(hold, kind, total - hold.captured, f"{kind}:{hold.key}:{total}", description)
    hold.captured = total
    return entry


def move(
    hold: Hold, kind: LedgerEntry.Kind, amount: Decimal, key: str, description: str
) -> LedgerEntry | None:
    """Post `amount` out of the hold, unless it is nothing."""
    if not amount:
        return None
    return post_entry(
        wallet=hold.wallet,
        kind=kind,
        amount=Decimal(0) if kind == LedgerEntry.Kind.RELEASE else -amount,
        held_delta=-amount,
        key=key,
        task_id=hold.task_id,
        description=description,
    )
