"""Parking wallets by hand, and putting them back to use."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.enums import ActionVariant

from billing.models import Wallet
from billing.services import parking
from common.deeds import ReasonForm, deed
from common.errors import DomainError


class Parking:
    """Of the page of wallets."""

    def has_park_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.park_wallet")

    @deed(
        description=_("Park"),
        permission="park",
        form=ReasonForm,
        icon="lock",
        text=_("Nothing new can be spent from the wallet; what runs goes on. Its owner is told."),
        variant=ActionVariant.DANGER,
        fits=lambda wallet: wallet.parked_at is None,
    )
    def park(self, request: HttpRequest, rows: QuerySet[Wallet], given: dict[str, Any]) -> None:
        count = sum(parking.park(wallet=wallet, reason=given["reason"]) for wallet in rows)
        messages.success(
            request,
            ngettext("%(count)s wallet parked.", "%(count)s wallets parked.", count) % {"count": count},
        )

    @deed(
        description=_("Put back to use"),
        permission="park",
        form=ReasonForm,
        icon="lock_open",
        text=_("The next nightly check parks the wallet again if it still does not add up."),
        fits=lambda wallet: wallet.parked_at is not None,
    )
    def unpark(self, request: HttpRequest, rows: QuerySet[Wallet], given: dict[str, Any]) -> None:
        for wallet in rows:
            try:
                parking.unpark(wallet=wallet)
            except DomainError as error:
                messages.error(request, str(error))
            else:
                messages.success(request, _("%(wallet)s can be spent from again.") % {"wallet": wallet})
