"""Charges by the day: each day of an owner once, tried again for a while where money is missing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

from accounts.models import Notification
from accounts.services.notifications import notify
from billing.errors import InsufficientBalance, WalletParked
from billing.models import Bill, LedgerEntry, Wallet
from billing.services.bills import Charge, charge_now
from billing.services.ledger import SMALLEST
from billing.services.operators import keepers_of
from billing.services.prices import GB

MISSED_DAYS = 30
"""Days that are tried again where money was missing or the schedule did not run; older ones are dropped."""


@dataclass(frozen=True)
class Use:
    """What an owner used on a day, in bytes."""

    day: date
    size: int


@dataclass(frozen=True)
class Sort:
    """A kind of charge: the kind of its bills, the text of a line, the notice where it is not paid, and the price of
    a GB on a day; None for a day without a price.
    """

    kind: Bill.Kind
    line: Any
    unpaid: str
    message: str
    price: Callable[[date], Decimal | None]


def charge_days(*, wallet: Wallet, uses: Iterable[Use], sort: Sort, now: datetime) -> int:
    """Charge what is unpaid of `uses`; returns how many days were charged.

    Where money is missing, the rest waits for the next run. Runs that are late, repeated or parallel do no harm: the
    day is the key.
    """
    unpaid, charged = {f"{sort.kind}:{use.day}": use for use in uses}, 0
    paid = LedgerEntry.objects.filter(wallet=wallet, key__in=unpaid).values_list("key", flat=True)
    for key in sorted(unpaid.keys() - set(paid)):
        use = unpaid[key]
        price = sort.price(use.day)
        if price is None:
            continue
        name = str(sort.line) % {"date": use.day}
        size = (Decimal(use.size) / GB).quantize(SMALLEST, ROUND_DOWN)
        try:
            bill = charge_now(
                wallet=wallet,
                kind=sort.kind,
                charges=[Charge(name, size, price)],
                key=key,
                description=name,
            )
        except (InsufficientBalance, WalletParked):
            tell_unpaid(wallet, sort, now)
            break
        charged += bill is not None
    return charged


def tell_unpaid(wallet: Wallet, sort: Sort, now: datetime) -> None:
    """Tell those who keep the wallet, once a day."""
    day = now.astimezone(UTC).date().isoformat()
    for user in keepers_of(wallet):
        if Notification.objects.filter(user=user, title=sort.unpaid, params__day=day).exists():
            continue
        notify(
            user=user,
            title=sort.unpaid,
            message=sort.message,
            level=Notification.Level.WARNING,
            params={"day": day},
            action_url=f"/billing#balance?wallet={wallet.pk}",
        )
