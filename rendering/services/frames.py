"""Frames in bulk: made, released to the nodes, taken back."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from common.compiled import planned_cursor
from common.ids import new_id
from rendering.models import Attempt, Frame, JobDependency, RenderJob, RenderStep
from rendering.services.dispatch import dispatch

MAKE_FRAMES = """
INSERT INTO rendering_frame
       (id, created_at, updated_at, job_id, step_id, number, status, failures, losses, memory_size, failure_code)
SELECT frame.id, %(now)s, %(now)s, %(job)s, frame.step, frame.number, %(status)s, 0, 0, 0, ''
  FROM unnest(%(ids)s::uuid[], %(steps)s::uuid[], %(numbers)s::int[]) AS frame (id, step, number)
"""

# Jobs with frames that wait, locked first and in order, as everybody does who changes frames of a job. In a statement
# of its own: one that waits for a lock would judge by what was before.
WAITING = """
SELECT id FROM rendering_renderjob held
 WHERE status IN (2, 3, 4) AND {scope}
   AND EXISTS (SELECT 1 FROM rendering_frame f WHERE f.job_id = held.id AND f.status = 'waiting')
 ORDER BY id FOR NO KEY UPDATE
"""
# Of them the frames that wait for nothing any more: their job's test frames are approved or they are among them, and
# what the job depends on is completed, or has rendered the frame of the same number in all its steps.
RELEASE = """
WITH released AS (
  UPDATE rendering_frame f SET status = 'ready', updated_at = now()
    FROM rendering_renderjob job
   WHERE job.id = ANY(%(jobs)s) AND f.job_id = job.id AND f.status = 'waiting' AND {numbers}
     AND (NOT job.has_test_frames OR job.approved_at IS NOT NULL OR f.number = ANY(job.test_numbers))
     AND NOT EXISTS (
       SELECT 1 FROM rendering_jobdependency d JOIN rendering_renderjob upstream ON upstream.id = d.on_id
        WHERE d.job_id = job.id AND upstream.status <> 5 AND NOT (d.kind = 'frame' AND coalesce((
          SELECT bool_and(u.status = 'done')
            FROM rendering_renderstep s JOIN rendering_frame u ON u.step_id = s.id AND u.number = f.number
           WHERE s.job_id = upstream.id), false)))
  RETURNING f.job_id
)
UPDATE rendering_renderjob SET has_ready_frames = true, ready_changes = ready_changes + 1
 WHERE id IN (SELECT job_id FROM released)
RETURNING engine
"""


def make_frames(
    job: RenderJob, frames: Iterable[tuple[RenderStep, int]], status: Frame.Status = Frame.Status.READY
) -> None:
    """One statement for all steps: a hundred thousand frames take two seconds, with bulk_create fifteen."""
    wanted = list(frames)
    if not wanted:
        return
    values: dict[str, Any] = {
        "job": job.pk,
        "status": status,
        "now": timezone.now(),
        "ids": [new_id() for _frame in wanted],
        "steps": [step.pk for step, _number in wanted],
        "numbers": [number for _step, number in wanted],
    }
    with connection.cursor() as cursor:
        cursor.execute(MAKE_FRAMES, values)


def make_ready(job: RenderJob, frames: QuerySet[Frame], **changes: Any) -> None:
    """Make `frames` of the job claimable, and mark the job as having some. The job's row is locked.

    Frames of a job with dependencies are released as all of its frames are: it may have come to wait for others
    since.
    """
    depends = JobDependency.objects.filter(job=job).exists()
    status = Frame.Status.WAITING if depends else Frame.Status.READY
    if not frames.update(status=status, updated_at=timezone.now(), **changes):
        return
    if depends:
        release_on_commit(job)
    else:
        show_ready(job)


def show_ready(job: RenderJob) -> None:
    """Let the nodes consider the job: some of its frames have become ready."""
    RenderJob.objects.filter(pk=job.pk).update(has_ready_frames=True, ready_changes=F("ready_changes") + 1)


def release(scope: str, numbers: Iterable[int] | None = None, **values: Any) -> None:
    """Release frames that waited and have nothing left to wait for. `scope` is a condition on `held`."""
    narrowed = "true" if numbers is None else "f.number = ANY(%(numbers)s)"
    # Planned once: it is asked after every frame, and nearly always there is nothing.
    with transaction.atomic(), planned_cursor() as cursor:
        cursor.execute(WAITING.format(scope=scope), values)
        jobs = [job for (job,) in cursor.fetchall()]
        if not jobs:
            return
        cursor.execute(RELEASE.format(numbers=narrowed), {"jobs": jobs, "numbers": list(numbers or ())})
        engines = {engine for (engine,) in cursor.fetchall()}
    for engine in engines:
        dispatch(engine)


# After the commit: of two that remove the last two reasons to wait at the same moment, the later one sees both.


def release_on_commit(job: RenderJob) -> None:
    """Release the job's frames: it was queued or approved, or depends on less."""
    transaction.on_commit(lambda: release("held.id = %(job)s", job=job.pk), robust=True)


