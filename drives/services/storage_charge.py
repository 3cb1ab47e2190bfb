"""Charges for storage beyond the plan, day by day, from the samples of usage."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from django.db.models import F, Max, Sum
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.models import User
from billing.models import Bill, PriceRule
from billing.services.ledger import wallet_of
from billing.services.prices import rule_for
from drives.models import DriveUsageSample
from drives.services.daily_charge import MISSED_DAYS, Sort, Use, charge_days

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


def price_of_day(day: date) -> Decimal | None:
    """Of a GB-day: the price as the day ends."""
    rule = rule_for(PriceRule.Unit.STORAGE, now=datetime.combine(day, time.max, UTC))
    return rule.price if rule else None


STORAGE = Sort(
    kind=Bill.Kind.STORAGE,
    line=_("Storage beyond the plan on %(date)s, in GB"),
    unpaid=UNPAID,
    message=gettext_noop(
        "More is stored than your plan has, and the balance is not enough for it. Recharge, delete something, or "
        "choose a larger plan."
    ),
    price=price_of_day,
)


def charge_storage(*, now: datetime) -> int:
    """Charge each day once; how many were."""
    charged = 0
    for user_id, days in groupby(excesses(now=now), key=lambda excess: excess.user_id):
        wallet = wallet_of(User.objects.get(pk=user_id))
        uses = [Use(excess.day, excess.size) for excess in days]
        charged += charge_days(wallet=wallet, uses=uses, sort=STORAGE, now=now)
    return charged
