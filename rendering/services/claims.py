"""Which frame a node gets: PostgreSQL decides, in one statement."""

from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from common.compiled import planned_cursor
from common.ids import new_id
from rendering.models import Attempt, RenderJob, RenderNode, WaitingOwner
from rendering.services import news

# Whose turn it is first: the owners that are marked as waiting for the engine (`WaitingOwner`), the most urgent first,
# then in order of how little an owner has running for its weight, then of how little it has used lately, then of age:
# where there are no more slots than owners, whoever has just given one back has as little running as those who wait.
# They are asked in turn, by the index `rendering_job_turn`, until one has something: the oldest job that this node can
# do, whose limits leave room, and that has frames nobody else is taking at this moment; of it a chunk of one step. What
# is joined comes sorted, so that each join stops at its first hit and locks its frames alone.
#
# How many frames are in a chunk the job says, or else a function of the database, by the time that the frames of the
# step take (services/chunks.py) and its part of what is ready. What is seldom needed is in functions, too: no claim
# prepares it.
#
# The job is held until the end of the claim, by the lock that its new attempt takes of it in any case, and then judged
# as it is now (migrations/0021): whoever has paused it meanwhile, and stops what runs of it (frames.stop_strays), waits
# for the claim or comes before it.
#
# It does not wait for the disk: a claim that a crash of the database takes back was none, and whoever works by it
# learns so at its next word (docs/adr/0023). What is delivered by it is behind it in the log, so never there alone.
CLAIM = """
WITH turn AS (
  SELECT waiting.priority, share.id AS share_id, row_number() OVER (
           ORDER BY waiting.priority DESC, share.running::float / share.weight,
                    rendering_used_lately(share) / share.weight, waiting.since, share.id) AS place
    FROM rendering_waitingowner waiting JOIN rendering_concurrencylimit share ON share.id = waiting.share_id
   WHERE waiting.engine = %(engine)s AND (share.maximum IS NULL OR share.running < share.maximum)
     AND EXISTS (SELECT 1 FROM rendering_rendernode me WHERE me.id = %(node)s AND me.state = 'enabled'
                    AND (me.rests_until IS NULL OR me.rests_until <= statement_timestamp()))
   ORDER BY place
), picked AS (
  SELECT found.* FROM turn CROSS JOIN LATERAL (
    SELECT candidate.*, chunk.* FROM (
      SELECT job.id, job.limits, job.chunk_size, job.min_memory_size, job.submitted_at,
             row_number() OVER (ORDER BY job.submitted_at, job.id) AS place
        FROM rendering_renderjob job
       WHERE job.engine = %(engine)s AND job.status IN (2, 3) AND job.has_ready_frames
         AND job.priority * -1 = turn.priority * -1 AND job.share_id = turn.share_id
         AND (job.engine_version = '' OR job.engine_version = ANY(%(versions)s))
         AND job.min_cores <= %(cores)s AND job.min_memory_size <= %(memory)s AND job.node_tags <@ %(tags)s::varchar[]
         AND NOT EXISTS (SELECT 1 FROM rendering_nodeblock b WHERE b.node_id = %(node)s AND b.job_id = job.id)
         AND (job.limits = ARRAY[job.share_id] OR NOT EXISTS (
               SELECT 1 FROM rendering_concurrencylimit l WHERE l.id = ANY(job.limits) AND l.running >= l.maximum))
       ORDER BY job.submitted_at, job.id
    ) AS candidate CROSS JOIN LATERAL (
      SELECT array_agg(id) AS frames, (array_agg(step_id))[1] AS step,
             greatest(max(memory_size), candidate.min_memory_size, %(share)s) AS memory
        FROM (SELECT f.id, f.step_id, f.memory_size FROM rendering_frame f
               WHERE f.job_id = candidate.id AND f.status = 'ready' AND f.memory_size <= %(memory)s
                 AND (f.due_at IS NULL OR f.due_at <= statement_timestamp())
                 AND NOT (f.failures + f.losses > 0
                          AND rendering_is_left_to_others(f.id, %(node)s, %(engine)s, %(lease)s))
               ORDER BY f.step_id, f.number LIMIT coalesce(candidate.chunk_size,
                     rendering_frames_to_take(candidate.id, candidate.limits, %(engine)s, %(lease)s))
               FOR UPDATE SKIP LOCKED) AS free
      HAVING count(*) > 0
    ) AS chunk ORDER BY candidate.submitted_at, candidate.id LIMIT 1
  ) AS found ORDER BY turn.place LIMIT 1
), locked AS (
  SELECT picked.* FROM picked JOIN rendering_renderjob job ON job.id = picked.id FOR KEY SHARE OF job SKIP LOCKED
), held AS MATERIALIZED (
  SELECT * FROM (SELECT *, rendering_claimable_status(id) AS status FROM locked OFFSET 0) AS now
   WHERE status IS NOT NULL
), taken AS (
  UPDATE rendering_frame f SET status = 'running', attempt_id = %(attempt)s, updated_at = statement_timestamp()
    FROM held WHERE f.id = ANY(held.frames) AND f.step_id = held.step
  RETURNING f.id
), linked AS (
  INSERT INTO rendering_frame_attempts (frame_id, attempt_id) SELECT id, %(attempt)s FROM taken
), made AS (
  INSERT INTO rendering_attempt
         (id, created_at, updated_at, job_id, step_id, node_id, status, limits, memory_size, lease_expires_at,
          progress, failure_code, message, cpu_seconds, peak_memory_size, log_tail)
  SELECT %(attempt)s, statement_timestamp(), statement_timestamp(), held.id, held.step, %(node)s, 'running',
         held.limits, held.memory, statement_timestamp() + %(lease)s, 0, '', '', 0, 0, ''
    FROM held
)
SELECT picked.place, held.status, held.id, held.step, held.memory, statement_timestamp(),
       set_config('synchronous_commit', 'off', true)
  FROM picked LEFT JOIN held ON true
"""
# psycopg translates a text anew each time that is longer than its MAX_CACHED_STATEMENT_LENGTH.
CLAIM = " ".join(CLAIM.split())
# In the order of the model's fields.
TAKEN = ["id", "created_at", "job_id", "step_id", "node_id", "status", "memory_size", "lease_expires_at"]
MANY_EMPTIED = 20

