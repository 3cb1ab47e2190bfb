"""Frames as a whole: made, let go to the nodes, taken back from them."""

from typing import Any

from django.db import connection
from django.db.models import F, QuerySet
from django.utils import timezone

from common.ids import new_id
from rendering.models import Attempt, Frame, RenderJob, RenderStep

MAKE_FRAMES = """
INSERT INTO rendering_frame
       (id, created_at, updated_at, job_id, step_id, number, status, failures, losses, memory_size, failure_code)
SELECT frame.id, %(now)s, %(now)s, %(job)s, %(step)s, frame.number, %(status)s, 0, 0, 0, ''
  FROM unnest(%(ids)s::uuid[], %(numbers)s::int[]) AS frame (id, number)
"""


def make_frames(step: RenderStep, numbers: list[int], status: Frame.Status = Frame.Status.READY) -> None:
    """One statement with two parameters: a hundred thousand frames take two seconds, by bulk_create fifteen."""
    values: dict[str, Any] = {
        "job": step.job_id,
        "step": step.pk,
        "status": status,
        "now": timezone.now(),
        "ids": [new_id() for _number in numbers],
        "numbers": numbers,
    }
    with connection.cursor() as cursor:
        cursor.execute(MAKE_FRAMES, values)


def make_ready(job: RenderJob, frames: QuerySet[Frame], **changes: Any) -> int:
    """Let `frames` of the job be claimed, and the nodes see that it has some; how many became ready."""
    now = timezone.now()
    count = frames.update(status=Frame.Status.READY, updated_at=now, **changes)
    if count:
        show_ready(job)
    return count


def show_ready(job: RenderJob) -> None:
    """Let the nodes look at the job's frames: some have become ready."""
    RenderJob.objects.filter(pk=job.pk).update(has_ready_frames=True, ready_changes=F("ready_changes") + 1)


def stop_frames(job: RenderJob, target: Frame.Status, *, running_only: bool = False) -> None:
    """Take frames from their attempts; the runners see it within two seconds and end their processes."""
    taken = [Frame.Status.RUNNING] if running_only else [*Frame.OPEN_STATUSES]
    frames = Frame.objects.filter(job=job, status__in=taken)
    if target == Frame.Status.READY:
        make_ready(job, frames)
    else:
        frames.update(status=target, updated_at=timezone.now())
    now = timezone.now()
    Attempt.objects.filter(job=job, status=Attempt.Status.RUNNING).update(
        status=Attempt.Status.STOPPED, ended_at=now, updated_at=now
    )


def stop_strays(job: RenderJob) -> None:
    """Stop what runs of a job that does not render any more.

    Call once its new status is committed: a claim that still saw the old one has either taken its frame before this,
    and is stopped here, or sees the new status when it is done, and calls this itself.
    """
    if job.status in RenderJob.FINAL_STATUSES:
        stop_frames(job, Frame.Status.CANCELLED)
    elif job.status == RenderJob.Status.PAUSED:
        stop_frames(job, Frame.Status.READY, running_only=True)


def jobs_with_strays() -> list[RenderJob]:
    stray = Attempt.objects.filter(status=Attempt.Status.RUNNING).exclude(
        job__status__in=RenderJob.CLAIMABLE_STATUSES
    )
    return list(RenderJob.objects.filter(pk__in=stray.values("job")))
