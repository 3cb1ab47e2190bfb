"""Which frame a node gets: PostgreSQL decides, in one statement."""

from typing import Any

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from common.compiled import planned_cursor
from common.ids import new_id
from rendering.models import Attempt, RenderJob, RenderNode
from rendering.services import news
from rendering.services.frames import stop_strays

# Whose turn it is first: the owners with ready frames, each with its oldest job of each priority, read from the index
# `rendering_job_turn` by one step for each owner, however many jobs they have queued. In order of priority, then of how
# little an owner has running for its weight, then of how little it has used lately, then of age: where there are no
# more slots than owners, whoever has just given one back has as little running as those who wait. Of the first in turn
# the oldest job that this node can do, whose limits leave room, and that has frames nobody else is taking at this
# moment; of it a chunk of one step. What is joined comes sorted, so that each join stops at its first hit and locks its
# frames alone.
#
# How many frames are in a chunk the job says, or else a function of the database, by the time that the frames of the
# step take (services/chunks.py) and its part of what is ready.
CLAIM = """
WITH RECURSIVE owner AS (
  (SELECT job.priority * -1 AS rank, job.share_id, job.submitted_at FROM rendering_renderjob job
    WHERE job.engine = %(engine)s AND job.status IN (2, 3) AND job.has_ready_frames AND job.share_id IS NOT NULL
      AND EXISTS (SELECT 1 FROM rendering_rendernode me WHERE me.id = %(node)s AND me.state = 'enabled'
                     AND (me.rests_until IS NULL OR me.rests_until <= statement_timestamp()))
    ORDER BY job.priority * -1, job.share_id, job.submitted_at LIMIT 1)
  UNION ALL
  SELECT next.* FROM owner CROSS JOIN LATERAL (
    SELECT job.priority * -1, job.share_id, job.submitted_at FROM rendering_renderjob job
     WHERE job.engine = %(engine)s AND job.status IN (2, 3) AND job.has_ready_frames
       AND (job.priority * -1, job.share_id) > (owner.rank, owner.share_id)
     ORDER BY job.priority * -1, job.share_id, job.submitted_at LIMIT 1
  ) AS next
), turn AS (
  SELECT owner.rank, owner.share_id, row_number() OVER (
           ORDER BY owner.rank, share.running::float / share.weight, rendering_used_lately(share) / share.weight,
                    owner.submitted_at, share.id) AS place
    FROM owner JOIN rendering_concurrencylimit share ON share.id = owner.share_id
   WHERE share.maximum IS NULL OR share.running < share.maximum
   ORDER BY place
), picked AS (
  SELECT found.*, greatest(turn.place, found.job_place) AS place FROM turn CROSS JOIN LATERAL (
    SELECT candidate.*, chunk.* FROM (
      SELECT job.id, job.status, job.limits, job.chunk_size, job.min_memory_size, job.submitted_at,
             row_number() OVER (ORDER BY job.submitted_at, job.id) AS job_place
        FROM rendering_renderjob job
       WHERE job.engine = %(engine)s AND job.status IN (2, 3) AND job.has_ready_frames
         AND job.priority * -1 = turn.rank AND job.share_id = turn.share_id
         AND (job.engine_version = '' OR job.engine_version = ANY(%(versions)s))
         AND job.min_cores <= %(cores)s AND job.min_memory_size <= %(memory)s AND job.node_tags <@ %(tags)s::varchar[]
         AND NOT EXISTS (SELECT 1 FROM rendering_nodeblock b WHERE b.node_id = %(node)s AND b.job_id = job.id)
         AND NOT EXISTS (SELECT 1 FROM rendering_concurrencylimit l
                          WHERE l.id = ANY(job.limits) AND l.running >= l.maximum)
       ORDER BY job.submitted_at, job.id
    ) AS candidate CROSS JOIN LATERAL (
      SELECT array_agg(id ORDER BY step_id, number) AS frames, (array_agg(step_id ORDER BY step_id))[1] AS step,
             greatest(max(memory_size), candidate.min_memory_size, %(share)s) AS memory
        FROM (SELECT f.id, f.step_id, f.number, f.memory_size FROM rendering_frame f
               WHERE f.job_id = candidate.id AND f.status = 'ready' AND f.memory_size <= %(memory)s
                 AND (f.due_at IS NULL OR f.due_at <= statement_timestamp())
                 AND NOT (f.failures + f.losses > 0 AND EXISTS (
                       SELECT 1 FROM rendering_frame_attempts fa JOIN rendering_attempt a ON a.id = fa.attempt_id
                        WHERE fa.frame_id = f.id AND a.node_id = %(node)s AND a.status = 'failed'
                          AND a.ended_at > statement_timestamp() - interval '1 minute')
                       AND EXISTS (
                       SELECT 1 FROM rendering_rendernode other
                        WHERE other.id <> %(node)s AND other.state = 'enabled'
                          AND (other.rests_until IS NULL OR other.rests_until <= statement_timestamp())
                          AND other.heartbeat_at > statement_timestamp() - %(lease)s
                          AND other.engines ? %(engine)s))
               ORDER BY f.step_id, f.number LIMIT coalesce(candidate.chunk_size,
                     rendering_frames_to_take(candidate.id, candidate.limits, %(engine)s, %(lease)s))
               FOR UPDATE SKIP LOCKED) AS free
      HAVING count(*) > 0
    ) AS chunk ORDER BY candidate.submitted_at, candidate.id LIMIT 1
  ) AS found ORDER BY turn.place LIMIT 1
), taken AS (
  UPDATE rendering_frame f SET status = 'running', attempt_id = %(attempt)s, updated_at = statement_timestamp()
    FROM picked WHERE f.id = ANY(picked.frames) AND f.step_id = picked.step
  RETURNING f.id
), linked AS (
  INSERT INTO rendering_frame_attempts (frame_id, attempt_id) SELECT id, %(attempt)s FROM taken
), made AS (
  INSERT INTO rendering_attempt
         (id, created_at, updated_at, job_id, step_id, node_id, status, limits, memory_size, lease_expires_at,
          progress, failure_code, message, cpu_seconds, peak_memory_size, log_tail)
  SELECT %(attempt)s, statement_timestamp(), statement_timestamp(), picked.id, picked.step, %(node)s, 'running',
         picked.limits, picked.memory, statement_timestamp() + %(lease)s, 0, '', '', 0, 0, ''
    FROM picked
)
SELECT place, %(attempt)s, statement_timestamp(), id, step, %(node)s, 'running', limits, memory,
       statement_timestamp() + %(lease)s FROM picked
"""
TAKEN = [
    "id", "created_at", "job_id", "step_id", "node_id", "status", "limits", "memory_size", "lease_expires_at",
]  # fmt: skip
STATUS = "SELECT status FROM rendering_renderjob WHERE id = %(job)s"
MANY_EMPTIED = 20

