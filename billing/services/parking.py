"""Wallets that do not add up are parked: nothing new is spent from them until an operator has looked."""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.models import Notification
from accounts.services.notifications import notify
from billing.models import Wallet
from billing.services.operators import keepers_of
from common.errors import Conflict


class NotParked(Conflict):
    code, text = "wallet_not_parked", _("This wallet is not parked.")


def park(*, wallet: Wallet, reason: str) -> bool:
    """Park the wallet and tell its owners; False where it is parked already. What has begun ends as usual."""
    with transaction.atomic():
        now = timezone.now()
        free = Wallet.objects.filter(pk=wallet.pk, parked_at__isnull=True)
        if not free.update(parked_at=now, parked_reason=reason[:500], updated_at=now):
            return False
        for user in keepers_of(wallet):
            notify(
                user=user,
                title=gettext_noop("We are checking your wallet"),
                message=gettext_noop(
                    "Our nightly check found something about this wallet that a person has to look at. Your money is "
                    "safe and what runs goes on; new tasks can be paid from it again once we are done. We are sorry, "
                    "and you need not do anything."
                ),
                level=Notification.Level.WARNING,
            )
        return True


def unpark(*, wallet: Wallet) -> None:
    """Put a parked wallet back to use; who did it and why is told by the deed. Raises NotParked."""
    with transaction.atomic():
        parked = Wallet.objects.filter(pk=wallet.pk, parked_at__isnull=False)
        if not parked.update(parked_at=None, parked_reason="", updated_at=timezone.now()):
            raise NotParked
        for user in keepers_of(wallet):
            notify(
                user=user,
                title=gettext_noop("Your wallet is free again"),
                message=gettext_noop("We have looked at it; it can be spent from as before."),
                level=Notification.Level.SUCCESS,
            )
