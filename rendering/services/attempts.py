"""Attempts: claimed with a lease, renewed, ended once. The attempt's id is the token of every call."""

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from drives.models import Blob
from drives.services.places import ensure_folders
from drives.services.tree import NewFile, put_files
from rendering.engines import Failure
from rendering.errors import LateResult
from rendering.models import Attempt, Frame, FrameOutput, JobLog, RenderJob, RenderNode
from rendering.services import news
from rendering.services.closing import close_if_over
from rendering.services.dispatch import dispatch_on_commit

LOG_TAIL_LINES = 200
logger = logging.getLogger(__name__)

# One statement: the jobs in order of priority, then of how little their owner has running, then of age; of the
# first that has one for this node, the first ready frame nobody else is taking at this moment. The jobs come sorted,
# so that the join stops at its first hit and locks that frame alone.
CLAIM = """
SELECT frame.id FROM (
  SELECT job.id, row_number() OVER (
           ORDER BY job.priority DESC, coalesce(share.running, 0), job.submitted_at, job.id) AS place
    FROM rendering_renderjob job LEFT JOIN (
         SELECT mine.user_id, count(*) AS running
           FROM rendering_attempt a JOIN rendering_renderjob mine ON mine.id = a.job_id
          WHERE a.status = 'running' GROUP BY mine.user_id) share ON share.user_id = job.user_id
   WHERE job.engine = %(engine)s AND job.status IN (2, 3)
   ORDER BY place
) job CROSS JOIN LATERAL (
  SELECT f.id FROM rendering_frame f
   WHERE f.job_id = job.id AND f.status = 'ready' AND (f.due_at IS NULL OR f.due_at <= %(now)s)
     AND NOT (f.failures > 0 AND %(others)s AND EXISTS (
           SELECT 1 FROM rendering_frame_attempts fa JOIN rendering_attempt a ON a.id = fa.attempt_id
            WHERE fa.frame_id = f.id AND a.node_id = %(node)s AND a.status = 'failed'
              AND a.ended_at > %(now)s - interval '1 minute'))
   ORDER BY f.number LIMIT 1 FOR UPDATE SKIP LOCKED
) frame ORDER BY job.place LIMIT 1
"""


def claim(*, node: RenderNode, engine: str) -> Attempt | None:
    """Give the node the best ready frame of an engine, with a lease; None where there is nothing for it.

    A frame that has just failed on this node is left to another for a minute, where there is another.
    """
    while attempt := take_frame(node, engine):
        if start_job(attempt):
            return attempt
    return None


def take_frame(node: RenderNode, engine: str) -> Attempt | None:
    """The claim itself: the frame's lock and no other."""
    now = timezone.now()
    others = RenderNode.objects.exclude(pk=node.pk).filter(
        is_enabled=True, heartbeat_at__gt=now - settings.RENDER_LEASE, engines__has_key=engine
    )
    with transaction.atomic():
        with connection.cursor() as cursor:
            wanted: dict[str, Any] = {
                "engine": engine,
                "node": node.pk,
                "now": now,
                "others": others.exists(),
            }
            cursor.execute(CLAIM, wanted)
            row = cursor.fetchone()
        if row is None:
            return None
        frame = Frame.objects.select_related("job__user", "job__drive", "step").get(pk=row[0])
        attempt = Attempt.objects.create(
            job=frame.job, step=frame.step, node=node, lease_expires_at=now + settings.RENDER_LEASE
        )
        attempt.frames.add(frame)
        Frame.objects.filter(pk=frame.pk).update(status=Frame.Status.RUNNING, attempt=attempt, updated_at=now)
    return attempt


def start_job(attempt: Attempt) -> bool:
    """The first claim makes a queued job a rendering one. Apart from the claim: it needs the job's lock.

    False where the job was paused while the frame was being taken, unseen by the pause; it is put back then.
    """
    job = attempt.job
    with transaction.atomic():
        locked = RenderJob.objects.select_for_update(of=("self",), no_key=True)
        status = locked.values_list("status", flat=True).get(pk=job.pk)
        if status == RenderJob.Status.QUEUED:
            job.move_to(RenderJob.Status.RENDERING, started_at=job.started_at or timezone.now())
            news.tell_status(job)
        elif status not in RenderJob.CLAIMABLE_STATUSES:
            Frame.objects.filter(attempt=attempt, status=Frame.Status.RUNNING).update(
                status=Frame.Status.READY, updated_at=timezone.now()
            )
            Attempt.objects.filter(pk=attempt.pk, status=Attempt.Status.RUNNING).update(
                status=Attempt.Status.STOPPED, ended_at=timezone.now(), updated_at=timezone.now()
            )
            return False
    return True


