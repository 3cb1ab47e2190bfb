"""Attempts: their lease is renewed, their results land, they end once. Every call is authorised by the attempt's id."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from common.compiled import planned_cursor
from common.postgresql.arrays import array_of
from drives.models import Blob
from rendering.engines import Failure
from rendering.errors import LateResult
from rendering.models import Attempt, Frame, JobLog, NodeBlock, RenderJob, RenderNode
from rendering.services import news
from rendering.services.chunks import measure
from rendering.services.closing import close_if_over
from rendering.services.dispatch import dispatch_on_commit
from rendering.services.frames import make_ready, release_dependents_on_commit
from rendering.services.landing import Output, place_outputs

LICENCE_DELAY = timedelta(minutes=1)
SPENDS_NO_TRY = ("licence_unavailable", "node_fault")
SUSPICIOUS = "suspicious_output"
BLAMES_NO_NODE = (*SPENDS_NO_TRY, SUSPICIOUS)
LAND = """
WITH finished AS (
  UPDATE rendering_frame f SET status = 'done', seconds = result.seconds, failure_code = '', updated_at = now()
    FROM unnest(%s::uuid[], %s::float8[]) AS result (id, seconds)
   WHERE f.id = result.id AND f.status = 'running'
)
INSERT INTO rendering_frameoutput
       (id, created_at, updated_at, attempt_id, frame_id, name, file_id, blob_id, preview_id, layer, width, height,
        is_flat)
SELECT uuidv7(), now(), now(), %s, output.*
  FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::int[], %s::int[],
              %s::boolean[]) AS output
    ON CONFLICT (frame_id, name) DO UPDATE
   SET attempt_id = excluded.attempt_id, file_id = excluded.file_id, blob_id = excluded.blob_id,
       preview_id = excluded.preview_id, layer = excluded.layer, width = excluded.width, height = excluded.height,
       is_flat = excluded.is_flat, updated_at = excluded.updated_at
