"""The stand-ins' own books: orders and refunds, in Redis for a day."""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from common.realtime import connection

KEPT_SECONDS = 86_400


@dataclass
class Order:
    """`total` in fen; `state` WAITING, PAID or CLOSED; times in seconds."""

    channel: str
    order_no: str
    total: int
    subject: str
    notify_url: str
    expires: float
    state: str = "WAITING"
    transaction_no: str = ""
    paid_at: float = 0
    refunds: list[dict[str, Any]] = field(default_factory=list)
    return_url: str = ""


def key(channel: str, order_no: str) -> str:
    return f"{settings.REDIS_PREFIX}:standin-pay:{channel}:{order_no}"


def find(channel: str, order_no: str) -> Order | None:
    found: Any = connection().get(key(channel, order_no))
    order = Order(**json.loads(found)) if found else None
    if order and order.state == "WAITING" and order.expires <= time.time():
        close(order)
    return order


def save(order: Order) -> None:
    connection().set(key(order.channel, order.order_no), json.dumps(asdict(order)), ex=KEPT_SECONDS)


def once(name: str) -> bool:
    """Whether this caller is the first to say so: an order is paid or closed, not both."""
    return bool(
        connection().set(f"{settings.REDIS_PREFIX}:standin-pay:once:{name}", 1, nx=True, ex=KEPT_SECONDS)
    )


def pay(order: Order) -> bool:
    """Whether the order is paid by this."""
    if order.state != "WAITING" or not once(f"{order.channel}:{order.order_no}"):
        return False
    order.state, order.paid_at = "PAID", time.time()
    order.transaction_no = f"42{int(order.paid_at)}{secrets.randbelow(10**14):014d}"
    save(order)
    return True


def close(order: Order) -> bool:
    """Whether the order is closed now; False for one that is paid."""
    if order.state == "WAITING" and once(f"{order.channel}:{order.order_no}"):
        order.state = "CLOSED"
        save(order)
    return order.state != "PAID"


def refund(order: Order, refund_no: str, amount: int) -> dict[str, Any] | None:
    """The refund under this number, made once; None where the order has not so much left."""
    made = next((each for each in order.refunds if each["refund_no"] == refund_no), None)
    if made is None:
        if sum(each["amount"] for each in order.refunds if each["state"] != "CLOSED") + amount > order.total:
            return None
        number = f"50{int(time.time())}{secrets.randbelow(10**14):014d}"
        made = {
            "refund_no": refund_no,
            "amount": amount,
            "state": "SUCCESS",
            "at": time.time(),
            "channel_no": number,
        }
        order.refunds.append(made)
        save(order)
        # Refunds are found by their own number, too.
        connection().set(key(order.channel, f"refund:{refund_no}"), order.order_no, ex=KEPT_SECONDS)
    return made


def end_refund(order: Order, refund_no: str, state: str) -> dict[str, Any]:
    made: dict[str, Any] = next(each for each in order.refunds if each["refund_no"] == refund_no)
    made["state"] = state
    save(order)
    return made


def find_refund(channel: str, refund_no: str) -> tuple[Order, dict[str, Any]] | None:
    order_no: Any = connection().get(key(channel, f"refund:{refund_no}"))
    order = find(channel, order_no.decode()) if order_no else None
    if order is None:
        return None
    return order, next(each for each in order.refunds if each["refund_no"] == refund_no)


def rows_of(channel: str, day: str) -> Iterator[tuple[Order, dict[str, Any] | None]]:
    """What the daily file of `day` (China Standard Time) holds: payments, and refunds with their order."""

    def falls_on(seconds: float) -> bool:
        return f"{datetime.fromtimestamp(seconds, UTC) + timedelta(hours=8):%Y-%m-%d}" == day

    for name in sorted(connection().scan_iter(key(channel, "*"), count=1000)):
        text: Any = connection().get(name)
        if not text or not text.startswith(b"{"):  # the number of a refund, leading to its order
            continue
        order = Order(**json.loads(text))
        if order.paid_at and falls_on(order.paid_at):
            yield order, None
        for each in order.refunds:
            if falls_on(each["at"]):
                yield order, each
