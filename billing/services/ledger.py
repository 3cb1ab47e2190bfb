"""The only way to move money: `post_entry`. Holds, bills and gifts are built on it. Lock order: job, hold, wallet."""

from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Any
from uuid import UUID

from accounts.models import Team, User
from billing.errors import IdempotencyConflict, InsufficientBalance, WalletParked
from billing.models import LedgerEntry, Wallet
from common.ids import new_id

FEN = Decimal("0.01")
SMALLEST = Decimal("0.000001")
LARGEST_CREDIT = Decimal(10_000_000)
ZERO = Decimal(0)


def to_fen(amount: Decimal) -> Decimal:
    """Rounded to the fen, half up."""
    return amount.quantize(FEN, ROUND_HALF_UP)


def up_to_fen(amount: Decimal) -> Decimal:
    """Rounded up to the fen, so that a hold always covers what `to_fen` charges."""
    return amount.quantize(FEN, ROUND_UP)


POST = (
    "SELECT * FROM billing_post(%(wallet)s, %(entry)s, %(kind)s, %(amount)s, %(held)s, %(gift)s, %(key)s,"
    " %(description)s, %(task)s, %(actor)s)"
)
"""The function of migrations/0007_post_function.py: no row where the wallet does not allow it."""


def post_entry(
    *,
    wallet: Wallet,
    kind: LedgerEntry.Kind,
    amount: Decimal = ZERO,
    held_delta: Decimal = ZERO,
    gift_delta: Decimal = ZERO,
    key: str,
    description: str = "",
    task_id: UUID | None = None,
    actor: User | None = None,
) -> LedgerEntry:
    """Move money and write the entry, in one statement; the same `key` has one effect in the wallet.

    A consumption burns gifts first, of itself; the caller says `gift_delta` for the other kinds. A repeated call
    returns the first entry. Raises IdempotencyConflict when the content differs, InsufficientBalance when less is
    available than is taken or held, WalletParked; ValueError for more than six places, which wallet and entry would
    round each for itself.
    """
    if amount % SMALLEST or held_delta % SMALLEST or gift_delta % SMALLEST:
        raise ValueError("money has six decimal places")
    values = {
        "wallet": wallet.pk,
        "entry": new_id(),
        "kind": kind,
        "amount": amount,
        "held": held_delta,
        "gift": gift_delta,
        "key": key,
        "description": description,
        "task": task_id,
        "actor": actor.pk if actor else None,
    }
    entry: LedgerEntry | None = next(iter(LedgerEntry.objects.raw(POST, values)), None)
    if entry is None:
        raise refusal(wallet, amount, held_delta)
    if entry.pk != values["entry"]:
        content: dict[str, Any] = {
            "kind": kind,
            "amount": amount,
            "held_delta": held_delta,
            "task_id": task_id,
        }
        if any(getattr(entry, field) != value for field, value in content.items()):
            raise IdempotencyConflict
    return entry


def refusal(wallet: Wallet, amount: Decimal, held_delta: Decimal) -> InsufficientBalance | WalletParked:
    """Why nothing was moved."""
    wallet.refresh_from_db()
    required = held_delta if held_delta > 0 else -amount
    if wallet.parked_at is not None and wallet.available >= required:
        return WalletParked()
    return InsufficientBalance(required=float(required), available=float(wallet.available))


def available_of(owner: User | Team, currency: str = "CNY") -> Decimal:
    """What the owner may spend. For an owner without a wallet it is nothing, and no wallet is created."""
    who = {"team": owner} if isinstance(owner, Team) else {"user": owner}
    wallet = Wallet.objects.filter(**who, currency=currency).first()
    return wallet.available if wallet else ZERO


def wallet_of(owner: User | Team, currency: str = "CNY") -> Wallet:
    """The wallet of a user or a team. Registration makes a user's; an owner without one gets an empty one here."""
    who = {"team": owner} if isinstance(owner, Team) else {"user": owner}
    wallet, _created = Wallet.objects.get_or_create(**who, currency=currency)
    return wallet