"""
OUTPUT_COLUMNS = 9
logger = logging.getLogger(__name__)


def renew(*, attempt_id: UUID, progress: float, message: str, log_tail: str) -> bool:
    """Renew the lease and keep how far the run is; False once the attempt is over and its process must end."""
    # The job is asked for in a subquery of its own. With `job__status` Django moves all conditions into a subquery, and
    # PostgreSQL does not check those again when this waited for the transaction that ended the attempt.
    rendering = RenderJob.objects.filter(status__in=RenderJob.CLAIMABLE_STATUSES)
    living = Attempt.objects.filter(
        pk=attempt_id, status=Attempt.Status.RUNNING, lease_expires_at__gt=Now(), job__in=rendering
    )
    return bool(
        living.update(
            lease_expires_at=Now() + settings.RENDER_LEASE,
            progress=progress,
            message=message[:500],
            log_tail=log_tail,
            updated_at=Now(),
        )
    )


@dataclass(frozen=True)
class Usage:
    """What a run used: wall seconds of its program, CPU seconds, peak memory in bytes; its exit code and log.

    `loading_seconds` of the wall time passed before its first frame began, where the program reports that.
    """

    exit_code: int | None = None
    seconds: float | None = None
    loading_seconds: float = 0
    cpu_seconds: float = 0
    peak_memory_size: int = 0
    log_tail: str = ""
    log_blob: Blob | None = None


@dataclass(frozen=True)
class FrameResult:
    """The result of one frame; `seconds` is its wall time, where the run can tell."""

    number: int
    outputs: list[Output]
    seconds: float | None = None

    @property
    def is_flat(self) -> bool:
        """Whether the picture itself has a single colour; where there are only layers, whether all of them have."""
        main = [output for output in self.outputs if not output.layer] or self.outputs
        return all(output.is_flat for output in main)


def lock_job(attempt: Attempt) -> RenderJob:
    """The job's row, locked. Call inside a transaction. Raises LateResult once the job does not render any more.

    The lock leaves the key free: a claim, whose new attempt points to the job, must not wait for it with its frame
    locked, since a cancel has the job locked and waits for the frame.
    """
    rows = RenderJob.objects.select_for_update(of=("self",), no_key=True)
    job = rows.select_related("user", "drive", "hold").get(pk=attempt.job_id)
    if job.status not in RenderJob.CLAIMABLE_STATUSES:
        raise LateResult
    return job


def find(attempt_id: UUID) -> Attempt:
    """Return the attempt, with its job's row locked. Call inside a transaction. Raises LateResult.

    There is none where a crash of the database took back the last claims (docs/adr/0023).
    """
    attempt = Attempt.objects.select_related("step", "node").filter(pk=attempt_id).first()
    if attempt is None:
        raise LateResult
    attempt.job = lock_job(attempt)
    return attempt


def end_attempt(
    attempt: Attempt, target: Attempt.Status, usage: Usage, failure: Failure | None = None
) -> None:
    """End a running attempt. Call with the job's row locked and after its results have landed. Raises LateResult.

    This locks the owner's limits, which come after the drive in the order of locks.
    """
    ended = Attempt.objects.filter(pk=attempt.pk, status=Attempt.Status.RUNNING).update(
        status=target,
        ended_at=Now(),
        progress=100 if target == Attempt.Status.SUCCEEDED else F("progress"),
        exit_code=usage.exit_code,
        cpu_seconds=usage.cpu_seconds,
        peak_memory_size=usage.peak_memory_size,
        log_tail=usage.log_tail or F("log_tail"),
        log_blob=usage.log_blob,
        failure_code=failure.code[:50] if failure else "",
        message=failure.message[:500] if failure else "",
        updated_at=Now(),
    )
    if not ended:
        raise LateResult
    attempt.status = target


def running_frames(attempt: Attempt) -> QuerySet[Frame]:
    return Frame.objects.filter(attempt=attempt, status=Frame.Status.RUNNING)


def hold_frames(attempt: Attempt) -> None:
    """Lock the frames that run before `end_attempt` locks the owner's limits, which is the order of claims.

    A claim that has looked at a frame just before another took it holds it, too, until it ends (PostgreSQL locks the
    row as it is now, and only then sees that it is not ready any more).
    """
    list(running_frames(attempt).select_for_update(no_key=True).order_by("pk").values_list("pk"))


def succeed(*, attempt_id: UUID, results: list[FrameResult], usage: Usage) -> None:
    """End an attempt successfully, with the results that have not landed yet; the job is closed with its last frame.

    Results always land, even where the drive is full. Raises LateResult: a paused, cancelled or lost attempt delivers
    nothing and costs nothing.
    """
    with transaction.atomic():
        attempt = find(attempt_id)
        land(attempt, results)
        end_attempt(attempt, Attempt.Status.SUCCEEDED, usage)
        measure(attempt, usage.seconds, usage.loading_seconds)
        close_if_over(attempt.job)


def land_frames(*, attempt_id: UUID, results: list[FrameResult]) -> None:
    """Take finished frames of a run that goes on with others. Raises LateResult."""
    with transaction.atomic():
        attempt = find(attempt_id)
        if not Attempt.objects.filter(pk=attempt_id, status=Attempt.Status.RUNNING).exists():
            raise LateResult
        land(attempt, results)


def land(attempt: Attempt, results: list[FrameResult]) -> None:
    """Turn results into files of the drive and mark their frames done. Call with the job's row locked.

    Frames that have landed before are left as they are: a node that did not get the answer delivers them again.
    Nothing lands of an attempt that is over, since it has no running frames.
    """
    job = attempt.job
    running = running_frames(attempt).only("number", "failure_code") if results else ()
    frames = {frame.number: frame for frame in running}
    results = [result for result in results if result.number in frames]
    if not results:
        return
    outputs = [(result, output) for result in results for output in result.outputs]
    files = place_outputs(job=job, step=attempt.step, outputs=[output for _result, output in outputs])
    seconds = seconds_of(attempt, results)
    rows = [
        (
            frames[result.number].pk,
            output.name,
            file.pk,
            output.blob.pk,
            output.preview and output.preview.pk,
            output.layer,
            output.width,
            output.height,
            output.is_flat,
        )
        for (result, output), file in zip(outputs, files, strict=True)
    ]
    with planned_cursor() as cursor:
        finished = ([frames[number].pk for number in seconds], seconds.values())
        columns = [[row[place] for row in rows] for place in range(OUTPUT_COLUMNS)]
        cursor.execute(LAND, [*map(array_of, finished), attempt.pk, *map(array_of, columns)])
    lines = []
    for result in results:
        text = _("Frame %(number)s rendered in %(seconds).1f s.")
        lines.append(news.Line(text % {"number": result.number, "seconds": seconds[result.number]}))
        if frames[result.number].failure_code == SUSPICIOUS and result.is_flat:
            text = _("Frame %(number)s came out in a single colour again and is taken as it is.")
            lines.append(news.Line(text % {"number": result.number}, JobLog.Level.WARNING))
    news.log_frames(job, lines)
    count(job, done=len(results))
    release_dependents_on_commit(job.pk, [result.number for result in results])
    news.tell_progress(job, frame=results[-1].number)


def seconds_of(attempt: Attempt, results: Sequence[FrameResult]) -> dict[int, float]:
    """The time of each frame; where the run cannot tell, its time by the database's clock is shared evenly."""
    known = {result.number: result.seconds for result in results if result.seconds is not None}
    if len(known) == len(results):
        return known
    ran = Attempt.objects.values_list(Now() - F("created_at"), flat=True).get(pk=attempt.pk)
    share = ran.total_seconds() / len(results)
    return {result.number: known.get(result.number, share) for result in results}


