"""Money under threads: real connections, real commits, and an audit of every invariant afterwards."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.errors import TeamInUse
from accounts.models import User
from accounts.services.teams import create_team, delete_team
from billing.errors import HoldExceeded, InsufficientBalance
from billing.models import Bill, Hold, LedgerEntry
from billing.services.bills import Charge
from billing.services.credits import credit
from billing.services.holds import place_hold, settle_hold
from billing.services.ledger import post_entry, wallet_of
from common.errors import DomainError
from common.ids import new_id
from tests.billing.audit import violations
from tests.racing import somebody_waits_for_a_lock, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 8


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Results of calls that start together, in threads of their own; a domain error is a result."""
    barrier = threading.Barrier(min(len(calls), THREADS))

    def run(call: Callable[[], Any]) -> Any:
        try:
            barrier.wait(20)
            return call()
        except DomainError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, calls))


def test_parallel_credits_all_count(owner: User) -> None:
    before = wallet_of(owner)
    at_once([lambda: credit(user=owner, amount=Decimal(1), key=str(new_id()), reason="r")] * 32)
    after = wallet_of(owner)
    assert (after.balance - before.balance, after.sequence - before.sequence) == (32, 32)
    assert violations() == []


def test_one_key_from_many_threads_counts_once(owner: User) -> None:
    before = wallet_of(owner).balance
    found = at_once([lambda: credit(user=owner, amount=Decimal(7), key="same", reason="r")] * THREADS)
    assert len({entry.pk for entry in found}) == 1
    assert wallet_of(owner).balance == before + 7


def test_the_last_money_is_held_by_as_many_as_it_pays(owner: User) -> None:
    def take() -> Hold:
        return place_hold(
            wallet=wallet_of(owner),
            amount=Decimal(30),
            key=str(new_id()),
            task_id=new_id(),
            description="job",
        )

    found = at_once([take] * THREADS)
    assert sum(isinstance(item, Hold) for item in found) == 3
    assert sum(isinstance(item, InsufficientBalance) for item in found) == THREADS - 3
    assert wallet_of(owner).held == 90
    assert violations() == []


def test_a_hold_settled_by_many_closes_once(owner: User) -> None:
    hold = place_hold(
        wallet=wallet_of(owner), amount=Decimal(10), key="h", task_id=new_id(), description="job"
    )

    def settle() -> Any:
        return settle_hold(hold=hold, charges=[Charge("f", Decimal(4), Decimal("0.5"))], description="job")

    bills = at_once([settle] * THREADS)
    assert len({bill.pk for bill in bills}) == 1
    assert Bill.objects.count() == 1
    assert LedgerEntry.objects.filter(kind="consume").count() == 1
    assert wallet_of(owner).balance == 98
    assert violations() == []


def test_random_operations_leave_every_invariant(owner: User, stranger: User) -> None:
    """Two wallets, eight threads, three hundred operations of all kinds, the same holds and keys again and again."""
    dice = random.Random(20261122)
    holds: list[Hold] = []

    def operation(number: int) -> Callable[[], Any]:
        user, amount, kind = (
            dice.choice([owner, stranger]),
            Decimal(dice.randint(1, 3000)) / 100,
            dice.random(),
        )

        def call() -> Any:
            if kind < 0.3:
                return credit(user=user, amount=amount, key=f"c{number % 40}", reason="r")
            if kind < 0.65 or not holds:
                made = place_hold(
                    wallet=wallet_of(user), amount=amount, key=f"h{number}", task_id=new_id(), description="j"
                )
                holds.append(made)
                return made
            used = amount / 2
            return settle_hold(
                hold=holds[number % len(holds)], charges=[Charge("f", Decimal(1), used)], description="j"
            )

        return call

    found = at_once([operation(number) for number in range(304)])
    assert sum(isinstance(item, Hold) for item in found) > 10
    assert sum(isinstance(item, Bill) for item in found) > 10
    assert not [item for item in found if isinstance(item, DomainError) and item.status not in (402, 409)]
    assert any(isinstance(item, HoldExceeded) for item in found)
    assert violations() == []


def test_a_team_that_gets_its_first_money_while_it_is_deleted_stays(owner: User) -> None:
    team = create_team(owner=owner, name="灯笼")
    wallet, has_paid = wallet_of(team), threading.Event()

    def pay() -> None:
        with transaction.atomic():
            post_entry(wallet=wallet, kind=LedgerEntry.Kind.RECHARGE, amount=Decimal(7), key="first")
            has_paid.set()
            wait_for(somebody_waits_for_a_lock)

    def delete() -> None:
        has_paid.wait(20)
        delete_team(team=team, actor=owner)

    _paid, refusal = at_once([pay, delete])
    assert isinstance(refusal, TeamInUse)
    assert wallet_of(team).balance == 7
    assert violations() == []
