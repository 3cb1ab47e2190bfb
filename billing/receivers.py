"""What billing does about signals from the apps below."""

from typing import Any

from django.conf import settings
from django.dispatch import receiver
from django.utils.translation import gettext as _

from accounts.models import Team, User
from accounts.signals import phone_bound, team_created, team_deleted, user_deleted, user_registered
from billing.models import Currency, Wallet
from billing.services.gifts import give
from billing.services.ledger import wallet_of
from billing.services.membership import end_of_deleted


@receiver(user_registered)
def give_wallet(sender: Any, user: User, imported: bool = False, **kwargs: Any) -> None:
    """Give a new user a wallet in CNY and, in the embedded profile, some trial credit.

    Users imported from the old service bring their own money. Guests get the credit when they bind a phone: devices
    cost nothing, so anybody could otherwise collect any number of credits.
    """
    wallet = Wallet.objects.create(user=user, currency=Currency.CNY)
    if not (user.is_guest or imported):
        give_trial_credit(wallet)


@receiver(team_created)
def give_team_wallet(sender: Any, team: Team, **kwargs: Any) -> None:
    """A new team has a wallet in CNY that its managers see, and can recharge before anybody renders."""
    Wallet.objects.create(team=team, currency=Currency.CNY)


@receiver(team_deleted)
def let_go_of_team_wallets(sender: Any, team: Team, **kwargs: Any) -> None:
    """Wallets that never had an entry go with their team; one that had keeps it."""
    Wallet.objects.filter(team=team, sequence=0).delete()


@receiver(phone_bound)
def welcome_former_guest(sender: Any, user: User, was_guest: bool, **kwargs: Any) -> None:
    """Give the trial credit to a guest who binds a phone. Users who change their phone have had theirs."""
    if was_guest:
        give_trial_credit(wallet_of(user))


def give_trial_credit(wallet: Wallet) -> None:
    if settings.TRIAL_CREDIT > 0:
        give(wallet=wallet, amount=settings.TRIAL_CREDIT, key="trial-credit", description=_("Trial credit"))


@receiver(user_deleted)
def end_membership(sender: Any, user: User, **kwargs: Any) -> None:
    """A deleted user renews nothing; the rest of the month is not refunded."""
    end_of_deleted(user)
