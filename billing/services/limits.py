"""What members may spend of their team's money in a calendar month."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from accounts.models import Team, User
from accounts.permissions import Action, require, role_in
from billing.errors import SpendingLimitReached
from billing.models import Hold, LedgerEntry, MemberLimit, Wallet
from billing.periods import month_of, start_of
from billing.services.ledger import ZERO
from common.errors import NotVisible


def spent_in_month(*, wallet: Wallet, user: User, now: datetime) -> Decimal:
    """What jobs of `user` took from the wallet since the month began, less what was given back, and what is held for
    them now, whenever it was held.
    """
    holds = Hold.objects.filter(wallet=wallet, spender=user)
    moved = LedgerEntry.objects.filter(
        wallet=wallet,
        created_at__gte=start_of(month_of(now)),
        kind__in=[LedgerEntry.Kind.CONSUME, LedgerEntry.Kind.REFUND],
        task_id__in=holds.values("task_id"),
    )
    taken = -(moved.aggregate(total=Sum("amount"))["total"] or ZERO)
    rest = holds.filter(status=Hold.Status.OPEN).aggregate(
        total=Sum(F("amount") - F("captured") - F("released"))
    )
    return max(taken, ZERO) + (rest["total"] or ZERO)


def enforce_limit(*, hold: Hold, amount: Decimal) -> None:
    """Raises SpendingLimitReached where the spender of `hold` has now spent or held more than their limit.

    Call once `amount` is held, in its transaction: the wallet's row is locked from then on, so that of two who hold at
    the same moment the later one counts what the first holds.
    """
    wallet = hold.wallet
    if wallet.team_id is None or hold.spender is None:
        return
    limit = MemberLimit.objects.filter(team=wallet.team_id, user=hold.spender).first()
    if limit is None:
        return
    spent = spent_in_month(wallet=wallet, user=hold.spender, now=timezone.now())
    if spent > limit.amount:
        before = spent - amount
        raise SpendingLimitReached(
            limit=float(limit.amount),
            spent=float(before),
            required=float(amount),
            left=float(max(limit.amount - before, ZERO)),
        )


def left_in_month(*, team: Team, user: User) -> Decimal | None:
    """What the member may still spend this month; None without a limit."""
    limit = MemberLimit.objects.filter(team=team, user=user).first()
    if limit is None:
        return None
    wallet = Wallet.objects.filter(team=team, currency="CNY").first()
    spent = spent_in_month(wallet=wallet, user=user, now=timezone.now()) if wallet else ZERO
    return max(limit.amount - spent, ZERO)


def set_limit(*, team: Team, actor: User, user: User, amount: Decimal | None) -> None:
    """Let a member spend at most `amount` a month, or with None whatever there is; for who manages the team's money.

    What is held already stays. Raises NotVisible (no member), Forbidden.
    """
    with transaction.atomic():
        require(actor, Action.MANAGE_MONEY, team)
        if role_in(user, team) is None:
            raise NotVisible
        if amount is None:
            MemberLimit.objects.filter(team=team, user=user).delete()
        else:
            MemberLimit.objects.update_or_create(team=team, user=user, defaults={"amount": amount})
