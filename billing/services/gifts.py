"""Money that is given, and is spent before paid money."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Notification, User
from accounts.services.notifications import notify
from billing.models import Currency, Gift, LedgerEntry, Wallet
from billing.periods import SHANGHAI
from billing.services.ledger import FEN, post_entry
from billing.services.operators import keepers_of

TOLD_BEFORE = timedelta(days=7)
LEFT = {
    Currency.CNY: gettext_noop("%(amount)s yuan of it are left. They are spent before other money."),
    Currency.POINTS: gettext_noop("%(amount)s points of it are left. They are spent before other points."),
}


def give(
    *,
    wallet: Wallet,
    amount: Decimal,
    key: str,
    description: str,
    expires_at: datetime | None = None,
    actor: User | None = None,
) -> Gift:
    """Add a gift to the wallet; the same `key` gives once. Raises IdempotencyConflict."""
    with transaction.atomic():
        entry = post_entry(
            wallet=wallet,
            kind=LedgerEntry.Kind.GRANT,
            amount=amount,
            gift_delta=amount,
            key=key,
            description=description,
            actor=actor,
        )
        given = {"wallet": wallet, "amount": amount, "remaining": amount, "expires_at": expires_at}
        return Gift.objects.get_or_create(entry=entry, defaults=given)[0]


def expire_gifts(*, now: datetime, limit: int = 1000) -> int:
    """Take back what is left of gifts whose time is over; how many were ended.

    Money that is set aside for a running job does not expire under it: as much as is available goes, the rest at a
    later call.
    """
    due = Gift.objects.filter(expires_at__lte=now, remaining__gt=0, wallet__parked_at__isnull=True)
    ended = 0
    for pk in due.order_by("expires_at", "pk").values_list("pk", flat=True)[:limit]:
        ended += expire_gift(pk)
    return ended


def expire_gift(pk: UUID) -> bool:
    """Whether anything was taken."""
    with transaction.atomic():
        # The wallet first, as everywhere: whoever moves its money waits here.
        wallet = Wallet.objects.select_for_update(no_key=True).get(gifts=pk)
        gift = Gift.objects.get(pk=pk)
        amount = min(gift.remaining, wallet.available)
        if not amount or wallet.parked_at is not None:
            return False
        post_entry(
            wallet=wallet,
            kind=LedgerEntry.Kind.EXPIRY,
            amount=-amount,
            gift_delta=-amount,
            key=f"expiry:{gift.pk}:{gift.remaining}",
            description=_("A gift of %(amount)s expired") % {"amount": f"{gift.amount:.2f}"},
        )
        Gift.objects.filter(pk=pk).update(remaining=F("remaining") - amount)
        return True


def tell_of_ends(*, now: datetime) -> int:
    """Tell of gifts that expire within TOLD_BEFORE, each once, whoever runs it and how often; how many were told of."""
    soon = Gift.objects.filter(
        expires_at__gt=now, expires_at__lte=now + TOLD_BEFORE, remaining__gte=FEN, warned_at__isnull=True
    )
    due = list(soon.order_by("expires_at", "pk").values_list("pk", flat=True))
    return sum(tell_of_end(pk, now=now) for pk in due)


def tell_of_end(pk: UUID, *, now: datetime) -> bool:
    """Whether its owner, or those who see the team's money, were told by this call."""
    with transaction.atomic():
        # The wallet first, as everywhere: the guards compare it with its gifts whenever one of them is written.
        wallet = Wallet.objects.select_for_update(no_key=True).get(gifts=pk)
        gift = Gift.objects.get(pk=pk)
        if gift.remaining < FEN or not Gift.objects.filter(pk=pk, warned_at=None).update(warned_at=now):
            return False
        for user in keepers_of(wallet):
            notify(
                user=user,
                title=gettext_noop("A gift expires on %(day)s"),
                message=LEFT[Currency(wallet.currency)],
                params={
                    "amount": f"{gift.remaining:.2f}",
                    "day": f"{gift.expires_at.astimezone(SHANGHAI):%Y-%m-%d}" if gift.expires_at else "",
                },
                level=Notification.Level.WARNING,
                action_url=f"/billing#balance?wallet={wallet.pk}",
            )
        return True
