"""Money under threads whose database connections die at random; at length with SOAK=1 (`make soak`)."""

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection

from billing.models import Bill, Hold, LedgerEntry, Wallet
from billing.services.bills import Charge, charge_now
from billing.services.gifts import give
from billing.services.holds import capture_hold, place_hold, settle_hold
from billing.services.ledger import post_entry, wallet_of
from common.errors import DomainError
from common.ids import new_id
from tests.billing.audit import violations
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 8
OPERATIONS = 20_000 if os.environ.get("SOAK") else 1600
KILLS_A_SECOND = 10
Kind = LedgerEntry.Kind


class Mint:
    """Random operations on a few wallets, and what was acknowledged."""

    def __init__(self) -> None:
        self.wallets = [wallet_of(make_user(money="500")) for _wallet in range(3)]
        self.holds: list[Hold] = []
        self.acknowledged: dict[str, Decimal] = {}
        self.broken = 0
        self.backends: dict[int, int] = {}
        self.over = threading.Event()

    def work(self, seed: int) -> None:
        dice = random.Random(seed)
        for number in range(OPERATIONS // THREADS):
            try:
                if number % 20 == 0:
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT pg_backend_pid()")
                        self.backends[seed] = cursor.fetchone()[0]
                self.operate(dice, f"{seed}:{number}")
            except DomainError as error:
                assert error.status in (402, 409), error
            except ValueError as error:
                assert "closed" in str(error), error
            except (OperationalError, InterfaceError):
                self.broken += 1
                connection.close()
        connection.close()

    def operate(self, dice: random.Random, key: str) -> None:
        wallet, amount = dice.choice(self.wallets), Decimal(dice.randint(1, 4000)) / 100
        kind = dice.random()
        if kind < 0.25:
            post_entry(wallet=wallet, kind=Kind.RECHARGE, amount=amount, key=key)
            self.acknowledged[key] = amount
        elif kind < 0.35:
            give(wallet=wallet, amount=amount, key=key, description="gift")
            self.acknowledged[key] = amount
        elif kind < 0.45:
            charges = [Charge("s", Decimal(1), amount)]
            charge_now(wallet=wallet, kind=Bill.Kind.STORAGE, charges=charges, key=key, description="s")
            self.acknowledged[key] = -amount
        elif kind < 0.65 or not self.holds:
            self.holds.append(
                place_hold(wallet=wallet, amount=amount, key=key, task_id=new_id(), description="j")
            )
        elif kind < 0.8:
            capture_hold(hold=dice.choice(self.holds[-20:]), total=amount / 2 // 1, description="j")
        else:
            charges = [Charge("f", Decimal(1), amount / 2)]
            settle_hold(hold=dice.choice(self.holds[-20:]), charges=charges, description="j")

    def kill(self) -> None:
        """End connections in whatever they are doing, until the work is over."""
        dice = random.Random(1)
        while not self.over.wait(1 / KILLS_A_SECOND):
            if self.backends:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT pg_terminate_backend(%s)", [dice.choice(list(self.backends.values()))]
                    )
        connection.close()


def test_nothing_is_lost_while_connections_die() -> None:
    mint = Mint()
    with ThreadPoolExecutor(THREADS + 1) as pool:
        killer = pool.submit(mint.kill)
        runs = [pool.submit(mint.work, seed) for seed in range(THREADS)]
        try:
            for run in runs:
                run.result()
        finally:
            mint.over.set()
        killer.result()
    assert mint.broken > 0
    written = dict(LedgerEntry.objects.filter(key__in=mint.acknowledged).values_list("key", "amount"))
    assert written == mint.acknowledged
    assert violations() == []


def test_without_a_lock_the_race_is_real() -> None:
    """The control: reading, adding and writing loses money as soon as nothing guards it, and the audit sees it."""
    wallet = wallet_of(make_user(money="0"))

    def naive(_number: int) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
        for _time in range(20):
            row = Wallet.objects.get(pk=wallet.pk)
            time.sleep(0.001)
            Wallet.objects.filter(pk=wallet.pk).update(balance=row.balance + 1)

    before = wallet.balance
    race(THREADS, naive)
    wallet.refresh_from_db()
    assert wallet.balance - before < 20 * THREADS
    assert violations() == ["entries"]