def renew(*, attempt_id: UUID, progress: float, message: str, log_tail: str) -> bool:
    """Renew the lease and keep how far the run is; False once the attempt is over and its process must end."""
    now = timezone.now()
    living = Attempt.objects.filter(pk=attempt_id, status=Attempt.Status.RUNNING, lease_expires_at__gt=now)
    return bool(
        living.update(
            lease_expires_at=now + settings.RENDER_LEASE,
            progress=progress,
            message=message[:500],
            log_tail=log_tail,
            updated_at=now,
        )
    )


@dataclass(frozen=True)
class Usage:
    """What a run used: CPU seconds, peak memory in bytes; its exit code and its log."""

    exit_code: int | None = None
    cpu_seconds: float = 0
    peak_memory_size: int = 0
    log_tail: str = ""
    log_blob: Blob | None = None


@dataclass(frozen=True)
class Output:
    """A checked picture: its blob, its preview, its size in pixels."""

    frame: int
    path: Path
    blob: Blob
    preview: Blob | None
    width: int
    height: int


def end_attempt(
    attempt_id: UUID, target: Attempt.Status, usage: Usage, failure: Failure | None = None
) -> Attempt:
    """End a running attempt, with its job's row locked. Call inside a transaction. Raises LateResult.

    The lock leaves the key free: a claim, whose new attempt points to the job, must not wait for it with its frame
    locked, since a cancel has the job locked and waits for the frame.
    """
    attempt = Attempt.objects.select_related("job").get(pk=attempt_id)
    job = (
        RenderJob.objects.select_for_update(of=("self",), no_key=True)
        .select_related("user", "drive", "hold")
        .get(pk=attempt.job_id)
    )
    now = timezone.now()
    ended = Attempt.objects.filter(pk=attempt_id, status=Attempt.Status.RUNNING).update(
        status=target,
        ended_at=now,
        exit_code=usage.exit_code,
        cpu_seconds=usage.cpu_seconds,
        peak_memory_size=usage.peak_memory_size,
        log_tail=usage.log_tail or F("log_tail"),
        log_blob=usage.log_blob,
        failure_code=failure.code[:50] if failure else "",
        message=failure.message[:500] if failure else "",
        updated_at=now,
    )
    if not ended:
        raise LateResult
    attempt.refresh_from_db()
    attempt.job = job
    return attempt


def succeed(*, attempt_id: UUID, outputs: list[Output], usage: Usage) -> None:
    """Take the results of an attempt: files of the drive, frames done, the job closed with its last frame.

    Results always land, also where the drive is full. Raises LateResult: a paused, cancelled or lost attempt
    delivers nothing and costs nothing.
    """
    with transaction.atomic():
        attempt = end_attempt(attempt_id, Attempt.Status.SUCCEEDED, usage)
        job = attempt.job
        frames = {
            frame.number: frame
            for frame in Frame.objects.filter(attempt=attempt, status=Frame.Status.RUNNING)
        }
        folder = ensure_folders(drive=job.drive, paths={job.output_folder})[job.output_folder]
        new_files = [NewFile(folder, output.path.name, output.blob) for output in outputs]
        files = put_files(drive=job.drive, actor=job.user, new_files=new_files)
        for output, file in zip(outputs, files, strict=True):
            values = {
                "attempt": attempt,
                "file": file,
                "blob": output.blob,
                "preview": output.preview,
                "width": output.width,
                "height": output.height,
            }
            FrameOutput.objects.update_or_create(
                frame=frames[output.frame], name=output.path.name, defaults=values
            )
        seconds = ((attempt.ended_at or timezone.now()) - attempt.created_at).total_seconds() / len(frames)
        done = Frame.objects.filter(attempt=attempt, status=Frame.Status.RUNNING).update(
            status=Frame.Status.DONE, seconds=seconds, failure_code="", updated_at=timezone.now()
        )
        count(job, done=done)
        for number in frames:
            news.log(
                job,
                _("Frame %(number)s rendered in %(seconds).1f s.") % {"number": number, "seconds": seconds},
            )
            news.tell_progress(job, frame=number)
        close_if_over(job)


