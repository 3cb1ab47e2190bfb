"""A channel's word, ours and an operator's at the same moment: one entry, whoever comes first."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import Bill, LedgerEntry, RechargeOrder, RefundOrder
from billing.periods import day_of
from billing.services import orders
from billing.services.bills import Charge, charge_now
from billing.services.channel_files import reconcile_channel
from billing.services.gifts import give
from billing.services.holds import place_hold
from billing.services.ledger import wallet_of
from billing.services.refunds import refund_order, register_refund
from common.errors import DomainError
from common.ids import new_id
from tests.accounts.staff import operator
from tests.billing.audit import violations
from tests.billing.paying import channels, entries, ordered, paid, pay_server, standing, told
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("channels")]
__all__ = ["channels", "pay_server"]  # fixtures


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_eight_notices_at_once_credit_once(owner: User, owner_api: Client, channel: str) -> None:
    order = ordered(owner_api, channel)
    paid(order)
    assert {answer.status_code for answer in race(8, lambda _number: told(order))} == {200}
    assert len(entries(owner)) == 1
    assert violations() == []


def test_a_notice_against_closing(owner: User, owner_api: Client) -> None:
    """The order is paid and told while the schedule, twice, closes what was not paid in time."""
    late = timezone.now() + timedelta(minutes=31)
    for _round in range(3):
        order = ordered(owner_api)
        before = len(entries(owner))

        def act(number: int, order: RechargeOrder = order) -> Any:
            if number:
                return orders.follow_orders(now=late)
            try:
                paid(order)
            except AssertionError:  # closed at the channel before
                return None
            return told(order)

        race(3, act)
        order.refresh_from_db()
        is_paid = standing(order).state == "PAID"
        assert (order.status == "paid") == is_paid
        assert len(entries(owner)) == before + is_paid
    assert violations() == []


def test_a_refund_against_spending() -> None:
    payer, boss = make_user(), operator("finance")
    order = ordered(Client(payer), "alipay", 30)
    paid(order)
    told(order)
    order.refresh_from_db()

    def act(number: int) -> Any:
        try:
            if number % 2:
                return place_hold(
                    wallet=wallet_of(payer),
                    amount=Decimal(25),
                    key=str(number),
                    task_id=new_id(),
                    description="j",
                )
            return refund_order(
                order=order,
                amount=Decimal(15),
                key=str(number),
                reason="r",
                actor=boss,
                site="http://127.0.0.1:9",
            )
        except DomainError as error:
            return error

    race(8, act)
    back = RefundOrder.objects.count()
    wallet = wallet_of(payer)
    assert back <= 2
    assert wallet.balance == 80 - 15 * back
    assert len(standing(order).refunds) == back
    assert LedgerEntry.objects.filter(kind="withdrawal").count() == back
    assert violations() == []


def test_refunds_of_two_orders_share_what_was_paid() -> None:
    """Each for itself would fit: what is left was given."""
    payer, boss = make_user(), operator("finance")
    there = [ordered(Client(payer), "alipay", 10) for _count in range(2)]
    for order in there:
        paid(order)
        told(order)
        order.refresh_from_db()
    charge = Charge("storage", Decimal(1), Decimal(60))
    wallet = wallet_of(payer)
    charge_now(wallet=wallet, kind=Bill.Kind.STORAGE, charges=[charge], key="s", description="s")
    give(wallet=wallet, amount=Decimal(50), key="g", description="gift")

    def act(number: int) -> Any:
        try:
            return register_refund(
                order=there[number % 2], amount=Decimal(8), key=str(number), reason="r", actor=boss
            )
        except DomainError as error:
            return error

    race(8, act)
    assert RefundOrder.objects.count() == 1
    assert violations() == []


# --- The channel's file of the day ------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_the_file_of_a_day_against_our_orders(owner: User, owner_api: Client, channel: str) -> None:
    today = day_of(timezone.now())
    boss = operator("finance")
    good, untold = ordered(owner_api, channel), ordered(owner_api, channel)
    for order in (good, untold):
        paid(order)
    told(good)
    good.refresh_from_db()
    refund_order(order=good, amount=Decimal(2), key="k", reason="r", actor=boss, site="http://127.0.0.1:9")
    count, found = reconcile_channel(today)
    assert count == 3
    assert [(each.check, each.subject) for each in found] == [("not_credited", untold.order_no)]
    assert len(entries(owner)) == 1
    told(untold)
    assert reconcile_channel(today) == (3, [])
    assert reconcile_channel(today - timedelta(days=5)) == (0, [])
