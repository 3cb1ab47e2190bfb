"""How many attempts run at once for a user, a team or a licence, and in which shares."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import CharField, F, Func, QuerySet, Value
from django.db.models.functions import Cast

from accounts.models import User
from billing.models import MembershipPlan
from billing.services.plans import plan_of
from rendering.models import Attempt, ConcurrencyLimit, JobFile, RenderJob, SceneReport

Kind = ConcurrencyLimit.Kind


@dataclass(frozen=True)
class Limits:
    """The limits that apply to a job, and the one by which it gets its share of the farm."""

    share: ConcurrencyLimit
    all: list[ConcurrencyLimit]


def limits_of(job: RenderJob) -> Limits:
    """The job's limits. Those of its owners are created, or updated to what their level gives.

    A team's job counts for the team and for the member who submitted it, and takes the team's share. A licence counts
    only where operators have limited it, since everybody waits for a row that everybody counts for.
    """
    share = ensure_limit(Kind.USER, str(job.user_id), partial(given_to, job.user_id))
    found = [share]
    if job.team_id:
        share = ensure_limit(Kind.TEAM, str(job.team_id), lambda: settings.RENDER_TEAM)
        found.append(share)
    found += ConcurrencyLimit.objects.filter(kind=Kind.LICENCE, key__in=licence_keys(job))
    return Limits(share, found)


def given_to(user_id: UUID) -> tuple[int | None, int]:
    """What the level of a user gives now: frames at once, weight."""
    plan = plan_of(User.objects.get(pk=user_id))
    return plan.concurrent_frames, plan.weight


def ensure_limit(kind: str, key: str, given: Callable[[], tuple[int | None, int]]) -> ConcurrencyLimit:
    """Return the limit, brought up to what `given` says, unless an operator has set it.

    `given` is asked again under the limit's lock: a level that changes at the same moment changes the limit afterwards.
    """
    maximum, weight = given()
    limit, is_new = ConcurrencyLimit.objects.get_or_create(
        kind=kind, key=key, defaults={"maximum": maximum, "weight": weight}
    )
    if is_new or limit.is_custom or (limit.maximum, limit.weight) == (maximum, weight):
        return limit
    limit = ConcurrencyLimit.objects.select_for_update(no_key=True).get(pk=limit.pk)
    maximum, weight = given()
    if not limit.is_custom and (limit.maximum, limit.weight) != (maximum, weight):
        limit.maximum, limit.weight = maximum, weight
        limit.save(update_fields=["maximum", "weight", "updated_at"])
    return limit


def level_changed(user: User) -> None:
    """Apply a user's new level to what is queued already."""
    bring_up_to(plan_of(user), User.objects.filter(pk=user.pk))


def plan_changed(plan: MembershipPlan) -> None:
    """Apply an operator's change of a plan to what is queued already."""
    bring_up_to(plan, User.objects.filter(member_level=plan.level))


def bring_up_to(plan: MembershipPlan, users: QuerySet[User]) -> None:
    keys = users.annotate(key=Cast("pk", CharField())).values("key")
    rows = ConcurrencyLimit.objects.filter(kind=Kind.USER, key__in=keys, is_custom=False)
    rows.update(maximum=plan.concurrent_frames, weight=plan.weight)


def licence_name(text: str) -> str:
    """A renderer's name in licences: `V-Ray` and `vray` are the same."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def licence_key(engine: str, renderer: str = "") -> str:
    return f"{engine}/{licence_name(renderer)}" if renderer else engine


def renderers_of(jobs: Iterable[RenderJob]) -> dict[UUID, str]:
    """The renderer of each of these jobs of one engine: the one asked for, or else that of its scene."""
    jobs = list(jobs)
    silent = [job for job in jobs if not job.renderer]
    scenes = dict(JobFile.objects.filter(job__in=silent, is_scene=True).values_list("job_id", "blob_id"))
    reports = SceneReport.objects.filter(blob__in=scenes.values(), engine__in={job.engine for job in silent})
    said = dict(reports.values_list("blob_id", "data__renderer"))
    of_scenes = {job_id: said.get(blob_id) for job_id, blob_id in scenes.items()}
    return {job.pk: job.renderer or of_scenes.get(job.pk) or "" for job in jobs}


def licence_keys(job: RenderJob) -> list[str]:
    """The names under which a licence of the job may be limited: its engine, and its renderer in it."""
    return [job.engine, licence_key(job.engine, renderers_of([job])[job.pk])]


def limit_licence(*, key: str, maximum: int | None) -> ConcurrencyLimit:
    """Allow at most `maximum` attempts at once that use what `key` names (`licence_key`).

    Applies at once to queued jobs and running attempts.
    """
    engine, _slash, renderer = key.partition("/")
    with transaction.atomic():
        jobs = RenderJob.objects.filter(engine=engine).exclude(status__in=RenderJob.FINAL_STATUSES)
        if renderer:
            found = renderers_of(jobs.only("pk", "engine", "renderer"))
            jobs = jobs.filter(pk__in=[pk for pk, name in found.items() if licence_name(name) == renderer])
        # Locked as by whoever else changes jobs: in their order, and before what they count for.
        ids = list(jobs.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
        limit, _created = ConcurrencyLimit.objects.update_or_create(
            kind=Kind.LICENCE, key=key, defaults={"maximum": maximum, "is_custom": True}
        )
        jobs = RenderJob.objects.filter(pk__in=ids)
        appended = Func(F("limits"), Value(limit.pk), function="array_append")
        jobs.filter(share__isnull=False).exclude(limits__contains=[limit.pk]).update(limits=appended)
        running = Attempt.objects.filter(job__in=ids, status=Attempt.Status.RUNNING)
        counted = running.exclude(limits__contains=[limit.pk]).update(limits=appended)
        ConcurrencyLimit.objects.filter(pk=limit.pk).update(running=F("running") + counted)
    limit.refresh_from_db()
    return limit
