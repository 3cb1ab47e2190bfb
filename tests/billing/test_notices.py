"""What channels tell, and what others tell in their name."""

import json
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from accounts.models import Notification, User
from billing.channels.standin import alipay, keys, ledger, wechat
from billing.models import MoneyAlert, RechargeOrder
from billing.services.ledger import wallet_of
from tests.accounts.staff import operator
from tests.billing.audit import violations
from tests.billing.paying import (
    NOTICES,
    channels,
    code_of,
    entries,
    ordered,
    paid,
    pay_server,
    send,
    standing,
    told,
)
from tests.conftest import Client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("channels")]
__all__ = ["channels", "pay_server"]  # fixtures
both = pytest.mark.parametrize("channel", ["wechat", "alipay"])
Status = RechargeOrder.Status
Kind = MoneyAlert.Kind


def refused(answer: Any, status: int, code: str) -> None:
    """WeChat Pay goes by the status, Alipay by the word."""
    if answer["Content-Type"].startswith("text/plain"):
        status = 200
    assert (answer.status_code, code_of(answer)) == (status, code), answer.content


def nothing_came(user: User, order: RechargeOrder, status: str = Status.PENDING) -> None:
    order.refresh_from_db()
    assert (order.status, entries(user), wallet_of(user).balance) == (status, [], 100)
    assert violations() == []


# --- Signatures -------------------------------------------------------------------------------------------


def test_a_wechat_notice_with_a_wrong_signature(owner: User, owner_api: Client) -> None:
    order = ordered(owner_api)
    headers, body = wechat.payment_notice(paid(order))
    signature = headers["Wechatpay-Signature"]
    other = ("B" if signature[0] == "A" else "A") + signature[1:]
    for change in (
        {"Wechatpay-Signature": other},
        {"Wechatpay-Signature": ""},
        {"Wechatpay-Signature": "§"},
        {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + signature},
        {"Wechatpay-Nonce": "other"},
        {"Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"},
        {"Wechatpay-Serial": "5157F09EFDC096DE15EBE81A47057A72"},
        {"Wechatpay-Serial": ""},
    ):
        refused(send("wechat", ({**headers, **change}, body)), 401, "signature_invalid")
    refused(send("wechat", (headers, body.replace(b"ciphertext", b"Ciphertext"))), 401, "signature_invalid")
    refused(send("wechat", ({"Content-Type": "application/json"}, body)), 401, "signature_invalid")
    refused(send("wechat", (headers, b"")), 401, "signature_invalid")
    refused(send("wechat", (headers, b"\xff\xfe")), 401, "signature_invalid")
    nothing_came(owner, order)
    assert send("wechat", (headers, body)).status_code == 200


