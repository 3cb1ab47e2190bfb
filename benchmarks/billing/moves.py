"""Threads that move money, ours and the bare way, and a ledger of a million entries. Needs Django set up."""

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from django.db import connection, transaction

from accounts.models import User
from billing.models import LedgerEntry, Wallet
from billing.services.bills import Charge
from billing.services.holds import place_hold, settle_hold
from billing.services.ledger import post_entry
from billing.services.reconciliation import audit_ledger
from common.ids import new_id

THREADS = 8
FEN = Decimal("0.01")
BARE = """
DROP TABLE IF EXISTS bench_entry, bench_wallet;
CREATE TABLE bench_wallet (id int PRIMARY KEY, balance numeric(18, 6) NOT NULL, sequence bigint NOT NULL);
CREATE TABLE bench_entry (id uuid PRIMARY KEY, wallet_id int NOT NULL REFERENCES bench_wallet, sequence bigint NOT NULL,
  amount numeric(18, 6) NOT NULL, balance_after numeric(18, 6) NOT NULL, key text NOT NULL, UNIQUE (wallet_id, key));
INSERT INTO bench_wallet SELECT n, 0, 0 FROM generate_series(0, 999) n
"""
UPDATE = """
UPDATE bench_wallet SET balance = balance + %s, sequence = sequence + 1 WHERE id = %s RETURNING balance, sequence
"""
INSERT = "INSERT INTO bench_entry (id, wallet_id, sequence, amount, balance_after, key) VALUES (%s, %s, %s, %s, %s, %s)"
MILLION = """
SET session_replication_role = replica;
INSERT INTO billing_ledgerentry (id, created_at, updated_at, wallet_id, sequence, kind, amount, held_delta, gift_delta,
                                 balance_after, held_after, gift_after, key, description)
SELECT gen_random_uuid(), now(), now(), w.id, w.sequence + n, 'recharge', 1, 0, 0, w.balance + n, w.held, w.gift,
       'bench-' || w.sequence + n, '' FROM billing_wallet w, generate_series(1, %s) n;
UPDATE billing_wallet SET balance = balance + %s, sequence = sequence + %s;
SET session_replication_role = DEFAULT;
ANALYZE billing_ledgerentry
"""
Move = Callable[[int], None]


def wallets(count: int) -> list[Wallet]:
    """`count` empty wallets, each of a user of its own."""
    made = User.objects.bulk_create(User(username=f"bench-{new_id()}") for _ in range(count))
    return Wallet.objects.bulk_create(Wallet(user=user) for user in made)


def fund(rows: list[Wallet]) -> list[Wallet]:
    """The wallets, with more than a run can spend."""
    for row in rows:
        post_entry(wallet=row, kind=LedgerEntry.Kind.RECHARGE, amount=Decimal(100_000), key="fund")
    return rows


def make_bare() -> None:
    with connection.cursor() as cursor:
        cursor.execute(BARE)


def bare(count: int) -> Move:
    """The least that moves money: UPDATE … RETURNING and INSERT, in one transaction."""

    def move(number: int) -> None:
        wallet = number % count
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(UPDATE, [FEN, wallet])
            balance, sequence = cursor.fetchone()
            cursor.execute(INSERT, [new_id(), wallet, sequence, FEN, balance, str(number)])

    return move


def entries(rows: list[Wallet]) -> Move:
    def move(number: int) -> None:
        kind = LedgerEntry.Kind.RECHARGE
        post_entry(wallet=rows[number % len(rows)], kind=kind, amount=FEN, key=f"k{number}")

    return move


def jobs(rows: list[Wallet]) -> Move:
    """The money of a job: a hold, a capture, a release, a bill with its line."""

    def move(number: int) -> None:
        wallet = rows[number % len(rows)]
        hold = place_hold(
            wallet=wallet, amount=2 * FEN, key=f"j{number}", task_id=new_id(), description="job"
        )
        settle_hold(hold=hold, charges=[Charge("frame", Decimal(1), FEN)], description="job")

    return move


def rate(move: Move, seconds: float) -> tuple[float, int]:
    """Moves a second by THREADS threads, each with a connection of its own, and how many there were."""
    numbers, start = itertools.count(), threading.Barrier(THREADS + 1)
    stop = threading.Event()

    def work() -> int:
        connection.ensure_connection()
        start.wait(60)
        count = 0
        while not stop.is_set():
            move(next(numbers))
            count += 1
        connection.close()
        return count

    with ThreadPoolExecutor(THREADS) as pool:
        runs = [pool.submit(work) for _thread in range(THREADS)]
        start.wait(60)
        begun = time.perf_counter()
        time.sleep(seconds)
        stop.set()
        total = sum(run.result() for run in runs)
        return total / (time.perf_counter() - begun), total


def balance_of(rows: list[Wallet]) -> Decimal:
    found = Wallet.objects.filter(pk__in=[row.pk for row in rows]).values_list("balance", flat=True)
    return sum(found, Decimal(0))


def audit_seconds(total: int) -> float:
    """Seconds of the audit once the ledger has about `total` entries more, all of which add up."""
    each = total // Wallet.objects.count() + 1
    with connection.cursor() as cursor:
        cursor.execute(MILLION, [each, each, each])
    begun = time.perf_counter()
    faults = audit_ledger()
    spent = time.perf_counter() - begun
    if faults:
        raise AssertionError(f"the ledger does not add up: {faults[:3]}")
    return spent
