"""Charges for downloads from drives, day by day; nothing where no price is in force."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from uuid import UUID

from django.db.models import Sum
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.models import Team, User
from billing.models import Bill, PriceRule
from billing.services.ledger import wallet_of
from billing.services.prices import rule_for
from drives.models import TrafficSample
from drives.services.daily_charge import MISSED_DAYS, Sort, Use, charge_days
from drives.services.traffic import sample_traffic

UNPAID = gettext_noop("Traffic is not paid")


def price_of_day(day: date) -> Decimal | None:
    """Of a GB: a price must be in force when the day begins and when it ends, and the lower one counts, so that nobody
    pays for what was downloaded before a price was there, or by a higher one than was."""
    rules = [
        rule_for(PriceRule.Unit.TRAFFIC, now=datetime.combine(day, moment, UTC))
        for moment in (time.min, time.max)
    ]
    prices = [rule.price for rule in rules if rule]
    return min(prices) if len(prices) == len(rules) else None


def charge_traffic(*, now: datetime) -> int:
    """Write the days that are over down, and charge each of an owner once; how many were."""
    sample_traffic(now=now, days=MISSED_DAYS)
    price = lru_cache(maxsize=None)(price_of_day)
    sort = Sort(
        kind=Bill.Kind.TRAFFIC,
        line=_("Traffic on %(date)s, in GB"),
        unpaid=UNPAID,
        message=gettext_noop(
            "The balance is not enough for what was downloaded from your drives. Recharge, please."
        ),
        price=price,
    )
    today = now.astimezone(UTC).date()
    samples = TrafficSample.objects.filter(
        sample_date__lt=today, sample_date__gte=today - timedelta(days=MISSED_DAYS), size__gt=0
    ).exclude(drive__user__deleted_at__isnull=False)
    days = samples.values("drive__user", "drive__team", "sample_date").annotate(total=Sum("size"))
    rows = days.order_by("drive__user", "drive__team", "sample_date")
    charged = 0
    for (user_id, team_id), found in groupby(
        rows.values_list("drive__user", "drive__team", "sample_date", "total"), key=lambda row: row[:2]
    ):
        uses = [Use(day, size) for _user, _team, day, size in found if price(day)]
        if uses:
            wallet = wallet_of(owner_of(user_id, team_id))
            charged += charge_days(wallet=wallet, uses=uses, sort=sort, now=now)
    return charged


def owner_of(user_id: UUID | None, team_id: UUID | None) -> User | Team:
    return Team.objects.get(pk=team_id) if team_id else User.objects.get(pk=user_id)
