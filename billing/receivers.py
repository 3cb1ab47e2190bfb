"""What billing does at news from below."""

from typing import Any

from django.conf import settings
from django.dispatch import receiver
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.signals import user_registered
from billing.models import Currency, LedgerEntry, Wallet
from billing.services.ledger import post_entry


@receiver(user_registered)
def give_wallet(sender: Any, user: User, **kwargs: Any) -> None:
    """A new user gets a wallet in CNY and, in the embedded profile, some credit to try things."""
    wallet = Wallet.objects.create(user=user, currency=Currency.CNY)
    if settings.TRIAL_CREDIT > 0:
        post_entry(
            wallet=wallet,
            kind=LedgerEntry.Kind.GRANT,
            amount=settings.TRIAL_CREDIT,
            key="trial-credit",
            description=_("Trial credit"),
        )