def count(job: RenderJob, *, done: int = 0, failed: int = 0) -> None:
    """Add to the job's counters; its row is locked."""
    RenderJob.objects.filter(pk=job.pk).update(
        done_frames=F("done_frames") + done,
        failed_frames=F("failed_frames") + failed,
        updated_at=timezone.now(),
    )
    job.refresh_from_db(fields=["done_frames", "failed_frames", "status", "updated_at"])


def fail(*, attempt_id: UUID, failure: Failure, usage: Usage) -> None:
    """A run that ended badly: its frames are ready again, or failed once their tries are spent. Raises LateResult."""
    with transaction.atomic():
        attempt = end_attempt(attempt_id, Attempt.Status.FAILED, usage, failure)
        job = attempt.job
        frames = Frame.objects.filter(attempt=attempt, status=Frame.Status.RUNNING)
        frames.update(failures=F("failures") + 1, failure_code=failure.code[:50], updated_at=timezone.now())
        numbers = list(frames.values_list("number", flat=True))
        spent = frames if failure.is_permanent else frames.filter(failures__gte=settings.RENDER_MAX_ATTEMPTS)
        failed = spent.update(status=Frame.Status.FAILED)
        frames.update(status=Frame.Status.READY)
        text = _("Frame %(number)s failed: %(message)s (%(code)s)")
        for number in numbers:
            line = text % {"number": number, "message": failure.message, "code": failure.code}
            news.log(job, line, level=JobLog.Level.ERROR)
        if failed:
            RenderJob.objects.filter(pk=job.pk).update(
                failure_code=failure.code[:50], error_message=failure.message
            )
            job.refresh_from_db()
            count(job, failed=failed)
        close_if_over(job)
        dispatch_on_commit(job.engine)


def give_back(*, attempt_id: UUID) -> None:
    """A node that shuts down returns its frames; nothing is counted against them. A late call is no error."""
    try:
        lose(attempt_id=attempt_id, counts=False)
    except LateResult:
        return


def lose(*, attempt_id: UUID, counts: bool = True) -> None:
    """The node or the lease is gone: the frames are ready for another. Raises LateResult."""
    with transaction.atomic():
        attempt = end_attempt(attempt_id, Attempt.Status.LOST, Usage())
        job = attempt.job
        frames = Frame.objects.filter(attempt=attempt, status=Frame.Status.RUNNING)
        numbers = list(frames.values_list("number", flat=True))
        failed = 0
        if counts:
            frames.update(losses=F("losses") + 1)
            failed = frames.filter(losses__gte=settings.RENDER_MAX_LOST).update(
                status=Frame.Status.FAILED, failure_code="lost", updated_at=timezone.now()
            )
        frames.update(status=Frame.Status.READY, updated_at=timezone.now())
        for number in numbers:
            line = _("Frame %(number)s was interrupted and will be rendered again.") % {"number": number}
            news.log(job, line, level=JobLog.Level.WARNING)
        if failed:
            RenderJob.objects.filter(pk=job.pk).update(
                failure_code="lost", error_message=_("The render nodes were lost again and again.")
            )
            job.refresh_from_db()
            count(job, failed=failed)
        close_if_over(job)
        dispatch_on_commit(job.engine)


def expired_attempts(now: datetime) -> list[UUID]:
    """Running attempts whose lease is over, at most 500."""
    rows = Attempt.objects.filter(status=Attempt.Status.RUNNING, lease_expires_at__lte=now)
    return list(rows.order_by("lease_expires_at").values_list("pk", flat=True)[:500])


def reap(now: datetime) -> int:
    """Lose attempts whose lease is over; returns how many. A node that reports at this moment wins or loses whole."""
    reaped = 0
    for attempt_id in expired_attempts(now):
        try:
            lose(attempt_id=attempt_id)
            reaped += 1
        except LateResult:
            continue
        except Exception:
            # One broken job must not keep the nodes of all others.
            logger.exception("attempt %s cannot be reaped", attempt_id)
    return reaped


def running_of(node: RenderNode) -> list[UUID]:
    """What the node is believed to run; at its start that is what an earlier life left behind."""
    return list(Attempt.objects.filter(node=node, status=Attempt.Status.RUNNING).values_list("pk", flat=True))
