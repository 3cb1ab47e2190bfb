"""What the owner of a job hears: events on the socket, lines in the task log."""

import contextlib
from typing import Any

from django.db import Error
from django.utils import timezone

from common.realtime import publish, publish_on_commit, take_turn
from rendering.models import FrameOutput, JobLog, RenderJob

MAX_NAMES = 1000


def names(job: RenderJob) -> dict[str, Any]:
    """The job's id in both spellings that existing clients read."""
    return {"task_id": job.pk, "taskId": job.pk}


def log(job: RenderJob, message: str, *, level: JobLog.Level = JobLog.Level.INFO) -> None:
    """Write a line to the task log and send it."""
    line = JobLog.objects.create(job=job, log_level=level, message=message)
    body = {"level": line.log_level, "message": message, "log": message, "log_id": line.pk}
    publish_on_commit(job.user_id, "task:log", {**names(job), **body})


def tell_status(job: RenderJob, **more: Any) -> None:
    body = {"status": job.status_name, "progress": job.progress, **more}
    if job.failure_code:
        body |= {
            "failure_code": job.failure_code,
            "failure_data": job.failure_data,
            "message": job.error_message,
        }
    publish_on_commit(job.user_id, "task:status", {**names(job), **body})


def progress_body(job: RenderJob) -> dict[str, Any]:
    counts = {
        "done_frames": job.done_frames,
        "failed_frames": job.failed_frames,
        "total_frames": job.total_frames,
    }
    return {**names(job), "progress": job.progress, **counts}


def tell_progress(job: RenderJob, *, frame: int) -> None:
    """A frame is over."""
    publish_on_commit(job.user_id, "task:progress", {**progress_body(job), "current_frame": frame})


def tell_frame_progress(job: RenderJob, *, frame: int, percent: float) -> None:
    """A frame is being rendered; at most two such events a second and job. Sent at once, from the node."""
    if take_turn(f"job:{job.pk}"):
        # Other nodes have gone on with the job; the bar must not go back. Without a database it may stand still.
        with contextlib.suppress(Error):
            job.refresh_from_db(fields=["done_frames", "failed_frames"])
        body = {**progress_body(job), "current_frame": frame, "frame_progress": round(percent, 1)}
        publish(job.user_id, "task:progress", body)


def tell_end(job: RenderJob) -> None:
    """The job is over."""
    tell_status(job)
    if job.status == RenderJob.Status.COMPLETED:
        started = job.started_at or timezone.now()
        names_of_results = FrameOutput.objects.filter(frame__job=job).order_by("frame__number", "name")
        body = {
            "result_files": list(names_of_results.values_list("name", flat=True)[:MAX_NAMES]),
            "output_folder": job.output_folder,
            "render_time": round((timezone.now() - started).total_seconds(), 1),
            "cost": float(job.actual_cost or 0),
        }
        publish_on_commit(job.user_id, "task:completed", {**names(job), **body})
    elif job.status == RenderJob.Status.FAILED:
        body = {
            "error_message": job.error_message,
            "failure_code": job.failure_code,
            "cost": float(job.actual_cost or 0),
        }
        publish_on_commit(job.user_id, "task:failed", {**names(job), **body})
