"""Requests for a credit or debit, made on the page of a wallet or of its owner."""

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.admin.money_forms import CreditForm
from billing.models import Wallet
from billing.services.approvals import request_credit
from common.deeds import deed
from common.errors import DomainError

credit_deed = deed(
    description=_("Credit or debit"),
    permission="credit",
    form=CreditForm,
    icon="add_card",
    text=_("Asks for money to be added or taken away. A second operator decides on it."),
)


def ask_for_credit(request: HttpRequest, wallet: Wallet, given: dict[str, Any]) -> None:
    """Make the request that CreditForm holds, and tell the operator the outcome."""
    try:
        request_credit(
            wallet=wallet,
            amount=given["amount"],
            key=str(given["key"]),
            reason=given["reason"],
            evidence=given["evidence"],
            file=given["file"],
            is_payment=given["is_payment"],
            maker=cast(User, request.user),
        )
    except DomainError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("Asked for: %(amount)s yuan.") % {"amount": given["amount"]})