# `ready_changes` makes it a conditional update: whoever made frames ready meanwhile is not overlooked.
FORGET_EMPTIED = """
UPDATE rendering_renderjob job SET has_ready_frames = false
  FROM rendering_renderjob seen
 WHERE seen.id = job.id AND seen.ready_changes = job.ready_changes
   AND job.engine = %(engine)s AND job.status IN (2, 3) AND job.has_ready_frames
   AND NOT EXISTS (SELECT 1 FROM rendering_frame f WHERE f.job_id = seen.id AND f.status = 'ready')
"""


def claim(*, node: RenderNode, engine: str) -> Attempt | None:
    """Give the node the best ready frames of an engine, with a lease; None where there are none for it.

    Nothing for a node that drains, is disabled or rests, by its row as it stands in the database.
    A frame that has just failed on this node is left to another for a minute, where there is another.
    """
    while attempt := take_frames(node, engine):
        if start(attempt):
            return attempt
    return None


def start(attempt: Attempt) -> bool:
    """Whether the attempt's job renders, from now on; it does not where it was paused or cancelled meanwhile."""
    (status,) = run_prepared(STATUS, {"job": attempt.job_id}) or (None,)
    if status == RenderJob.Status.QUEUED:
        start_job(attempt.job)
        status = attempt.job.status
    if status in RenderJob.CLAIMABLE_STATUSES:
        return True
    stop_strays(attempt.job)
    return False


def take_frames(node: RenderNode, engine: str) -> Attempt | None:
    """The claim itself: the new attempt as far as it is known, or None. Its job is read when it is asked for."""
    values: dict[str, Any] = {
        "attempt": new_id(),
        "node": node.pk,
        "engine": engine,
        "versions": node.engines.get(engine, []),
        "cores": node.cores,
        "memory": node.memory_size,
        "share": node.attempt_memory_size,
        "tags": node.tags,
        "lease": settings.RENDER_LEASE,
    }
    while True:
        try:
            row = run_prepared(CLAIM, values)
        except IntegrityError as error:
            # Two nodes wanted the last place of a limit; the next look sees that it is taken.
            if constraint_of(error) != "rendering_limit_kept":
                raise
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != "40P01":  # a deadlock, of which one is let go
                raise
        else:
            break
    if row is None:
        return None
    if row[0] > MANY_EMPTIED:
        forget_emptied(engine)
    attempt = Attempt.from_db(connection.alias, TAKEN, row[1:])
    attempt.node = node
    return attempt


def run_prepared(statement: str, values: dict[str, Any]) -> tuple[Any, ...] | None:
    """The first row of a statement that this connection plans once: planning a claim takes longer than it runs."""
    with planned_cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


def constraint_of(error: IntegrityError) -> str:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") or ""


def start_job(job: RenderJob) -> None:
    """The first claim makes a queued job a rendering one."""
    with transaction.atomic():
        changes = {"started_at": job.started_at or timezone.now()}
        moved = RenderJob.objects.filter(pk=job.pk, status=RenderJob.Status.QUEUED).update(
            status=RenderJob.Status.RENDERING, updated_at=timezone.now(), **changes
        )
        job.refresh_from_db()
        if moved:
            news.tell_status(job)


def forget_emptied(engine: str) -> None:
    """Take jobs without ready frames out of the nodes' sight, until some become ready."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET_EMPTIED, {"engine": engine})
