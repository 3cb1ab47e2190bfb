"""What people pay for storage beyond their plan, day by day, from the samples of usage."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from uuid import UUID

from django.db.models import F, Max, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Notification, User
from accounts.services.notifications import notify
from billing.errors import InsufficientBalance, WalletParked
from billing.models import Bill, LedgerEntry, PriceRule
from billing.services.bills import Charge, charge_now
from billing.services.ledger import SMALLEST, wallet_of
from billing.services.prices import GB, rule_for
from drives.models import DriveUsageSample

MISSED_DAYS = 30
"""Days that are tried again where the money was missing, or nobody ran this; older ones are let go."""
UNPAID = gettext_noop("Storage is not paid")


@dataclass(frozen=True)
class Excess:
    """What a person stored on a day beyond what their plan had then, in bytes."""

    user_id: UUID
    day: date
    size: int


def excesses(*, now: datetime) -> list[Excess]:
    """By person and day, the oldest first; of days (UTC) that are over. Deleted drives count while they are kept."""
    today = now.astimezone(UTC).date()
    samples = DriveUsageSample.objects.filter(
        sample_date__lt=today,
        sample_date__gte=today - timedelta(days=MISSED_DAYS),
        plan_size__isnull=False,
        drive__user__deleted_at__isnull=True,
    )
    days = samples.values("drive__user", "sample_date").annotate(used=Sum("used_size"), plan=Max("plan_size"))
    rows = days.filter(used__gt=F("plan")).order_by("drive__user", "sample_date")
    return [
        Excess(user, day, used - plan)
        for user, day, used, plan in rows.values_list("drive__user", "sample_date", "used", "plan")
    ]


def charge_storage(*, now: datetime) -> int:
    """Charge each day once; how many were. Late, twice and by two at once does no harm: the day is the key."""
    charged = 0
    for user_id, days in groupby(excesses(now=now), key=lambda excess: excess.user_id):
        charged += charge_owner(User.objects.get(pk=user_id), days, now=now)
    return charged


def charge_owner(user: User, days: Iterable[Excess], *, now: datetime) -> int:
    """Charge what is not paid of `days`; where the money does not suffice the rest waits for the next run."""
    wallet, charged = wallet_of(user), 0
    unpaid = {f"storage:{excess.day}": excess for excess in days}
    paid = LedgerEntry.objects.filter(wallet=wallet, key__in=unpaid).values_list("key", flat=True)
    for key in sorted(unpaid.keys() - set(paid)):
        excess = unpaid[key]
        rule = rule_for(PriceRule.Unit.STORAGE, now=datetime.combine(excess.day, time.max, UTC))
        if rule is None:
            continue
        name = _("Storage beyond the plan on %(date)s, in GB") % {"date": excess.day}
        size = (Decimal(excess.size) / GB).quantize(SMALLEST, ROUND_HALF_UP)
        try:
            bill = charge_now(
                wallet=wallet,
                kind=Bill.Kind.STORAGE,
                charges=[Charge(name, size, rule.price)],
                key=key,
                description=name,
            )
        except (InsufficientBalance, WalletParked):
            tell_unpaid(user, now)
            break
        charged += bill is not None
    return charged


def tell_unpaid(user: User, now: datetime) -> None:
    """Once a day."""
    day = now.astimezone(UTC).date().isoformat()
    if Notification.objects.filter(user=user, title=UNPAID, params__day=day).exists():
        return
    notify(
        user=user,
        title=UNPAID,
        message=gettext_noop(
            "More is stored than your plan has, and the balance is not enough for it. Recharge, delete something, or "
            "choose a larger plan."
        ),
        level=Notification.Level.WARNING,
        params={"day": day},
        action_url="/account",
    )