# `ready_changes` makes it a conditional update: whoever made frames ready meanwhile is not overlooked. What somebody
# holds is left for the next time: others lock several jobs, too, in their order.
FORGET_EMPTIED = """
WITH emptied AS (
  SELECT job.id FROM rendering_renderjob job JOIN rendering_renderjob seen
      ON seen.id = job.id AND seen.ready_changes = job.ready_changes
   WHERE job.engine = %(engine)s AND job.status IN (2, 3) AND job.has_ready_frames
     AND NOT EXISTS (SELECT 1 FROM rendering_frame f WHERE f.job_id = seen.id AND f.status = 'ready')
     FOR NO KEY UPDATE OF job SKIP LOCKED
)
UPDATE rendering_renderjob job SET has_ready_frames = false FROM emptied WHERE job.id = emptied.id
"""


class Taken(NamedTuple):
    """A new attempt, as far as it is known, and the status in which it found its job."""

    attempt: Attempt
    job_status: int


def claim(*, node: RenderNode, engine: str) -> Attempt | None:
    """Give the node the best ready frames of an engine, with a lease; None where there are none for it.

    Nothing for a node that drains, is disabled or rests, by its row as it stands in the database.
    A frame that has just failed on this node is left to another for a minute, where there is another.
    """
    while taken := take_frames(node, engine):
        if taken.job_status == RenderJob.Status.RENDERING or start_job(taken.attempt.job):
            return taken.attempt
    return None


def take_frames(node: RenderNode, engine: str) -> Taken | None:
    """The claim itself. The attempt's job is read when it is asked for."""
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
    while row := look(values):
        place, job_status, job, step, memory, now, _commit = row
        if place > MANY_EMPTIED:
            forget_emptied(engine)
        if job is None:
            continue  # whoever has paused or cancelled it stops what runs of it: the next look does not see it
        status, lease_until = Attempt.Status.RUNNING, now + settings.RENDER_LEASE
        told = [values["attempt"], now, job, step, node.pk, status, memory, lease_until]
        attempt = Attempt.from_db(connection.alias, TAKEN, told)
        attempt.node = node
        return Taken(attempt, job_status)
    return None


def look(values: dict[str, Any]) -> tuple[Any, ...] | None:
    """What the claim found, once it was neither one of two that wanted a last place, nor of two that met in a circle.

    This connection plans it once: planning a claim takes longer than it runs.
    """
    while True:
        try:
            with planned_cursor() as cursor:
                cursor.execute(CLAIM, values)
                row: tuple[Any, ...] | None = cursor.fetchone()
            return row
        except IntegrityError as error:
            # Two nodes wanted the last place of a limit; the next look sees that it is taken.
            if constraint_of(error) != "rendering_limit_kept":
                raise
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != "40P01":  # a deadlock, of which one is let go
                raise


def constraint_of(error: IntegrityError) -> str:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") or ""


def start_job(job: RenderJob) -> bool:
    """The first claim makes a queued job a rendering one; False where it was paused or cancelled before that.

    Whoever did so stops the attempt of the claim.
    """
    with transaction.atomic():
        changes = {"started_at": job.started_at or timezone.now()}
        moved = RenderJob.objects.filter(pk=job.pk, status=RenderJob.Status.QUEUED).update(
            status=RenderJob.Status.RENDERING, updated_at=timezone.now(), **changes
        )
        job.refresh_from_db()
        if moved:
            news.tell_status(job)
    return job.status in RenderJob.CLAIMABLE_STATUSES


def forget_emptied(engine: str) -> None:
    """Take jobs without ready frames out of the nodes' sight, until some become ready; and owners without such jobs.

    An owner's mark is locked before it is judged: whoever brings a job at that moment has it locked, and it is left, or
    waits and finds none (migrations/0020).
    """
    with connection.cursor() as cursor:
        cursor.execute(FORGET_EMPTIED, {"engine": engine})
    jobs = RenderJob.objects.filter(status__in=RenderJob.CLAIMABLE_STATUSES, has_ready_frames=True)
    same = {field: OuterRef(field) for field in ("share", "engine", "priority")}
    idle = WaitingOwner.objects.filter(~Exists(jobs.filter(**same)))
    with transaction.atomic():
        locked = [mark.pk for mark in idle.select_for_update(skip_locked=True)]
        idle.filter(pk__in=locked).delete()
