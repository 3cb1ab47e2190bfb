"""Money that is given, and burns before what was paid."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from accounts.models import User
from billing.models import Gift, LedgerEntry, Wallet
from billing.services.ledger import post_entry


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
