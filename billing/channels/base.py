"""What every payment channel does for us, and how it reports orders and refunds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from django.http.request import HttpHeaders

FEN = Decimal("0.01")


class PaymentState(StrEnum):
    """The state of an order at its channel. A payment that has been refunded since still counts as paid."""

    ABSENT = "absent"
    WAITING = "waiting"
    PAID = "paid"
    CLOSED = "closed"


class RefundState(StrEnum):
    ABSENT = "absent"
    UNDER_WAY = "under_way"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Asked:
    """An order as it is sent to a channel. Amounts here and below are CNY in whole fen."""

    order_no: str
    amount: Decimal
    subject: str
    expires_at: datetime
    notify_url: str
    return_url: str = ""
    """Where a browser comes back to; what it brings along proves nothing."""


@dataclass(frozen=True)
class Offer:
    """How an order can be paid: the content of a QR code, or a page to open."""

    code_url: str = ""
    pay_url: str = ""


@dataclass(frozen=True)
class Payment:
    """A channel's report of one of our orders. `merchant` is the recipient of the money."""

    channel: str
    order_no: str
    state: PaymentState
    merchant: str
    amount: Decimal | None = None
    currency: str = "CNY"
    transaction_no: str = ""
    paid_at: datetime | None = None


@dataclass(frozen=True)
class AskedRefund:
    """`total` is the amount of the whole order."""

    order_no: str
    refund_no: str
    amount: Decimal
    total: Decimal
    reason: str
    notify_url: str


@dataclass(frozen=True)
class Refund:
    """A channel's report of one of our refunds."""

    channel: str
    refund_no: str
    state: RefundState
    amount: Decimal | None = None
    channel_no: str = ""
    detail: str = ""


@dataclass(frozen=True)
class FileRow:
    """A line of a channel's daily file: a payment, or a refund where `refund_no` is there."""

    order_no: str
    transaction_no: str
    amount: Decimal
    refund_no: str = ""


@dataclass(frozen=True)
class Notice:
    """A message that a channel sends unasked."""

    payment: Payment | None = None
    refund: Refund | None = None
    data: dict[str, object] = field(default_factory=dict)


class PaymentChannel(Protocol):
    """One merchant's account at a channel. Every call goes outside, so none belongs in a transaction.

    Raises ChannelUnavailable where there is no answer or none that is signed by the channel, ChannelRefused where the
    channel says no.
    """

    name: str
    merchant: str

    def create(self, asked: Asked) -> Offer:
        """Make the order known, or the page that does so. The same order twice gives the same offer."""

    def query(self, order_no: str) -> Payment: ...

    def close(self, order_no: str) -> bool:
        """Whether the order can be paid no longer; False: it has been, ask again."""

    def refund(self, asked: AskedRefund) -> Refund:
        """Pay back; the same `refund_no` pays back once."""

    def query_refund(self, order_no: str, refund_no: str) -> Refund: ...

    def parse_notify(self, headers: HttpHeaders, body: bytes, now: datetime) -> Notice:
        """What a message says whose signature is the channel's. Raises NotifyRefused; goes nowhere outside."""

    def file_of(self, day: date) -> list[FileRow]:
        """What the channel has written down for `day` (China Standard Time)."""


def to_yuan(fen: object) -> Decimal:
    """Raises ValueError for what is no whole number of fen."""
    if not isinstance(fen, int) or isinstance(fen, bool):
        raise ValueError("an amount in fen is a whole number")
    return Decimal(fen) * FEN


def to_fen_count(yuan: Decimal) -> int:
    """Raises ValueError for fractions of a fen."""
    if yuan % FEN:
        raise ValueError("channels know whole fen")
    return int(yuan / FEN)