def count(job: RenderJob, *, done: int = 0, failed: int = 0) -> None:
    """Add to the job's counters, and have what was rendered charged soon. Its row is locked and was read after that."""
    job.done_frames += done
    job.failed_frames += failed
    if done and job.capture_due_at is None:
        job.capture_due_at = timezone.now() + timedelta(seconds=settings.RENDER_CAPTURE_SECONDS)
    job.save(update_fields=["done_frames", "failed_frames", "capture_due_at", "updated_at"])


def fail(
    *,
    attempt_id: UUID,
    failure: Failure,
    usage: Usage,
    results: Sequence[FrameResult] = (),
    blamed: Collection[int] | None = None,
) -> None:
    """End an attempt whose run failed: what it finished lands; the rest is tried again, or fails once its tries are
    spent.

    With `blamed`, the numbers of the frames at fault, the other remaining frames were never begun: they become ready
    again and nothing is counted against them. Raises LateResult.
    """
    with transaction.atomic():
        attempt = find(attempt_id)
        job = attempt.job
        land(attempt, list(results))
        hold_frames(attempt)
        end_attempt(attempt, Attempt.Status.FAILED, usage, failure)
        frames = running_frames(attempt)
        if blamed is not None:
            make_ready(job, frames.exclude(number__in=blamed))
        numbers = list(frames.order_by("number").values_list("number", flat=True))
        frames.update(failure_code=failure.code[:50])
        failed = judge(attempt, frames, failure)
        text = _("Frame %(number)s failed: %(message)s (%(code)s)")
        body = {"message": failure.message, "code": failure.code}
        news.log_frames(
            job, [news.Line(text % {"number": number, **body}, JobLog.Level.ERROR) for number in numbers]
        )
        give_up(job, failed, failure)
        if failure.code not in BLAMES_NO_NODE:
            block_node(attempt)
        close_if_over(job)
        dispatch_on_commit(job.engine)


def judge(attempt: Attempt, frames: QuerySet[Frame], failure: Failure) -> int:
    """Decide what becomes of the frames of a failed attempt; returns how many have failed for good.

    A licence shortage delays them and spends no try. A fault of the node counts as a loss. After running out of
    memory they are tried once more with twice as much, where a node has it. The third failure of any other kind is
    final.
    """
    if failure.code == "licence_unavailable":
        make_ready(attempt.job, frames, due_at=Now() + LICENCE_DELAY)
        return 0
    if failure.code == "node_fault":
        frames.update(losses=F("losses") + 1)
        spent = frames.filter(losses__gte=settings.RENDER_MAX_LOST)
    else:
        frames.update(failures=F("failures") + 1)
        spent = frames if failure.is_permanent else frames.filter(failures__gte=settings.RENDER_MAX_ATTEMPTS)
        if failure.code == "out_of_memory" and not failure.is_permanent:
            more = more_memory(attempt)
            had_more = list(frames.filter(memory_size__gt=0).values_list("pk", flat=True))
            spent = frames.filter(pk__in=had_more) if more else frames
            frames.filter(memory_size=0).update(memory_size=more)
    failed = spent.update(status=Frame.Status.FAILED, updated_at=timezone.now())
    make_ready(attempt.job, frames)
    return failed