def test_a_serial_that_is_not_known_asks_nobody(owner_api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    order = ordered(owner_api)
    headers, body = wechat.payment_notice(paid(order))

    def call(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("an outbound call")

    monkeypatch.setattr("requests.get", call)
    refused(send("wechat", ({**headers, "Wechatpay-Serial": "ABCDEF"}, body)), 401, "signature_invalid")


@pytest.mark.parametrize("age", [-330, 330, 86_400, None])
def test_a_wechat_notice_of_another_time(
    owner: User, owner_api: Client, age: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ordered(owner_api)
    there = paid(order)
    with monkeypatch.context() as patch:
        then = time.time() - (age or 0)
        patch.setattr(wechat.time, "time", lambda: then)
        headers, body = wechat.payment_notice(there)
    if age is None:
        headers["Wechatpay-Timestamp"] = "yesterday"
    refused(send("wechat", (headers, body)), 400, "notify_stale")
    nothing_came(owner, order)


def test_a_wechat_notice_under_another_key(owner: User, owner_api: Client, settings: Any) -> None:
    order = ordered(owner_api)
    key, settings.WECHAT_PAY_API_V3_KEY = settings.WECHAT_PAY_API_V3_KEY, "x" * 32
    notice = wechat.payment_notice(paid(order))
    settings.WECHAT_PAY_API_V3_KEY = key
    refused(send("wechat", notice), 401, "signature_invalid")
    nothing_came(owner, order)


@pytest.mark.parametrize(
    ("event", "change"),
    [
        ("COUPON.USE", {}), ("TRANSACTION.SUCCESS", {"amount": None}),
        ("TRANSACTION.SUCCESS", {"amount": {"total": "1234"}}), ("TRANSACTION.SUCCESS", {"amount": {"total": True}}),
        ("TRANSACTION.SUCCESS", {"trade_state": "WON"}), ("TRANSACTION.SUCCESS", {"success_time": "noon"}),
        ("REFUND.SUCCESS", {}), ("REFUND.SUCCESS", {"mchid": "1"}),
    ],
)  # fmt: skip
def test_signed_notices_that_say_nothing(
    owner: User, owner_api: Client, event: str, change: dict[str, Any]
) -> None:
    order = ordered(owner_api)
    resource = {**wechat.transaction(paid(order)), **change}
    refused(send("wechat", wechat.notice(event, "transaction", resource)), 400, "notify_refused")
    nothing_came(owner, order)


def test_an_alipay_notice_with_a_wrong_signature(owner: User, owner_api: Client) -> None:
    order = ordered(owner_api, "alipay")
    headers, body = alipay.notice(paid(order))
    values = dict(parse_qsl(body.decode()))
    for forged in (
        urlencode({**values, "total_amount": "9999.00"}),
        urlencode({**values, "sign": ""}),
        urlencode({**values, "sign": "x"}),
        urlencode({**values, "sign_type": "RSA"}),
        urlencode({name: value for name, value in values.items() if name != "sign"}),
        urlencode({name: value for name, value in values.items() if name != "sign_type"}),
        body.decode() + "&total_amount=9999.00",
        "",
        "nothing",
        "%ff%fe=1",
    ):
        refused(send("alipay", (headers, forged.encode())), 401, "signature_invalid")
    refused(send("alipay", (headers, b"\xff\xfe")), 401, "signature_invalid")
    nothing_came(owner, order)
    answer = send("alipay", (headers, body))
    assert (answer.status_code, answer.content) == (200, b"success")
    assert len(entries(owner)) == 1


def test_our_own_key_signs_no_notice(owner: User, owner_api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The merchant's key is in more hands than the channel's."""
    sign = keys.sign
    for channel in ("wechat", "alipay"):
        order = ordered(owner_api, channel)
        there = paid(order)
        with monkeypatch.context() as patch:
            patch.setattr(
                keys, "sign", lambda owner, message: sign(owner.replace("platform", "merchant"), message)
            )
            notice = NOTICES[channel](there)
        refused(send(channel, notice), 401, "signature_invalid")
        nothing_came(owner, order)


# --- What was paid ----------------------------------------------------------------------------------------


def changed(order: RechargeOrder, **values: Any) -> tuple[dict[str, str], bytes]:
    """A notice, really signed, that says something else of a paid order."""
    there = standing(order)
    if order.channel == "wechat":
        resource = wechat.transaction(there)
        for name, value in values.items():
            if name in resource["amount"]:
                resource["amount"][name] = value
            else:
                resource[name] = value
        return wechat.notice("TRANSACTION.SUCCESS", "transaction", resource)
    _headers, body = alipay.notice(there)
    known = dict(parse_qsl(body.decode()))
    known.pop("sign")
    return alipay.sealed({**known, **values})


@pytest.mark.parametrize(
    ("channel", "values", "code"),
    [
        ("wechat", {"total": 1}, "amount_mismatch"),
        ("wechat", {"total": 1235}, "amount_mismatch"),
        ("wechat", {"currency": "USD"}, "currency_mismatch"),
        ("wechat", {"mchid": "1900000002"}, "merchant_mismatch"),
        ("wechat", {"appid": "wx-other"}, "merchant_mismatch"),
        ("alipay", {"total_amount": "0.01"}, "amount_mismatch"),
        ("alipay", {"trans_currency": "USD"}, "currency_mismatch"),
        ("alipay", {"seller_id": "2088000000000002"}, "merchant_mismatch"),
        ("alipay", {"app_id": "2021000000000002"}, "merchant_mismatch"),
    ],
)
def test_something_else_was_paid(
    owner: User, owner_api: Client, channel: str, values: dict[str, Any], code: str
) -> None:
    keeper = operator("finance")
    order = ordered(owner_api, channel)
    paid(order)
    for _again in range(2):
        refused(send(channel, changed(order, **values)), 409, code)
    nothing_came(owner, order)
    [alert] = MoneyAlert.objects.all()
    assert (alert.kind, alert.order, alert.wallet) == (code, order, wallet_of(owner))
    assert Notification.objects.filter(user=keeper).count() == 1
    assert told(order).status_code == 200
    assert len(entries(owner)) == 1


@both
def test_an_order_that_is_not_known_yet_is_told_again(owner: User, owner_api: Client, channel: str) -> None:
    """As if the notice were quicker than our commit: no entry, and an answer after which the channel comes again."""
    order = ordered(owner_api, channel)
    early = changed_order_no(paid(order), "R20261130notcommitted")
    refused(send(channel, early), 404, "order_unknown")
    assert MoneyAlert.objects.count() == 0
    nothing_came(owner, order)
    assert told(order).status_code == 200


def changed_order_no(order: ledger.Order, order_no: str) -> tuple[dict[str, str], bytes]:
    order.order_no = order_no
    return NOTICES[order.channel](order)


def test_an_order_of_one_channel_is_not_paid_by_another(owner: User, owner_api: Client) -> None:
    order = ordered(owner_api, "alipay")
    there = paid(order)
    refused(send("wechat", wechat.payment_notice(there)), 404, "order_unknown")
    nothing_came(owner, order)


@both
def test_paid_after_it_was_closed(owner: User, owner_api: Client, channel: str) -> None:
    order = ordered(owner_api, channel)
    there = paid(order)
    RechargeOrder.objects.filter(pk=order.pk).update(status=Status.CLOSED)
    for _again in range(2):
        refused(send(channel, NOTICES[channel](there)), 409, "paid_after_close")
    nothing_came(owner, order, Status.CLOSED)
    assert [alert.kind for alert in MoneyAlert.objects.all()] == [Kind.PAID_AFTER_CLOSE]


@both
def test_paid_twice(owner: User, owner_api: Client, channel: str) -> None:
    order = ordered(owner_api, channel)
    there = paid(order)
    assert told(order).status_code == 200
    there.transaction_no = "4200000000000000000"
    refused(send(channel, NOTICES[channel](there)), 409, "paid_twice")
    assert len(entries(owner)) == 1
    assert [alert.kind for alert in MoneyAlert.objects.all()] == [Kind.PAID_TWICE]


def test_notices_of_what_is_not_paid_change_nothing(owner: User, owner_api: Client) -> None:
    for channel, values in (
        ("wechat", {"trade_state": "CLOSED"}),
        ("alipay", {"trade_status": "TRADE_CLOSED"}),
    ):
        order = ordered(owner_api, channel)
        paid(order)
        assert send(channel, changed(order, **values)).status_code == 200
        nothing_came(owner, order)


@both
def test_a_channel_that_is_not_offered_takes_no_notice(
    owner: User, owner_api: Client, channel: str, settings: Any
) -> None:
    order = ordered(owner_api, channel)
    notice = NOTICES[channel](paid(order))
    settings.WECHAT_PAY_APP_ID = settings.ALIPAY_APP_ID = ""
    refused(send(channel, notice), 422, "channel_not_offered")
    nothing_came(owner, order)


def test_answers_are_as_the_channels_want_them(owner_api: Client) -> None:
    order = ordered(owner_api)
    paid(order)
    assert json.loads(told(order).content)["code"] == "SUCCESS"
    answer = Client().get("/billing/notify/wechat")
    assert answer.status_code == 405