def release_dependents_on_commit(job_id: UUID, numbers: Iterable[int] | None = None) -> None:
    """Release what waited for these frames of the job, or (without numbers) for the whole of it."""
    scope = "held.id IN (SELECT job_id FROM rendering_jobdependency WHERE on_id = %(on)s)"
    transaction.on_commit(lambda: release(scope, numbers, on=job_id), robust=True)


def release_all() -> None:
    """Release what a process did not that died after its commit."""
    release("true")


def stop_frames(job: RenderJob, target: Frame.Status, *, running_only: bool = False) -> None:
    """Take frames from their attempts; the runners notice within two seconds and end their processes. The job's row
    is locked.

    An attempt ends when it has no frames left. One that was made after the frames were taken still has some, and is
    left to its claim.
    """
    taken = [Frame.Status.RUNNING] if running_only else [*Frame.OPEN_STATUSES]
    frames = Frame.objects.filter(job=job, status__in=taken)
    if target == Frame.Status.READY:
        make_ready(job, frames)
    else:
        frames.update(status=target, updated_at=timezone.now())
    now = timezone.now()
    kept = Frame.objects.filter(attempt=OuterRef("pk"), status=Frame.Status.RUNNING)
    Attempt.objects.filter(~Exists(kept), job=job, status=Attempt.Status.RUNNING).update(
        status=Attempt.Status.STOPPED, ended_at=now, updated_at=now
    )


def wait_for_claims(job: RenderJob) -> None:
    """Return once the claims of the job's frames that are under way are over. In a transaction it stays locked.

    A claim locks the job's key (services/claims.py), which leaves it to everybody else who locks jobs; one that comes
    to it later sees the status that is committed now. Nobody holds the whole row any longer than this: whoever writes
    of the job to others (a log, what waits for it) would wait for it, with money or places of the owner in hand.
    """
    with transaction.atomic():
        RenderJob.objects.select_for_update().only("pk").get(pk=job.pk)


def stop_strays(job: RenderJob) -> None:
    """Stop what runs of a job that does not render any more.

    Call once its new status is committed: a claim that still saw the old one has taken its frame before this, and is
    stopped here, or sees the new one. The status is read once more: a job that goes on meanwhile keeps its frames.
    """
    wait_for_claims(job)
    with transaction.atomic():
        status = (
            RenderJob.objects.select_for_update(no_key=True).values_list("status", flat=True).get(pk=job.pk)
        )
        if status in RenderJob.FINAL_STATUSES:
            stop_frames(job, Frame.Status.CANCELLED)
        elif status == RenderJob.Status.PAUSED:
            stop_frames(job, Frame.Status.READY, running_only=True)


def jobs_with_strays() -> list[RenderJob]:
    stray = Attempt.objects.filter(status=Attempt.Status.RUNNING).exclude(
        job__status__in=RenderJob.CLAIMABLE_STATUSES
    )
    return list(RenderJob.objects.filter(pk__in=stray.values("job")))
