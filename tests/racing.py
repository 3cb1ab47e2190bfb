"""Several requests at once, for real: threads with database connections of their own."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

from django.db import connection, connections, transaction

Answer = TypeVar("Answer")


def race(count: int, act: Callable[[int], Answer]) -> list[Answer]:
    """Answers of `act(0)` … `act(count - 1)`, begun at the same moment. The first exception is raised.

    Use it in tests with `django_db(transaction=True)`: threads see only what is committed.
    """
    start = Barrier(count)

    def run(number: int) -> Answer:
        try:
            start.wait(20)
            return act(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        runs = [pool.submit(run, number) for number in range(count)]
        return [run.result() for run in runs]


def wait_for(happened: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something has happened; fails where it does not."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "It has not happened."
        time.sleep(0.01)


def waiting_for_locks() -> int:
    """How many statements in the database of the tests wait for another transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # it stands still within a transaction
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        count: int = cursor.fetchone()[0]
        return count


def somebody_waits_for_a_lock() -> bool:
    return waiting_for_locks() > 0


def overtake(
    first: Callable[[], Any], second: Callable[[], Answer], then: Callable[[], Any] = lambda: None
) -> Answer:
    """What `second` answers, which begins in the transaction of `first` and, where it waits for a lock of that, goes on
    behind its commit. `then` happens in that transaction, once it waits.
    """
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            run = pool.submit(race, 1, lambda _number: second())
            wait_for(lambda: run.done() or somebody_waits_for_a_lock())
            then()
        return run.result()[0]
