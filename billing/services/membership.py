"""Memberships: bought for a month, raised at once, lowered or ended with the period, renewed by the schedule."""

import calendar
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Notification, User
from accounts.services.notifications import notify
from accounts.signals import level_changed
from billing.errors import InsufficientBalance, NoMembership, PlanUnchanged, WalletParked
from billing.models import Bill, Membership, MembershipPlan
from billing.services.bills import Charge, charge_now
from billing.services.ledger import to_fen, wallet_of

Status = Membership.Status
Level = MembershipPlan.Level
GRACE = timedelta(days=3)
"""How long a membership that could not be paid goes on."""
logger = logging.getLogger(__name__)


def month_after(anchor: datetime, months: int) -> datetime:
    """`months` calendar months after `anchor` (UTC), the last of the month where it has no such day."""
    local = anchor.astimezone(UTC)
    years, month = divmod(local.month - 1 + months, 12)
    year, month = local.year + years, month + 1
    return local.replace(year=year, month=month, day=min(local.day, calendar.monthrange(year, month)[1]))


def price_of_upgrade(membership: Membership, plan: MembershipPlan, *, now: datetime) -> Decimal:
    """(price of the new plan - price of the period) × time left of the period ÷ its length, rounded to the fen."""
    left = max(membership.period_end - now, timedelta())
    length = membership.period_end - membership.period_start
    part = Decimal(left // timedelta(seconds=1)) / Decimal(length // timedelta(seconds=1))
    return to_fen(max(plan.price - membership.price, Decimal(0)) * part)


def price_now(user: User, plan: MembershipPlan, *, now: datetime) -> Decimal:
    """What changing to `plan` costs at this moment; nothing for a lower one, which begins with the next period."""
    membership = Membership.objects.filter(user=user).select_related("plan").first()
    if membership is None or membership.status != Status.ACTIVE:
        return Decimal(plan.price)
    if membership.period_end <= now and plan.level > membership.plan.level:
        return Decimal(plan.price)
    return price_of_upgrade(membership, plan, now=now)


def change_plan(*, user: User, level: int) -> Membership:
    """Buy a membership, raise it at once, or lower it with the end of the period.

    Who has none, or one that is not paid, buys a month from now on; so does who raises one whose period is over. Before
    that a higher plan costs `price_of_upgrade` and keeps the period; a lower one is waited for, the free one being the
    end. Raises PlanUnchanged, NoMembership, InsufficientBalance, WalletParked; nothing is changed then.
    """
    plan, now = MembershipPlan.objects.get(level=level), timezone.now()
    with transaction.atomic():
        membership = held(user.pk)
        if membership is None or membership.status != Status.ACTIVE:
            if plan.level == Level.FREE:
                raise NoMembership
            return buy(user, membership, plan, now)
        if plan == membership.plan:
            if membership.next_plan_id is None and not membership.cancel_at_period_end:
                raise PlanUnchanged
            return keep(membership)
        if plan.level > membership.plan.level:
            if membership.period_end <= now:  # not renewed yet: no time is left whose price could be raised
                return buy(user, membership, plan, now)
            return upgrade(user, membership, plan, now)
        is_end = plan.level == Level.FREE
        membership.next_plan, membership.cancel_at_period_end = (None, True) if is_end else (plan, False)
        membership.save(update_fields=["next_plan", "cancel_at_period_end", "updated_at"])
        tell(user, CHANGES, plan=str(plan), date=day_of(membership.period_end))
        return membership


def buy(user: User, membership: Membership | None, plan: MembershipPlan, now: datetime) -> Membership:
    fresh = {
        "plan": plan,
        "next_plan": None,
        "status": Status.ACTIVE,
        "price": plan.price,
        "anchor_at": now,
        "period_start": now,
        "period_end": month_after(now, 1),
        "cancel_at_period_end": False,
    }
    if membership is None:
        membership = Membership(user=user)
    for name, value in fresh.items():
        setattr(membership, name, value)
    membership.save()
    set_level(user, plan.level)
    # Bought once more after it had ended: the periods of the earlier one are not those of this.
    charge(membership, plan.price, f"membership:{membership.pk}:{now.isoformat()}")
    tell(user, BEGUN, plan=str(plan), date=day_of(membership.period_end))
    return membership


def upgrade(user: User, membership: Membership, plan: MembershipPlan, now: datetime) -> Membership:
    due = price_of_upgrade(membership, plan, now=now)
    membership.plan, membership.price = plan, plan.price
    membership.next_plan, membership.cancel_at_period_end = None, False
    membership.save()
    set_level(user, plan.level)
    charge(membership, due, f"membership:{membership.pk}:{membership.period_start.isoformat()}:{plan.level}")
    tell(user, BEGUN, plan=str(plan), date=day_of(membership.period_end))
    return membership


def charge(membership: Membership, amount: Decimal, key: str) -> None:
    """Take the price. Call it last: the wallet comes after drives and limits in the order of locks.

    Raises InsufficientBalance, WalletParked.
    """
    name = _("Membership %(plan)s until %(date)s") % {
        "plan": membership.plan,
        "date": day_of(membership.period_end),
    }
    charge_now(
        wallet=wallet_of(membership.user),
        kind=Bill.Kind.MEMBERSHIP,
        charges=[Charge(name, Decimal(1), amount)],
        key=key,
        description=name,
    )


def cancel(*, user: User) -> Membership:
    """Let the membership end with its period. Raises NoMembership."""
    with transaction.atomic():
        membership = living(user)
        membership.cancel_at_period_end, membership.next_plan = True, None
        membership.save(update_fields=["cancel_at_period_end", "next_plan", "updated_at"])
        tell(user, CHANGES, plan=str(Level.FREE.label), date=day_of(membership.period_end))
        return membership


def resume(*, user: User) -> Membership:
    """Take back that it ends or is lowered. Raises NoMembership."""
    with transaction.atomic():
        return keep(living(user))


def keep(membership: Membership) -> Membership:
    membership.cancel_at_period_end, membership.next_plan = False, None
    membership.save(update_fields=["cancel_at_period_end", "next_plan", "updated_at"])
    return membership


def held(user_id: UUID) -> Membership | None:
    """Return the user's membership, or None; whoever else changes it waits. Call inside a transaction.

    The user's row is locked, in a statement before the one that reads: a membership that was locked itself and changed
    meanwhile would be joined with the plan it had before, and not be found.
    """
    User.objects.select_for_update(of=("self",), no_key=True).get(pk=user_id)
    rows = Membership.objects.select_related("plan", "next_plan", "user")
    return rows.filter(user=user_id).first()


def living(user: User) -> Membership:
    """Raises NoMembership."""
    membership = held(user.pk)
    if membership is None or membership.status == Status.ENDED:
        raise NoMembership
    return membership


def renew_due(*, now: datetime) -> int:
    """Renew, lower or end the memberships whose period is over; how many were changed. Late and twice does no harm."""
    due = Membership.objects.filter(status__in=[Status.ACTIVE, Status.GRACE], period_end__lte=now)
    changed = 0
    for user_id in due.order_by("period_end", "pk").values_list("user", flat=True):
        try:
            changed += renew(user_id, now)
        except Exception:  # one membership must not keep the others
            logger.exception("the membership of user %s was not renewed", user_id)
    return changed


def renew(user_id: UUID, now: datetime) -> bool:
    """Pay the next period, once: whoever else renews waits, and finds that it is paid."""
    with transaction.atomic():
        membership = held(user_id)
        if membership is None or membership.status == Status.ENDED or membership.period_end > now:
            return False
        if membership.cancel_at_period_end:
            return end(membership)
        plan, user = membership.next_plan or membership.plan, membership.user
        ended, membership.period = membership.period_end, membership.period + 1
        membership.plan, membership.price, membership.next_plan = plan, plan.price, None
        membership.period_start = ended
        membership.period_end = month_after(
            membership.anchor_at, months_between(membership.anchor_at, ended) + 1
        )
        membership.status = Status.ACTIVE
        try:
            with transaction.atomic():
                membership.save()
                set_level(user, plan.level)
                charge(membership, plan.price, f"membership:{membership.pk}:{membership.period}")
        except (InsufficientBalance, WalletParked):
            membership.refresh_from_db()
            return end(membership) if now >= ended + GRACE else owe(membership)
        tell(user, RENEWED, plan=str(plan), date=day_of(membership.period_end))
        return True


def months_between(anchor: datetime, later: datetime) -> int:
    """Calendar months from `anchor` to `later`, which is one of the days that `month_after` makes of it."""
    start, end = anchor.astimezone(UTC), later.astimezone(UTC)
    return 12 * (end.year - start.year) + end.month - start.month


def owe(membership: Membership) -> bool:
    """The period could not be paid: the plan goes on for GRACE. Told once."""
    if membership.status == Status.GRACE:
        return False
    membership.status = Status.GRACE
    membership.save(update_fields=["status", "updated_at"])
    tell(
        membership.user,
        OWED,
        level=Notification.Level.WARNING,
        plan=str(membership.next_plan or membership.plan),
        date=day_of(membership.period_end + GRACE),
    )
    return True


def end(membership: Membership) -> bool:
    Membership.objects.filter(pk=membership.pk).update(
        status=Status.ENDED, next_plan=None, cancel_at_period_end=False, updated_at=timezone.now()
    )
    set_level(membership.user, Level.FREE)
    if membership.user.deleted_at is None:
        tell(membership.user, ENDED, level=Notification.Level.WARNING, plan=str(membership.plan))
    return True


def end_of_deleted(user: User) -> None:
    """A user who is being deleted renews nothing."""
    for membership in Membership.objects.filter(user=user).exclude(status=Status.ENDED):
        Membership.objects.filter(pk=membership.pk).update(
            status=Status.ENDED, next_plan=None, cancel_at_period_end=False, updated_at=timezone.now()
        )


def set_level(user: User, level: int) -> None:
    """What the level gives counts at once for what is under way."""
    if (
        User.objects.filter(pk=user.pk)
        .exclude(member_level=level)
        .update(member_level=level, updated_at=timezone.now())
    ):
        user.member_level = level
        level_changed.send(sender=User, user=user)


TITLE = gettext_noop("Membership %(plan)s")
BEGUN = gettext_noop("It is yours until %(date)s and is renewed then, unless you cancel it.")
RENEWED = gettext_noop("It was renewed until %(date)s.")
CHANGES = gettext_noop("This is your plan from %(date)s on. Until then nothing changes.")
OWED = gettext_noop(
    "The balance was not enough for the next month. Recharge until %(date)s, or your plan ends."
)
ENDED = gettext_noop("It has ended; the free plan counts from now on.")


def tell(
    user: User, message: str, *, level: Notification.Level = Notification.Level.INFO, **params: Any
) -> None:
    notify(
        user=user, title=TITLE, message=message, level=level, params=params, action_url="/billing#membership"
    )


def day_of(moment: datetime) -> str:
    """The day as the platform's clock has it."""
    return f"{timezone.localtime(moment, timezone.get_default_timezone()):%Y-%m-%d}"
