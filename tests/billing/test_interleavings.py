"""What comes in the middle of something else: one waits for a row of the other, and goes on by what it says then."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from billing.models import Membership, MembershipPlan, RefundOrder
from billing.services import idempotency, membership
from billing.services.bills import Charge
from billing.services.credits import credit
from billing.services.gifts import give
from billing.services.holds import capture_hold, place_hold, settle_hold
from billing.services.ledger import wallet_of
from billing.services.refunds import follow_refunds, register_refund
from common.ids import new_id
from tests.accounts.staff import operator
from tests.billing.audit import violations
from tests.billing.paying import channels, ordered, paid, pay_server, told
from tests.conftest import Client
from tests.racing import overtake, race, wait_for, waiting_for_locks

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["channels", "pay_server"]  # fixtures


def test_a_hold_that_is_closed_without_moving_money_while_the_wallet_moves(owner: User) -> None:
    """The guards compare the wallet with its entries, which somebody locks until the money of another is there."""
    wallet, is_held, is_settled = wallet_of(owner), Event(), Event()

    def lock_entries(_number: int) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE billing_ledgerentry IN ACCESS EXCLUSIVE MODE")

    def settle(_number: int) -> Any:
        # By one connection, which knows the function of the guards already when it comes to the lock.
        hold = place_hold(wallet=wallet, amount=Decimal(5), key="h", task_id=new_id(), description="job")
        capture_hold(hold=hold, total=Decimal(5), description="job")
        is_held.set()
        assert is_settled.wait(20)
        return settle_hold(hold=hold, charges=[Charge("job", Decimal(1), Decimal(5))], description="job")

    with ThreadPoolExecutor(2) as pool:
        settled = pool.submit(race, 1, settle)
        assert is_held.wait(20)
        with transaction.atomic():
            give(wallet=wallet, amount=Decimal(1), key="g", description="gift")
            lock = pool.submit(race, 1, lock_entries)
            wait_for(lambda: waiting_for_locks() == 1)
            is_settled.set()
            wait_for(lambda: waiting_for_locks() == 2)
        lock.result()
        assert settled.result()[0].amount == 5
    assert violations() == []


# --- Memberships ----------------------------------------------------------------------------------------------


@pytest.fixture
def member(owner: User) -> User:
    """The owner, with 1,000 yuan and a month of Pro that is over and goes on as Basic."""
    credit(user=owner, amount=Decimal(1000), key="rich", reason="test")
    membership.change_plan(user=owner, level=MembershipPlan.Level.PRO)
    membership.change_plan(user=owner, level=MembershipPlan.Level.BASIC)
    past = {name: timezone.now() - timedelta(days=days) for name, days in {"start": 32, "end": 1}.items()}
    Membership.objects.update(anchor_at=past["start"], period_start=past["start"], period_end=past["end"])
    return owner


def renew() -> bool:
    return membership.renew(Membership.objects.get().user_id, timezone.now())


def test_raised_while_it_is_renewed_at_a_lower_plan(member: User) -> None:
    """It is raised from the plan of the new period, which was paid in full."""
    before = wallet_of(member).balance
    raised = overtake(
        renew, lambda: membership.change_plan(user=member, level=MembershipPlan.Level.ENTERPRISE)
    )
    assert (raised.plan.level, raised.period, raised.status) == (3, 1, "active")
    charged = [bill.amount for bill in wallet_of(member).bills.order_by("created_at", "pk")][1:]
    assert len(charged) == 2
    assert wallet_of(member).balance == before - sum(charged)
    assert violations() == []


def test_ended_by_its_owner_while_it_is_renewed_at_a_lower_plan(member: User) -> None:
    ended = overtake(renew, lambda: membership.cancel(user=member))
    assert (ended.plan.level, ended.cancel_at_period_end) == (1, True)


def test_renewed_while_it_is_raised(member: User) -> None:
    """The schedule comes behind, and finds the month paid."""

    def raise_it() -> None:
        membership.change_plan(user=member, level=MembershipPlan.Level.ENTERPRISE)

    assert not overtake(raise_it, renew)
    row = Membership.objects.get()
    assert (row.plan.level, row.period, row.status, row.next_plan) == (3, 0, "active", None)
    assert violations() == []


# --- Vouchers, requests ---------------------------------------------------------------------------------------


def test_a_slow_request_does_not_take_back_the_answer_of_who_took_its_place(owner: User) -> None:
    """Its server is taken for dead after a minute; it is refused in the end all the same."""
    slow = idempotency.claim(user=owner, key="k", fingerprint="f")
    type(slow).objects.update(started_at=timezone.now() - timedelta(minutes=2))
    slow.refresh_from_db()
    second = idempotency.claim(user=owner, key="k", fingerprint="f")
    idempotency.answer(request=second, status=201, body={"id": 1})
    idempotency.answer(request=slow, status=409, body=None)
    third = idempotency.claim(user=owner, key="k", fingerprint="f")
    assert (third.status, third.body) == (201, {"id": 1})


# --- Refunds by channels --------------------------------------------------------------------------------------


@pytest.fixture
def refund(owner: User, channels: None) -> RefundOrder:
    """A refund that is registered and due, and of which the channel has not heard."""
    order = ordered(Client(owner), "wechat", "30")
    paid(order)
    assert told(order).status_code == 200
    order.refresh_from_db()
    boss = operator("finance")
    return register_refund(order=order, amount=Decimal(10), key="k", reason="asked for", actor=boss)


def test_two_schedules_at_once_ask_about_a_refund_once(refund: RefundOrder) -> None:
    now, site = timezone.now() + timedelta(minutes=1), "http://127.0.0.1:9"

    def take() -> None:
        """As the one schedule does that is first."""
        RefundOrder.objects.filter(pk=refund.pk).update(poll_at=now + timedelta(minutes=1))

    assert overtake(take, lambda: follow_refunds(now=now, site=site)) == 0
