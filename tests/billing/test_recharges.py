"""Recharge orders at the door: made, paid by a channel's word alone, seen, cancelled."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import Notification, TeamMember, User
from accounts.services.teams import create_team
from billing.models import RechargeOrder, Wallet
from billing.services import orders
from billing.services.ledger import wallet_of
from billing.signals import wallet_credited
from common.qr import qr_svg
from tests.billing.audit import violations
from tests.billing.paying import channels, entries, ordered, paid, pay_server, standing, told
from tests.conftest import Client
from tests.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("channels")]
__all__ = ["channels", "pay_server"]  # fixtures
both = pytest.mark.parametrize("channel", ["wechat", "alipay"])
Status = RechargeOrder.Status


@both
def test_an_order_is_paid_told_and_credited(owner: User, owner_api: Client, channel: str) -> None:
    heard: list[Any] = []

    def hear(sender: Any, wallet: Any, entry: Any, **kwargs: Any) -> None:
        heard.append((wallet, entry))

    order = ordered(owner_api, channel, "12.34")
    assert bool(order.code_url) == (channel == "wechat")
    assert bool(order.pay_url) == (channel == "alipay")
    assert len(order.order_no) <= 32
    assert wallet_of(owner).balance == 100
    paid(order)
    assert owner_api.get("/users/balance").json()["balance"] == 100.0

    wallet_credited.connect(hear)
    try:
        for _twice in range(2):
            assert told(order).status_code == 200
    finally:
        wallet_credited.disconnect(hear)

    assert owner_api.get("/users/balance").json()["balance"] == 112.34
    shown = owner_api.get(f"/billing/recharges/{order.pk}").json()
    assert (shown["status"], shown["amount"], shown["transaction_no"]) == (
        "paid", 12.34, standing(order).transaction_no,
    )  # fmt: skip
    [entry] = entries(owner)
    assert (entry.key, entry.kind) == (f"order:{order.order_no}", "recharge")
    order.refresh_from_db()
    assert order.entry == entry
    assert [each[1] for each in heard] == [entry]
    assert Notification.objects.filter(user=owner, title="Your payment has arrived").count() == 1
    assert violations() == []


def test_the_old_door_answers_the_user_and_credits_nothing(owner: User, owner_api: Client) -> None:
    answer = owner_api.post("/users/recharge", {"amount": "20", "description": "充值"})
    body = answer.json()
    assert answer.status_code == 200, body
    assert (body["username"], body["balance"]) == ("owner", 100.0)
    assert body["status"] == "pending"
    assert body["code_url"]
    order = RechargeOrder.objects.get(order_no=body["order_no"])
    assert (order.amount, order.description, order.channel) == (20, "充值", "wechat")
    assert entries(owner) == []
    assert {**owner_api.get("/users/me").json(), **body} == body


@pytest.mark.parametrize("path", ["/users/recharge", "/billing/recharges"])
@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (0, "not_positive"), ("0.00", "not_positive"), (-5, "not_positive"), ("-0.01", "not_positive"),
        (50000.01, "max_value"), ("1000000", "max_value"), ("99999999999999999999", "max_value"),
        ("1.2345678", "max_decimal_places"), (0.001, "max_decimal_places"),
        (" 5", "invalid"), ("5 ", "invalid"), ("5 0", "invalid"), ("NaN", "invalid"), ("Infinity", "invalid"),
        ("1e3", "invalid"), ("十", "invalid"), ("", "invalid"), (True, "invalid"), ([5], "invalid"), ({}, "invalid"),
        ("٥", "invalid"), (None, "null"),
    ],
)  # fmt: skip
def test_amounts_that_are_none(owner: User, owner_api: Client, path: str, amount: Any, reason: str) -> None:
    answer = owner_api.post(path, {"amount": amount})
    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, "validation_error")
    assert body["errors"][0]["loc"] == ["body", "amount"]
    assert body["errors"][0]["type"] == reason
    assert RechargeOrder.objects.count() == 0


def test_the_desktop_client_recharges_by_its_own_names(owner: User, owner_api: Client) -> None:
    """It sends camelCase, as no other client does."""

    def send(**form: Any) -> Any:
        agent = {"User-Agent": "YuntuClient/1.0.0"}
        return owner_api.post("/user/recharge", form, headers=agent)

    body = send(amount=20, paymentMethod="alipay").json()
    assert (body["balance"], body["status"], body["codeUrl"]) == (100.0, "pending", "")
    order = RechargeOrder.objects.get(order_no=body["orderNo"])
    assert (order.amount, order.channel, entries(owner)) == (20, "alipay", [])
    assert send(amount=20, paymentMethod="cash").status_code == 422
    assert send(amount=" 20", paymentMethod="alipay").status_code == 422


@pytest.mark.parametrize("path", ["/users/recharge", "/billing/recharges"])
def test_another_currency_than_that_of_the_wallet(owner_api: Client, path: str) -> None:
    answer = owner_api.post(path, {"amount": 5, "currency": "POINTS"})
    assert (answer.status_code, answer.json()["code"]) == (409, "currency_mismatch")
    assert owner_api.post(path, {"amount": 5, "currency": "USD"}).status_code == 422
    assert RechargeOrder.objects.count() == 0


def test_not_a_number_is_no_json(owner_api: Client) -> None:
    answer = owner_api.generic("POST", "/users/recharge", b'{"amount": NaN}', content_type="application/json")
    assert answer.status_code in (400, 422)
    assert RechargeOrder.objects.count() == 0


@pytest.mark.parametrize("form", [{"channel": "cash"}, {"description": "x" * 501}, {"wallet_id": "x"}])
def test_other_bad_input(owner_api: Client, form: dict[str, Any]) -> None:
    assert owner_api.post("/billing/recharges", {"amount": 1, **form}).status_code == 422
    assert RechargeOrder.objects.count() == 0


def test_a_key_makes_one_order(owner_api: Client) -> None:
    def send(amount: int) -> Any:
        return owner_api.post("/billing/recharges", {"amount": amount}, headers={"Idempotency-Key": "k"})

    first, again = send(5), send(5)
    assert again.json() == first.json()
    assert (send(6).status_code, send(6).json()["code"]) == (409, "idempotency_conflict")
    assert RechargeOrder.objects.count() == 1


def test_a_channel_that_is_away_loses_nothing(owner: User, owner_api: Client, settings: Any) -> None:
    there, settings.WECHAT_PAY_URL = settings.WECHAT_PAY_URL, "http://127.0.0.1:9"
    body, key = {"amount": 5, "channel": "wechat"}, {"Idempotency-Key": "k"}
    answer = owner_api.post("/billing/recharges", body, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_channel_unavailable")
    settings.WECHAT_PAY_URL = there
    again = owner_api.post("/billing/recharges", body, headers=key)
    assert (again.status_code, bool(again.json()["code_url"])) == (201, True)
    assert RechargeOrder.objects.count() == 1
    assert entries(owner) == []


def test_what_a_channel_refuses_has_failed(owner_api: Client, settings: Any) -> None:
    settings.WECHAT_PAY_APP_ID = "wx-other"
    order = ordered(owner_api)  # the stand-in reads the same settings
    assert order.merchant == "wx-other:1900000001"
    settings.PUBLIC_URL = "ftp://nowhere"
    answer = owner_api.post("/billing/recharges", {"amount": 5, "channel": "wechat"})
    assert (answer.status_code, answer.json()["code"], answer.json()["reason"]) == (
        502, "payment_channel_refused", "PARAM_ERROR",
    )  # fmt: skip
    assert RechargeOrder.objects.latest("created_at").status == Status.FAILED


def test_a_channel_without_settings_is_not_offered(owner_api: Client, settings: Any) -> None:
    assert owner_api.get("/billing/channels").json() == {
        "channels": ["wechat", "alipay"], "limit": 50000.0, "currency": "CNY",
    }  # fmt: skip
    settings.WECHAT_PAY_SERIAL = ""
    assert owner_api.get("/billing/channels").json()["channels"] == ["alipay"]
    answer = owner_api.post("/billing/recharges", {"amount": 5, "channel": "wechat"})
    assert (answer.status_code, answer.json()["code"]) == (422, "channel_not_offered")
    assert ordered(owner_api, "alipay").channel == "alipay"
    settings.ALIPAY_APP_ID = ""
    answer = owner_api.post("/users/recharge", {"amount": 5})
    assert (answer.status_code, answer.json()["code"]) == (422, "channel_not_offered")


def test_only_so_many_orders_wait(owner_api: Client, settings: Any) -> None:
    settings.RECHARGE_OPEN_ORDERS = 2
    first = ordered(owner_api)
    ordered(owner_api)
    answer = owner_api.post("/billing/recharges", {"amount": 5})
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (
        409, "too_many_open_orders", 2,
    )  # fmt: skip
    assert owner_api.post(f"/billing/recharges/{first.pk}/cancel").json()["status"] == "closed"
    ordered(owner_api)


def test_orders_are_listed_and_out_of_sight(
    owner_api: Client, stranger_api: Client, django_assert_num_queries: Any
) -> None:
    mine = [ordered(owner_api, amount=amount) for amount in (1, 2, 3)]
    with django_assert_num_queries(3):
        body = owner_api.get("/billing/recharges", {"limit": 2}).json()
    assert ([row["amount"] for row in body["recharges"]], body["total"]) == ([3.0, 2.0], 3)
    assert stranger_api.get("/billing/recharges").json()["total"] == 0
    for answer in (
        stranger_api.get(f"/billing/recharges/{mine[0].pk}"),
        stranger_api.post(f"/billing/recharges/{mine[0].pk}/cancel"),
        stranger_api.post("/billing/recharges", {"amount": 1, "wallet_id": str(mine[0].wallet_id)}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    mine[0].refresh_from_db()
    assert mine[0].status == Status.PENDING
    assert Client().get("/billing/recharges").status_code == 401


def test_an_order_that_waits_has_its_qr_code(owner_api: Client) -> None:
    waiting, other = ordered(owner_api), ordered(owner_api, "alipay")
    shown = owner_api.get(f"/billing/recharges/{waiting.pk}").json()
    assert shown["qr_svg"] == qr_svg(waiting.code_url)
    assert shown["qr_svg"].startswith("<svg xmlns=")
    assert owner_api.get(f"/billing/recharges/{other.pk}").json()["qr_svg"] == ""
    assert owner_api.post(f"/billing/recharges/{waiting.pk}/cancel").json()["qr_svg"] == ""
    assert "qr_svg" not in owner_api.get("/billing/recharges").json()["recharges"][0]


def test_orders_of_one_wallet(owner: User, owner_api: Client, stranger_api: Client) -> None:
    team = wallet_of(create_team(owner=owner, name="灯笼"))
    ordered(owner_api)
    ours = ordered(owner_api, wallet_id=str(team.pk))
    path = f"/billing/recharges?wallet={team.pk}"
    assert [row["id"] for row in owner_api.get(path).json()["recharges"]] == [str(ours.pk)]
    assert stranger_api.get(path).json()["recharges"] == []
    assert owner_api.get("/billing/recharges?wallet=x").status_code == 422


def test_a_new_team_has_a_wallet_to_be_recharged(owner: User, owner_api: Client) -> None:
    team_id = owner_api.post("/teams", {"name": "灯笼"}).json()["id"]
    _mine, ours = owner_api.get("/billing/wallets").json()["wallets"]
    assert (ours["owner"]["id"], ours["currency"], ours["balance"]) == (team_id, "CNY", 0.0)
    order = ordered(owner_api, amount=7, wallet_id=ours["id"])
    paid(order)
    told(order)
    assert owner_api.get(f"/billing/wallets/{ours['id']}").json()["balance"] == 7.0
    # What has money stays, what never had any goes with its team.
    assert owner_api.delete(f"/teams/{team_id}").json()["code"] == "team_in_use"
    empty = owner_api.post("/teams", {"name": "空"}).json()["id"]
    assert owner_api.delete(f"/teams/{empty}").status_code == 200
    assert [wallet.team_id for wallet in Wallet.objects.filter(team__isnull=False)] == [UUID(team_id)]


def test_a_team_is_recharged_by_its_managers(owner: User, owner_api: Client) -> None:
    team = create_team(owner=owner, name="灯笼")
    wallet = wallet_of(team)
    member, admin = make_user(), make_user()
    TeamMember.objects.create(team=team, user=member, role=TeamMember.Role.MEMBER)
    TeamMember.objects.create(team=team, user=admin, role=TeamMember.Role.ADMIN)
    body = {"amount": 7, "wallet_id": str(wallet.pk)}
    assert Client(member).post("/billing/recharges", body).status_code == 404
    order = ordered(Client(admin), amount=7, wallet_id=str(wallet.pk))
    assert [row["id"] for row in owner_api.get("/billing/recharges").json()["recharges"]] == [str(order.pk)]
    paid(order)
    told(order)
    wallet.refresh_from_db()
    assert wallet.balance == 7
    assert wallet_of(admin).balance == 50
    TeamMember.objects.filter(user=admin).update(role=TeamMember.Role.MEMBER)
    assert Client(admin).post(f"/billing/recharges/{order.pk}/cancel").status_code == 404


def test_points_are_not_bought(owner: User, owner_api: Client) -> None:
    points = wallet_of(owner, "POINTS")
    answer = owner_api.post("/billing/recharges", {"amount": 7, "wallet_id": str(points.pk)})
    assert (answer.status_code, answer.json()["code"]) == (409, "currency_mismatch")
    assert RechargeOrder.objects.count() == 0


@both
def test_cancelling_closes_at_the_channel(owner: User, owner_api: Client, channel: str) -> None:
    order = ordered(owner_api, channel)
    assert owner_api.post(f"/billing/recharges/{order.pk}/cancel").json()["status"] == "closed"
    assert standing(order).state == "CLOSED"
    again = owner_api.post(f"/billing/recharges/{order.pk}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "order_not_pending")
    assert entries(owner) == []


@both
def test_cancelling_what_was_paid_credits_it(owner: User, owner_api: Client, channel: str) -> None:
    order = ordered(owner_api, channel)
    paid(order)
    assert owner_api.post(f"/billing/recharges/{order.pk}/cancel").json()["status"] == "paid"
    assert len(entries(owner)) == 1


def test_an_alipay_page_that_nobody_opened_is_closed(owner_api: Client) -> None:
    answer = owner_api.post("/billing/recharges", {"amount": 3, "channel": "alipay"}).json()
    assert owner_api.post(f"/billing/recharges/{answer['id']}/cancel").json()["status"] == "closed"


# --- The schedule -----------------------------------------------------------------------------------------


@both
def test_orders_are_followed_without_a_notice(owner: User, owner_api: Client, channel: str) -> None:
    order = ordered(owner_api, channel)
    now = timezone.now() + timedelta(seconds=11)
    assert orders.follow_orders(now=now) == 1
    assert orders.follow_orders(now=now) == 0  # asked again only later
    paid(order)
    later = now + timedelta(seconds=11)
    assert (orders.follow_orders(now=later), orders.follow_orders(now=later)) == (1, 0)
    assert wallet_of(owner).balance == Decimal("112.34")
    assert told(order).status_code == 200
    assert len(entries(owner)) == 1


@both
def test_orders_not_paid_in_time_are_closed_and_paid_ones_credited(
    owner: User, owner_api: Client, channel: str
) -> None:
    left, last_minute = ordered(owner_api, channel), ordered(owner_api, channel)
    paid(last_minute)
    late = timezone.now() + timedelta(minutes=31)
    assert orders.follow_orders(now=late) == 2
    assert orders.follow_orders(now=late + timedelta(minutes=9)) == 0
    left.refresh_from_db()
    last_minute.refresh_from_db()
    assert (left.status, last_minute.status) == (Status.CLOSED, Status.PAID)
    assert standing(left).state == "CLOSED"
    assert len(entries(owner)) == 1


def test_an_order_is_closed_as_its_time_is_over(owner_api: Client) -> None:
    """However rarely it was asked about before."""
    order = ordered(owner_api)
    orders.follow_orders(now=order.expires_at - timedelta(minutes=1))
    assert orders.follow_orders(now=order.expires_at) == 1
    order.refresh_from_db()
    assert order.status == Status.CLOSED


def test_a_channel_that_is_away_stops_nobody_else(owner: User, owner_api: Client, settings: Any) -> None:
    """It is asked once a run, not once for each order: somebody waits for each answer that does not come."""
    first, next_one = ordered(owner_api, "wechat"), ordered(owner_api, "wechat")
    second = ordered(owner_api, "alipay")
    paid(first)
    paid(second)
    settings.WECHAT_PAY_URL = "http://127.0.0.1:9"
    now = timezone.now() + timedelta(seconds=11)
    assert orders.follow_orders(now=now) == 2
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == (Status.PENDING, Status.PAID)
    assert orders.follow_orders(now=now) == 1
    waiting = RechargeOrder.objects.filter(pk=next_one.pk)
    assert waiting.values_list("poll_at").get() > (now,)


def test_a_run_ends_after_a_while(owner_api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly a channel answers."""
    ordered(owner_api)
    ordered(owner_api)
    now = timezone.now() + timedelta(seconds=11)
    monkeypatch.setattr(orders, "LONGEST_RUN", 0)
    assert orders.follow_orders(now=now) == 0
    monkeypatch.undo()
    assert orders.follow_orders(now=now) == 2


# --- Coming back from the page of a channel ---


def test_whoever_comes_back_from_alipay_is_credited_by_nothing_they_bring(
    owner: User, owner_api: Client, channels: None, settings: Any
) -> None:
    order = ordered(owner_api, "alipay")
    query = parse_qs(urlsplit(order.pay_url).query)
    assert query["return_url"] == [f"{settings.PUBLIC_URL}/billing"]
    settings.PAYMENT_RETURN_URL = "https://studio.example/thanks"
    other = ordered(owner_api, "alipay")
    assert parse_qs(urlsplit(other.pay_url).query)["return_url"] == ["https://studio.example/thanks"]
    page = f"/standin/pay/cashier/alipay/{other.order_no}"
    assert "studio.example" not in Client().get(page).content.decode()
    there = paid(other)
    back = f"https://studio.example/thanks?out_trade_no={there.order_no}&amp;trade_no={there.transaction_no}"
    assert back in Client().get(page).content.decode()
    # Nobody has told us: what a browser knows does not count.
    other.refresh_from_db()
    assert (other.status, entries(owner)) == ("pending", [])
