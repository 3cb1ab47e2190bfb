"""Jobs that wait for others: for all of them, or frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Notification, User
from accounts.services.notifications import notify
from common.errors import NotVisible
from rendering.errors import DependencyCycle
from rendering.models import Frame, JobDependency, JobLog, RenderJob
from rendering.services import news
from rendering.services.frames import release_on_commit
from rendering.services.guards import lock_for

# Whether a job can be reached from others by what they wait for.
REACHES = """
WITH RECURSIVE upstream (id) AS (
  SELECT unnest(%(starts)s::uuid[])
   UNION
  SELECT d.on_id FROM rendering_jobdependency d JOIN upstream ON d.job_id = upstream.id
)
SELECT EXISTS (SELECT 1 FROM upstream WHERE id = %(job)s)
"""
DEAD = (RenderJob.Status.FAILED, RenderJob.Status.CANCELLED)


@dataclass(frozen=True)
class Wait:
    """A job to wait for, and in which way."""

    task_id: UUID
    kind: str = JobDependency.Kind.JOB


def add_dependencies(job: RenderJob, waits: Sequence[Wait], user: User) -> None:
    """Make the job wait for others of its owner. Call in a transaction. Raises NotVisible, DependencyCycle."""
    wanted = {wait.task_id: wait for wait in waits}
    visible = set(RenderJob.objects.visible_to(user).filter(pk__in=wanted).values_list("pk", flat=True))
    if visible != set(wanted):
        raise NotVisible
    if job.pk in visible or is_upstream(job, list(visible)):
        raise DependencyCycle
    JobDependency.objects.bulk_create(
        JobDependency(job=job, on_id=wait.task_id, kind=wait.kind) for wait in wanted.values()
    )


def is_upstream(job: RenderJob, starts: list[UUID]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(REACHES, {"starts": starts, "job": job.pk})
        return bool(cursor.fetchone()[0])


def set_dependencies(*, job: RenderJob, waits: Sequence[Wait], user: User) -> RenderJob:
    """Make the job wait for exactly these; frames that no node has yet wait from now on.

    Raises TransitionNotAllowed, NotVisible, DependencyCycle.
    """
    with transaction.atomic():
        # Two that close a circle from both sides would not see each other's half.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('rendering.dependencies', 0))")
        job = lock_for(job, "set_dependencies")
        job.dependencies.all().delete()
        add_dependencies(job, waits, user)
        if waits:
            Frame.objects.filter(job=job, status=Frame.Status.READY).update(status=Frame.Status.WAITING)
        tell_of_dead(job)
        release_on_commit(job)
    return job


def drop_dependency(*, job: RenderJob, task_id: UUID) -> None:
    """Stop waiting for a job. Raises NotVisible, TransitionNotAllowed."""
    with transaction.atomic():
        job = lock_for(job, "set_dependencies")
        if not job.dependencies.filter(on_id=task_id).delete()[0]:
            raise NotVisible
        release_on_commit(job)


def tell_dependents(job: RenderJob) -> None:
    """The job failed or was cancelled: tell the owners of jobs that wait for it, who may drop the dependency."""
    waiting = Frame.objects.filter(job=OuterRef("job"), status=Frame.Status.WAITING)
    for dependency in JobDependency.objects.filter(Exists(waiting), on=job).select_related("job__user"):
        tell(dependency.job, job)


def tell_of_dead(job: RenderJob) -> None:
    """Tell the owner that the job is about to wait for jobs that have already failed or been cancelled."""
    for dependency in job.dependencies.filter(on__status__in=DEAD).select_related("on"):
        tell(job, dependency.on)


def tell(job: RenderJob, upstream: RenderJob) -> None:
    line = _(
        "The task waits for %(other)s, which ended without being completed. It waits on until that is retried."
    )
    news.log(job, line % {"other": upstream.task_name}, level=JobLog.Level.WARNING)
    notify(
        user=job.user,
        title=gettext_noop("Task %(task)s waits"),
        message=gettext_noop(
            "It waits for %(other)s, which failed or was cancelled. Retry that one, or let this one not wait for it."
        ),
        level=Notification.Level.WARNING,
        params={"task": job.task_name, "other": upstream.task_name},
        action_url=f"/tasks/{job.pk}",
    )
