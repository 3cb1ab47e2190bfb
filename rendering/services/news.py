"""What the owner of a job hears: events on the socket, lines in the task log.

Of a job in a burst the owner hears twice a second at most, and always the last of it (common/realtime.py). Only the
owner hears: what members of a team see of its jobs, they read.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.db import Error, transaction
from django.utils import timezone

from common.compiled import planned_cursor
from common.postgresql.arrays import array_of
from common.realtime import publish, publish_on_commit, put_aside, take_aside, tell_at_turns
from rendering.models import FrameOutput, JobLog, RenderJob
from rendering.outlook import begin_anew, outlook

MAX_NAMES = 1000
LEVELS = list(JobLog.Level.values)
LOG = """
INSERT INTO rendering_joblog (job_id, created_at, log_level, message)
SELECT %s, %s, line.* FROM unnest(%s::text[], %s::text[]) AS line RETURNING id, log_level, message
"""


@dataclass(frozen=True)
class Line:
    """A line for the task log."""

    message: str
    level: JobLog.Level = JobLog.Level.INFO


def names(job: RenderJob) -> dict[str, Any]:
    """The job's id in both spellings that existing clients read."""
    return {"task_id": job.pk, "taskId": job.pk}


def on_commit(tell: Callable[[], None]) -> None:
    """News that cannot be told must not undo or fail what they are about."""
    transaction.on_commit(tell, robust=True)


# --- Log --------------------------------------------------------------------------------------------------------


def log(job: RenderJob, message: str, *, level: JobLog.Level = JobLog.Level.INFO) -> None:
    """Write a line to the task log and send it."""
    line = JobLog.objects.create(job=job, log_level=level, message=message)
    body = log_body(line.pk, line.log_level, line.message)
    publish_on_commit(job.user_id, "task:log", {**names(job), **body})


def log_frames(job: RenderJob, lines: Sequence[Line]) -> None:
    """Write lines that there may be thousands of, one or two for each frame; they are sent together."""
    if lines:
        levels, messages = [line.level for line in lines], [line.message for line in lines]
        with planned_cursor() as cursor:
            cursor.execute(LOG, [job.pk, timezone.now(), array_of(levels), array_of(messages)])
            on_commit(partial(send_lines, job, cursor.fetchall()))


def send_lines(job: RenderJob, rows: Sequence[tuple[int, str, str]]) -> None:
    subject = f"log:{job.pk}"
    put_aside(subject, [json.dumps(row) for row in rows])
    tell_at_turns(subject, str(job.pk), partial(tell_lines, job.user_id))


def tell_lines(user_id: UUID, job_id: str) -> None:
    """One event for all lines since the last: the latest of the gravest, and how many there are."""
    count, kept = take_aside(f"log:{job_id}")
    if kept:
        lines = [json.loads(line) for line in kept]
        log_id, level, message = max(lines, key=lambda line: (LEVELS.index(line[1]), line[0]))
        publish(
            user_id,
            "task:log",
            {"task_id": job_id, "taskId": job_id, **log_body(log_id, level, message, count)},
        )


def log_body(log_id: int, level: str, message: str, count: int = 1) -> dict[str, Any]:
    """A line; `count` tells of how many it stands for: the others are in the log of the API."""
    return {"level": level, "message": message, "log": message, "log_id": log_id, "count": count}


# --- State and progress -----------------------------------------------------------------------------------------


def state_body(job: RenderJob) -> dict[str, Any]:
    """How far the job is, at this moment."""
    seen = outlook(job)
    return {
        **names(job),
        "progress": seen.progress,
        "done_frames": job.done_frames,
        "failed_frames": job.failed_frames,
        "total_frames": job.total_frames,
        "queue_position": seen.queue_position,
        "estimated_seconds": seen.estimated_seconds,
        "running": [asdict(frame) for frame in seen.running],
    }


def tell_status(job: RenderJob) -> None:
    """The job has come into another state."""
    body: dict[str, Any] = {"status": job.status_name}
    if job.failure_code:
        body |= {
            "failure_code": job.failure_code,
            "failure_data": job.failure_data,
            "message": job.error_message,
        }
    on_commit(partial(send_status, job, body))


def send_status(job: RenderJob, body: dict[str, Any]) -> None:
    publish(job.user_id, "task:status", {**state_body(job), **body})


def tell_progress(job: RenderJob, *, frame: int) -> None:
    """A frame is over."""
    on_commit(partial(send_progress, job.pk, {"current_frame": frame}))


def tell_frame_progress(job: RenderJob, *, frame: int, percent: float) -> None:
    """A frame is being rendered. Sent from the node, outside of any transaction."""
    send_progress(job.pk, {"current_frame": frame, "frame_progress": round(percent, 1)})


def send_progress(job_id: UUID, facts: dict[str, Any]) -> None:
    tell_at_turns(f"job:{job_id}", json.dumps(facts), partial(publish_progress, job_id))


def publish_progress(job_id: UUID, word: str) -> None:
    """Where the job stands now: other nodes have gone on with it. Without a database nothing is told."""
    try:
        job = RenderJob.objects.get(pk=job_id)
        body = {**state_body(job), **json.loads(word)}
    except (Error, RenderJob.DoesNotExist):
        return
    publish(job.user_id, "task:progress", body)


def tell_end(job: RenderJob) -> None:
    """The job is over."""
    tell_status(job)
    on_commit(partial(begin_anew, job))
    cost = float(job.actual_cost or 0)
    if job.status == RenderJob.Status.COMPLETED:
        started = job.started_at or timezone.now()
        names_of_results = FrameOutput.objects.filter(frame__job=job).order_by("frame__number", "name")
        body = {
            "result_files": list(names_of_results.values_list("name", flat=True)[:MAX_NAMES]),
            "output_folder": job.output_folder,
            "render_time": round((timezone.now() - started).total_seconds(), 1),
            "cost": cost,
        }
        publish_on_commit(job.user_id, "task:completed", {**names(job), **body})
    elif job.status == RenderJob.Status.FAILED:
        body = {"error_message": job.error_message, "failure_code": job.failure_code, "cost": cost}
        publish_on_commit(job.user_id, "task:failed", {**names(job), **body})


def tell_results(job: RenderJob) -> None:
    """Contact sheet and film are there: GET /tasks/{id}/results has their links."""
    publish(job.user_id, "task:results", names(job))
