"""Claimers at work, each a process with a connection of its own. Needs Django set up."""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from benchmarks.rendering.corpus import ENGINE
from rendering.models import RenderNode
from rendering.services import claims

CLAIMERS = 8
QUEUE = """
DROP TABLE IF EXISTS bench_queue;
CREATE TABLE bench_queue (id bigint PRIMARY KEY, status text NOT NULL, worker int);
INSERT INTO bench_queue SELECT n, 'ready' FROM generate_series(1, 200000) n;
CREATE INDEX bench_queue_ready ON bench_queue (id) WHERE status = 'ready';
VACUUM ANALYZE bench_queue;
"""
TAKE = """
UPDATE bench_queue SET status = 'running', worker = %s WHERE id = (
  SELECT id FROM bench_queue WHERE status = 'ready' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id
"""
FINISH = "UPDATE bench_queue SET status = 'done' WHERE id = %s"
# The least that ends an attempt: it counts no more for its limits, its frames are ready again, so that the queue stays
# as long as it is. What the end of a frame costs otherwise is told by the rows about dispatching.
END = """
WITH ended AS (
  UPDATE rendering_attempt SET status = 'succeeded', ended_at = now() WHERE id = %s AND status = 'running' RETURNING id
) UPDATE rendering_frame f SET status = 'ready' FROM ended WHERE f.attempt_id = ended.id AND f.status = 'running'
"""
Turn = Callable[[int], bool]


def bare_turn(number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [number])
        row = cursor.fetchone()
        cursor.execute(FINISH, row)
    return True


def turn_of(node: RenderNode) -> Turn:
    """A claim as a node makes it, and the least that ends it."""

    def turn(_number: int) -> bool:
        attempt = claims.claim(node=node, engine=ENGINE)
        if attempt is None:
            return False
        with connection.cursor() as cursor:
            cursor.execute(END, [attempt.pk])
        return True

    return turn


def claim_turn_of(node: RenderNode) -> Turn:
    """A claim as a node makes it; what is claimed stays so, and counts."""
    return lambda _number: claims.claim(node=node, engine=ENGINE) is not None


def make_queue() -> None:
    with connection.cursor() as cursor:
        for statement in QUEUE.strip().split(";"):
            if statement.strip():
                cursor.execute(statement)


def rate(turn: Turn, seconds: float, claimers: int = CLAIMERS) -> float:
    """Turns a second of all claimers together."""
    connection.close()
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(claimers), context.Queue()

    def work(number: int) -> None:
        turn(number)  # connected, planned
        start.wait(60)
        count, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            count += turn(number)
        answers.put(count / (time.perf_counter() - begun))
        connection.close()

    workers: list[Any] = [context.Process(target=work, args=(number,)) for number in range(claimers)]
    for worker in workers:
        worker.start()
    total = sum(answers.get(timeout=seconds + 120) for _worker in workers)
    for worker in workers:
        worker.join()
    return float(total)
