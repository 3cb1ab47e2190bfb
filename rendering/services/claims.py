"""Which frame a node gets: PostgreSQL decides, in one statement."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from common.ids import new_id
from rendering.models import Attempt, RenderJob, RenderNode
from rendering.services import news
from rendering.services.frames import stop_strays

# The jobs this node can do and whose limits leave room, in order of priority, then of how little their owner has
# running for its weight, then of age; of the first that has frames nobody else is taking at this moment, a chunk of
# one step. The jobs come sorted, so that the join stops at its first hit and locks its frames alone. Jobs without
# ready frames are not looked at: see `forget_emptied`.
CLAIM = """
WITH clock AS MATERIALIZED (
  SELECT statement_timestamp() AS now, statement_timestamp() + %(lease)s AS lease_end
), reached AS MATERIALIZED (
  SELECT coalesce(array_agg(id), '{}') AS ids FROM rendering_concurrencylimit
   WHERE maximum IS NOT NULL AND running >= maximum
), candidate AS (
  SELECT job.id, job.status, job.limits, job.chunk_size, job.min_memory_size, job.ready_changes,
         row_number() OVER (
           ORDER BY job.priority DESC, share.running::float / share.weight, job.submitted_at, job.id) AS place
    FROM rendering_renderjob job JOIN rendering_concurrencylimit share ON share.id = job.share_id
   WHERE job.engine = %(engine)s AND job.status IN (2, 3) AND job.has_ready_frames
     AND NOT job.limits && (SELECT ids FROM reached)
     AND (job.engine_version = '' OR job.engine_version = ANY(%(versions)s))
     AND job.min_cores <= %(cores)s AND job.min_memory_size <= %(memory)s AND job.node_tags <@ %(tags)s
     AND NOT EXISTS (SELECT 1 FROM rendering_nodeblock b WHERE b.node_id = %(node)s AND b.job_id = job.id)
   ORDER BY place
), picked AS (
  SELECT candidate.*, chunk.* FROM candidate CROSS JOIN LATERAL (
    SELECT array_agg(id ORDER BY step_id, number) AS frames, (array_agg(step_id ORDER BY step_id))[1] AS step,
           max(memory_size) AS memory
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
                        AND other.heartbeat_at > statement_timestamp() - %(lease)s AND other.engines ? %(engine)s))
             ORDER BY f.step_id, f.number LIMIT candidate.chunk_size FOR UPDATE SKIP LOCKED) AS free
    HAVING count(*) > 0
  ) AS chunk ORDER BY place LIMIT 1
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
  SELECT %(attempt)s, clock.now, clock.now, picked.id, picked.step, %(node)s, 'running', picked.limits,
         greatest(picked.memory, picked.min_memory_size, %(share)s), clock.lease_end, 0, '', '', 0, 0, ''
    FROM picked, clock
)
SELECT place FROM picked
"""
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

    A frame that has just failed on this node is left to another for a minute, where there is another.
    """
    while attempt_id := take_frames(node, engine):
        if attempt := start(attempt_id):
            return attempt
    forget_emptied(engine)
    return None


def start(attempt_id: UUID) -> Attempt | None:
    """The attempt with its job, which renders from now on; None where that was paused or cancelled meanwhile."""
    attempt = Attempt.objects.select_related("job__user", "job__drive", "step", "node").get(pk=attempt_id)
    if attempt.job.status == RenderJob.Status.QUEUED:
        start_job(attempt.job)
    if attempt.job.status in RenderJob.CLAIMABLE_STATUSES:
        return attempt
    stop_strays(attempt.job)
    return None


def take_frames(node: RenderNode, engine: str) -> UUID | None:
    """The claim itself: the id of the new attempt, or None."""
    attempt_id = new_id()
    values: dict[str, Any] = {
        "attempt": attempt_id,
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
            with connection.cursor() as cursor:
                cursor.execute(CLAIM, values)
                row = cursor.fetchone()
            if row and row[0] > MANY_EMPTIED:
                forget_emptied(engine)
            return attempt_id if row else None
        except IntegrityError as error:
            # Two nodes wanted the last place of a limit; the next look sees that it is taken.
            if constraint_of(error) != "rendering_limit_kept":
                raise
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != "40P01":  # a deadlock, of which one is let go
                raise


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
