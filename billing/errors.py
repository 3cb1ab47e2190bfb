from django.utils.translation import gettext_lazy as _

from common.errors import Conflict, DomainError


class InsufficientBalance(DomainError):
    """Data: required and available, in the wallet's currency."""

    code, status = "insufficient_balance", 402
    text = _("The balance is too small: %(required)s needed, %(available)s available.")


class WalletParked(Conflict):
    code, text = (
        "wallet_parked",
        _("This wallet is being checked; nothing new can be spent from it until then."),
    )


class IdempotencyConflict(Conflict):
    code, text = "idempotency_conflict", _("This key was used before with other content.")


class RequestUnderWay(Conflict):
    code, text = (
        "request_under_way",
        _("A request with this key is under way; ask again in %(retry_after)s s."),
    )


class HoldExceeded(Conflict):
    code, text = "hold_exceeded", _("More would be captured than was held.")


class NoPrice(DomainError):
    code, status, text = "no_price", 409, _("There is no price for this engine.")
