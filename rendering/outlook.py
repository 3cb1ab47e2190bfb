"""How far a job is, and how long the rest may take."""

from dataclasses import dataclass
from itertools import groupby

from django.db import connection
from django.db.models import Avg

from common.realtime import high_water, lower_water
from rendering.models import Attempt, Frame, RenderJob

Status = RenderJob.Status
OPEN = (Status.QUEUED, Status.RENDERING, Status.PAUSED)
MAX_RUNNING = 100
# What the claim would take first, as things stand (services/claims.py): a job of another owner may still come before
# or after it, since the shares change with every claim.
AHEAD = """
SELECT (SELECT coalesce(sum(greatest(other.total_frames - other.done_frames - other.failed_frames, 0)), 0)
          FROM rendering_renderjob other JOIN rendering_concurrencylimit their ON their.id = other.share_id
         WHERE other.id <> job.id AND other.engine = job.engine AND other.status IN (2, 3)
           AND other.has_ready_frames AND other.priority >= job.priority AND (other.priority > job.priority
                OR (their.running::float / their.weight, rendering_used_lately(their) / their.weight,
                    other.submitted_at, other.id)
                 < (share.running::float / share.weight, rendering_used_lately(share) / share.weight,
                    job.submitted_at, job.id)))
  FROM rendering_renderjob job JOIN rendering_concurrencylimit share ON share.id = job.share_id
 WHERE job.id = %s AND job.has_ready_frames
"""


@dataclass(frozen=True)
class RunningFrame:
    """A frame that is being rendered; progress in per cent."""

    step: str
    number: int
    progress: float


@dataclass(frozen=True)
class Outlook:
    """Progress in per cent, weighted by frames: a frame that is half rendered counts half. It never decreases, except
    when a job that was over goes on.

    `running` are frames being rendered, at most 100. `queue_position` is how many frames of other jobs the nodes
    would take before this job's next one; null where none waits. `estimated_seconds` is the time until the last frame
    is done at today's pace; null where nothing is known. Both are guesses.
    """

    progress: int
    running: list[RunningFrame]
    queue_position: int | None
    estimated_seconds: int | None


def outlook(job: RenderJob) -> Outlook:
    """Three statements at most for one that renders, none for one that is over."""
    if job.status not in OPEN:
        return Outlook(job.progress, [], None, None)
    parts = running_parts(job)
    over = job.done_frames + job.failed_frames + sum(part.over for part in parts)
    percent = 100 * over / job.total_frames if job.total_frames else 0.0
    running = sorted((part.frame for part in parts), key=lambda frame: (frame.step, frame.number))
    return Outlook(
        progress=min(int(high_water(subject_of(job), min(percent, 99.9))), 100),
        running=running[:MAX_RUNNING],
        queue_position=frames_ahead(job),
        estimated_seconds=seconds_left(job, job.total_frames - over, len(parts)),
    )


def begin_anew(job: RenderJob) -> None:
    """The job is over: if it goes on later, its progress may be lower."""
    lower_water(subject_of(job))


def subject_of(job: RenderJob) -> str:
    # Further frames are a longer way.
    return f"job:{job.pk}:{job.total_frames}"


def frames_ahead(job: RenderJob) -> int | None:
    if job.status not in RenderJob.CLAIMABLE_STATUSES:
        return None
    with connection.cursor() as cursor:
        cursor.execute(AHEAD, [job.pk])
        row = cursor.fetchone()
    return int(row[0]) if row else None


def seconds_left(job: RenderJob, frames: float, slots: int) -> int | None:
    """The mean time of the rendered frames, times the remaining frames, divided by the slots at work on the job."""
    if job.status == Status.PAUSED or not job.done_frames:
        return None
    done = Frame.objects.filter(job=job, status=Frame.Status.DONE)
    mean = done.aggregate(mean=Avg("seconds"))["mean"]
    return None if mean is None else round(mean * frames / max(slots, 1))


@dataclass(frozen=True)
class Part:
    """What an attempt has rendered of the frames it still runs, and the frame it is at."""

    over: float
    frame: RunningFrame


def running_parts(job: RenderJob) -> list[Part]:
    """An attempt renders its frames in order and reports progress over all of them."""
    rows = Frame.objects.filter(attempt__job=job, attempt__status=Attempt.Status.RUNNING)
    columns = ("attempt_id", "attempt__progress", "status", "step__name", "number")
    found = rows.order_by("attempt_id", "number").values_list(*columns)
    parts = []
    for _attempt, frames in groupby(found, key=lambda row: row[0]):
        every = list(frames)
        running = [row for row in every if row[2] == Frame.Status.RUNNING]
        if not running:
            continue
        landed = len(every) - len(running)
        over = min(max(every[0][1] / 100 * len(every) - landed, 0), len(running))
        at = min(int(over), len(running) - 1)
        parts.append(Part(over, RunningFrame(running[at][3], running[at][4], round(100 * (over - at), 1))))
    return parts