def more_memory(attempt: Attempt) -> int:
    """Twice the attempt's memory in bytes, limited to what a node for the job has; 0 where no node has more."""
    nodes = RenderNode.objects.living().filter(state=RenderNode.State.ENABLED).fit_for(attempt.job)
    largest = nodes.aggregate(size=Max("memory_size"))["size"] or 0
    return min(2 * attempt.memory_size, largest) if largest > attempt.memory_size else 0


def block_node(attempt: Attempt) -> None:
    """Keep the job's frames from a node on which it failed too often, where another node can go on with it."""
    if attempt.node is None:
        return
    job = attempt.job
    failures = Attempt.objects.filter(job=job, node=attempt.node, status=Attempt.Status.FAILED)
    others = RenderNode.objects.taking_work().fit_for(job).exclude(pk=attempt.node.pk)
    spent = failures.exclude(failure_code__in=BLAMES_NO_NODE).count() >= settings.RENDER_BLOCK_AFTER
    if spent and others.exists() and NodeBlock.objects.get_or_create(job=job, node=attempt.node)[1]:
        line = _("Node %(node)s failed this task repeatedly and gets no more of its frames.")
        news.log(job, line % {"node": attempt.node.name}, level=JobLog.Level.WARNING)


def give_up(job: RenderJob, failed: int, failure: Failure) -> None:
    """Count frames that failed for good; the job records why. Its row is locked."""
    if not failed:
        return
    job.failure_code, job.error_message = failure.code[:50], failure.message
    job.save(update_fields=["failure_code", "error_message"])
    count(job, failed=failed)


def give_back(*, attempt_id: UUID) -> None:
    """Take back the frames of a node that shuts down; nothing is counted against them. A late call is no error."""
    try:
        lose(attempt_id=attempt_id, counts=False)
    except LateResult:
        return


def lose(*, attempt_id: UUID, counts: bool = True) -> None:
    """The node or the lease is gone: make the frames ready for another node. Raises LateResult."""
    with transaction.atomic():
        attempt = find(attempt_id)
        hold_frames(attempt)
        end_attempt(attempt, Attempt.Status.LOST, Usage())
        job = attempt.job
        frames = running_frames(attempt)
        numbers = list(frames.order_by("number").values_list("number", flat=True))
        failed = 0
        if counts:
            frames.update(losses=F("losses") + 1)
            failed = frames.filter(losses__gte=settings.RENDER_MAX_LOST).update(
                status=Frame.Status.FAILED, failure_code="lost", updated_at=timezone.now()
            )
        make_ready(job, frames)
        text = _("Frame %(number)s was interrupted and will be rendered again.")
        news.log_frames(
            job, [news.Line(text % {"number": number}, JobLog.Level.WARNING) for number in numbers]
        )
        give_up(job, failed, Failure("lost", _("The render nodes were lost again and again.")))
        close_if_over(job)
        dispatch_on_commit(job.engine)


def expired_attempts(now: datetime) -> list[UUID]:
    """Running attempts whose lease is over, at most 500."""
    rows = Attempt.objects.filter(status=Attempt.Status.RUNNING, lease_expires_at__lte=now)
    return list(rows.order_by("lease_expires_at").values_list("pk", flat=True)[:500])


def reap(now: datetime | None = None) -> int:
    """End attempts whose lease has expired as lost; returns how many. A node that reports at the same moment wins or
    loses as a whole.
    """
    reaped = 0
    for attempt_id in expired_attempts(now or timezone.now()):
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
    """The attempts that the node should be running. At its start these are left over from its earlier life."""
    return list(Attempt.objects.filter(node=node, status=Attempt.Status.RUNNING).values_list("pk", flat=True))
