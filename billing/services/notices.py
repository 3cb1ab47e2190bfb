"""Notices that channels send unasked."""

import logging
from datetime import datetime

from django.http.request import HttpHeaders

from billing import errors
from billing.channels import channel_named, our_site
from billing.channels.base import PaymentState, RefundState
from billing.models import RefundOrder
from billing.services.refunds import check_refund, take_refund_in
from billing.services.settlement import Source, settle

logger = logging.getLogger(__name__)
REFUSALS = (
    errors.ChannelNotOffered,
    errors.NotifyRefused,
    errors.NotifyStale,
    errors.SignatureInvalid,
    errors.OrderUnknown,
    errors.NotPaid,
    errors.MerchantMismatch,
    errors.CurrencyMismatch,
    errors.AmountMismatch,
    errors.PaidAfterClose,
    errors.PaidTwice,
    errors.ChannelUnavailable,
    errors.ChannelRefused,
)


def take_in(*, channel: str, headers: HttpHeaders, body: bytes, now: datetime) -> None:
    """Act on a channel's message; the same one again does nothing more.

    Raises one of REFUSALS: the channel is told that the message was not taken, and sends it again.
    """
    notice = channel_named(channel).parse_notify(headers, body, now)
    if notice.payment is not None:
        # That somebody has begun to pay, or that an order is closed, changes nothing here.
        if notice.payment.state == PaymentState.PAID:
            settle(payment=notice.payment, source=Source.NOTICE)
    elif notice.refund is not None and notice.refund.state != RefundState.UNDER_WAY:
        take_refund_in(notice.refund)
    elif notice.refund is not None:
        known = RefundOrder.objects.select_related("order").filter(
            refund_no=notice.refund.refund_no, order__channel=channel, status=RefundOrder.Status.PENDING
        )
        for row in known:
            check_refund(refund=row, site=our_site())
