"""Bills: what was charged, line by line; and charges without a hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import transaction

from billing.models import Bill, BillLine, LedgerEntry, Wallet
from billing.services.ledger import SMALLEST, post_entry, to_fen


@dataclass(frozen=True)
class Charge:
    """Usage: `quantity` units at `unit_price`, as it will appear on the bill."""

    description: str
    quantity: Decimal
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        return (self.quantity * self.unit_price).quantize(SMALLEST, ROUND_HALF_UP)


def due_for(charges: Iterable[Charge]) -> Decimal:
    """The sum of the charges, rounded to the fen once."""
    return to_fen(sum((charge.amount for charge in charges), Decimal(0)))


def charge_now(
    *, wallet: Wallet, kind: Bill.Kind, charges: list[Charge], key: str, description: str
) -> Bill | None:
    """Take what was used from the wallet and write the bill; nothing due, no bill. The same `key` charges once.

    Raises InsufficientBalance, WalletParked, IdempotencyConflict.
    """
    due = due_for(charges)
    if not due:
        return None
    with transaction.atomic():
        entry = post_entry(
            wallet=wallet, kind=LedgerEntry.Kind.CONSUME, amount=-due, key=key, description=description
        )
        earlier = Bill.objects.filter(entry=entry).first()
        source = {"entry": entry, "kind": kind, "amount": due, "description": description}
        return earlier or write_bill(wallet=wallet, charges=charges, **source)


def write_bill(*, charges: list[Charge], **bill: Any) -> Bill:
    written = Bill.objects.create(**bill)
    BillLine.objects.bulk_create(
        BillLine(
            bill=written,
            description=charge.description,
            quantity=charge.quantity,
            unit_price=charge.unit_price,
            amount=charge.amount,
        )
        for charge in charges
    )
    return written
