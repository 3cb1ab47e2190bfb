"""Queued jobs of many owners, made by the database itself. Needs Django set up."""

from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from accounts.models import User
from billing.services.plans import plan_of
from common.ids import new_id
from drives.services.drives import default_drive
from rendering.models import ConcurrencyLimit, RenderJob, RenderNode, RenderStep

ENGINE = "simulated"
FRAMES = """
INSERT INTO rendering_frame
       (id, created_at, updated_at, job_id, step_id, number, status, failures, losses, memory_size, failure_code)
SELECT gen_random_uuid(), now(), now(), s.job_id, s.id, n, 'ready', 0, 0, 0, ''
  FROM rendering_renderstep s, generate_series(1, %s) n
"""
TABLES = (
    "rendering_frame_attempts, rendering_frame, rendering_attempt, rendering_renderstep, rendering_renderjob,"
    " rendering_concurrencylimit"
)


@dataclass(frozen=True)
class Size:
    """So many owners, jobs, ready frames in all."""

    owners: int
    jobs: int
    frames: int

    def __str__(self) -> str:
        return f"{self.frames:,} frames of {self.jobs:,} jobs of {self.owners:,} owners"


def clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {TABLES} CASCADE")


def owners(count: int) -> list[User]:
    """Users with a drive each, the same ones every time."""
    there = {user.username: user for user in User.objects.filter(username__startswith="queue-")}
    found = []
    for number in range(count):
        name = f"queue-{number:05}"
        user = there.get(name) or User.objects.create(username=name)
        found.append(user)
    return found


def fill(size: Size) -> RenderNode:
    """Jobs that have begun, each owner's spread evenly, with the limit and weight of their level; a node for them."""
    clear()
    users = owners(size.owners)
    drives = [default_drive(user=user) for user in users]
    shares = [
        ConcurrencyLimit(kind="user", key=str(user.pk), maximum=maximum, weight=weight)
        for user in users
        for maximum, weight in [(plan.concurrent_frames, plan.weight) for plan in [plan_of(user)]]
    ]
    ConcurrencyLimit.objects.bulk_create(shares)
    jobs = [
        RenderJob(
            pk=new_id(), user=users[number % size.owners], drive=drives[number % size.owners], task_name="queued",
            engine=ENGINE, status=RenderJob.Status.RENDERING, total_frames=size.frames // size.jobs,
            has_ready_frames=True, share=shares[number % size.owners], limits=[shares[number % size.owners].pk],
            submitted_at=timezone.now(),
        )
        for number in range(size.jobs)
    ]  # fmt: skip
    RenderJob.objects.bulk_create(jobs, batch_size=2000)
    RenderStep.objects.bulk_create([RenderStep(job=job) for job in jobs], batch_size=2000)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(FRAMES, [size.frames // size.jobs])
        cursor.execute(f"VACUUM ANALYZE {TABLES}")
        cursor.execute("CHECKPOINT")
    facts = {"slots": 8, "engines": {ENGINE: ["1.0"]}, "cores": 8, "memory_size": 1 << 34}
    node, _made = RenderNode.objects.update_or_create(
        name="bench", defaults={"host": "localhost", "heartbeat_at": timezone.now(), **facts}
    )
    return node
