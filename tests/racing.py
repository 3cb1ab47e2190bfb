"""Several requests at once, for real: threads with database connections of their own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connections

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
