from django.utils.translation import gettext_lazy as _

from common.errors import Conflict, DomainError


class InsufficientBalance(DomainError):
    """Data: required and available, in the wallet's currency."""

    code, status = "insufficient_balance", 402
    text = _("The balance is too small: %(required).2f needed, %(available).2f available.")


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


class ChannelNotOffered(DomainError):
    code, status, text = "channel_not_offered", 422, _("This way to pay is not offered here.")


class ChannelUnavailable(DomainError):
    code, status = "payment_channel_unavailable", 503
    text = _("The payment channel does not answer at the moment; nothing was paid.")


class ChannelRefused(DomainError):
    """Data: reason, the channel's own code."""

    code, status, text = "payment_channel_refused", 502, _("The payment channel refuses this (%(reason)s).")


class TooManyOrders(Conflict):
    """Data: limit."""

    code = "too_many_open_orders"
    text = _("%(limit)s orders are waiting for payment already; pay or cancel one of them.")


class OrderNotPending(Conflict):
    code, text = "order_not_pending", _("This order is not waiting for payment.")


class OrderNotPaid(Conflict):
    code, text = "order_not_paid", _("This order was not paid.")


class SettlementRefused(Conflict):
    """A payment that does not credit its order."""


class OrderUnknown(SettlementRefused):
    code, status, text = "order_unknown", 404, _("There is no such order.")


class NotPaid(SettlementRefused):
    code, text = "no_payment", _("The channel knows of no payment for this order.")


class MerchantMismatch(SettlementRefused):
    code, text = "merchant_mismatch", _("Another merchant was paid than the order names.")


class CurrencyMismatch(SettlementRefused):
    code, text = "currency_mismatch", _("The currency is not that of the order or the wallet.")


class AmountMismatch(SettlementRefused):
    code, text = "amount_mismatch", _("Another amount was paid than the order names.")


class PaidAfterClose(SettlementRefused):
    code, text = "paid_after_close", _("The order was closed before it was paid.")


class PaidTwice(SettlementRefused):
    code, text = "paid_twice", _("The order was paid already, by another payment.")


class NotifyRefused(DomainError):
    """A message that is not what a channel would send."""

    code, status, text = "notify_refused", 400, _("The message is not one of the channel.")


class SignatureInvalid(NotifyRefused):
    code, status, text = "signature_invalid", 401, _("The signature is not the channel's.")


class NotifyStale(NotifyRefused):
    code, text = "notify_stale", _("The message is too old, or from the future.")


class RefundTooLarge(Conflict):
    """Data: refundable, what can still be paid back of the order."""

    code, text = "refund_too_large", _("Of this order %(refundable).2f can be paid back at most.")


class OwnMoney(DomainError):
    code, status, text = "own_money", 403, _("Nobody decides on money of their own.")


class SamePerson(DomainError):
    code, status, text = "same_person", 403, _("Who made the request cannot decide on it.")


class PriorityTooHigh(DomainError):
    """Data: highest, the highest priority that the plan of who pays allows."""

    code, status = "priority_too_high", 403
    text = _("Your membership does not allow this priority.")


class SpendingLimitReached(DomainError):
    """Data: limit and spent, of the calendar month, and required; all in CNY."""

    code, status = "spending_limit_reached", 402
    text = _(
        "Your limit for this month at the team's expense is reached: %(required).2f needed, %(left).2f left."
    )


class SpendingNotAllowed(DomainError):
    code, status = "spending_not_allowed", 403
    text = _("You may not spend the money of this team.")


class RefundExceeded(Conflict):
    """Data: refundable, what is left of the bill."""

    code, text = "refund_exceeded", _("At most %(refundable).2f of this bill can be given back.")


class PlanUnchanged(Conflict):
    code, text = "plan_unchanged", _("This is your plan already.")


class NoMembership(Conflict):
    code, text = "no_membership", _("There is no membership that could be changed.")


class VoucherUnknown(DomainError):
    code, status, text = "voucher_unknown", 404, _("There is no such code.")


class VoucherNotYetValid(Conflict):
    """Data: valid_from."""

    code, text = "voucher_not_yet_valid", _("This code cannot be redeemed yet.")


class VoucherExpired(Conflict):
    code, text = "voucher_expired", _("The time to redeem this code is over.")


class VoucherRevoked(Conflict):
    code, text = "voucher_revoked", _("This code was revoked.")


class VoucherRedeemed(Conflict):
    code, text = "voucher_redeemed", _("This code was redeemed already.")


class VoucherLimitReached(Conflict):
    """Data: limit, redemptions that a user has of codes of this kind."""

    code, text = "voucher_limit_reached", _("You have redeemed as many codes of this kind as one may.")


class InvoiceExceeded(Conflict):
    """Data: available, what can still be invoiced of what was chosen."""

    code, text = "invoice_exceeded", _("At most %(available).2f yuan can be invoiced of this.")


class TooManyInvoices(Conflict):
    """Data: limit."""

    code = "too_many_open_invoices"
    text = _("%(limit)s invoices are waiting already; more can be asked for once these are issued.")


class InvoiceNumberTaken(Conflict):
    code, text = "invoice_number_taken", _("Another invoice has this number.")


class DocumentRefused(DomainError):
    code, status, text = "document_refused", 422, _("This kind of file is not taken here.")
