"""Paying by the stand-ins of the channels: a server that plays them, orders, and the notices they send."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from wsgiref.simple_server import make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.utils import timezone

from accounts.models import User
from billing.channels.base import Payment, PaymentState
from billing.channels.standin import alipay, ledger, wechat
from billing.models import LedgerEntry, RechargeOrder
from billing.services.ledger import wallet_of
from billing.services.orders import new_number
from billing.services.settlement import Source, settle
from common.ids import new_id
from tests.accounts.wechat_servers import Quiet, Threaded, serving
from tests.conftest import Client

NOTICES = {"wechat": wechat.payment_notice, "alipay": alipay.notice}


@pytest.fixture(scope="session")
def pay_server() -> Iterator[str]:
    """Our own application on a port: the stand-ins need Redis alone, so no test has to commit for them."""
    application = get_wsgi_application()
    with serving(make_server("127.0.0.1", 0, application, Threaded, Quiet)) as address:
        yield address


@pytest.fixture
def channels(pay_server: str, settings: Any) -> None:
    """Both channels are the stand-ins."""
    settings.WECHAT_PAY_URL = f"{pay_server}/standin/pay/wechat"
    settings.ALIPAY_URL = f"{pay_server}/standin/pay/alipay/gateway.do"
    # Notices that the stand-ins send by themselves go nowhere: tests hand them over.
    settings.PUBLIC_URL = "http://127.0.0.1:9"


def ordered(api: Client, channel: str = "wechat", amount: Any = 12.34, **more: Any) -> RechargeOrder:
    answer = api.post("/billing/recharges", {"amount": amount, "channel": channel, **more})
    assert answer.status_code == 201, answer.json()
    order = RechargeOrder.objects.get(pk=answer.json()["id"])
    if channel == "alipay":
        opened(order)
    return order


def opened(order: RechargeOrder) -> None:
    """Somebody opens Alipay's page, whose address our key has signed."""
    path = order.pay_url[order.pay_url.index("/standin") :]
    assert Client().get(path).status_code == 302


def standing(order: RechargeOrder) -> ledger.Order:
    found = ledger.find(order.channel, order.order_no)
    assert found is not None
    return found


def paid(order: RechargeOrder) -> ledger.Order:
    """The order, paid at the stand-in; nobody has told us."""
    there = standing(order)
    assert ledger.pay(there)
    return there


def send(channel: str, notice: tuple[dict[str, str], bytes]) -> Any:
    headers, body = notice
    kind = headers["Content-Type"]
    rest = {name: value for name, value in headers.items() if name != "Content-Type"}
    return Client().generic("POST", f"/billing/notify/{channel}", body, content_type=kind, headers=rest)


def told(order: RechargeOrder) -> Any:
    """The answer to the notice of a paid order."""
    return send(order.channel, NOTICES[order.channel](standing(order)))


def code_of(answer: Any) -> str:
    """The code of a refused notice, as each channel gets it."""
    if answer["Content-Type"].startswith("text/plain"):
        return str(answer.content.decode().removeprefix("fail "))
    return str(json.loads(answer.content)["code"])


def entries(user: User) -> list[LedgerEntry]:
    return list(LedgerEntry.objects.filter(wallet=wallet_of(user), key__startswith="order:"))


def recharged(user: User, amount: str) -> RechargeOrder:
    """Real money in the user's wallet: an order that its channel says is paid, without asking one."""
    wallet = wallet_of(user)
    order = RechargeOrder.objects.create(
        wallet=wallet, payer=user, channel="wechat", merchant="m", amount=Decimal(amount), key=str(new_id()),
        order_no=new_number(timezone.now()), expires_at=timezone.now(), poll_at=timezone.now(),
    )  # fmt: skip
    payment = Payment(
        channel="wechat", order_no=order.order_no, state=PaymentState.PAID, merchant="m", amount=Decimal(amount),
        currency="CNY", transaction_no=order.order_no, paid_at=timezone.now(),
    )  # fmt: skip
    return settle(payment=payment, source=Source.NOTICE)
