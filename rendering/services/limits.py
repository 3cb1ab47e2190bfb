"""How many attempts run at once: for a user, a team, an engine's licence; and whose turn it is."""

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import F, Func, Value

from accounts.models import User
from rendering.models import Attempt, ConcurrencyLimit, RenderJob

Kind = ConcurrencyLimit.Kind


@dataclass(frozen=True)
class Limits:
    """The limits a job counts for, and the one among them by which the farm is shared."""

    share: ConcurrencyLimit
    all: list[ConcurrencyLimit]


def limits_of(job: RenderJob) -> Limits:
    """The job's limits; those of its owners are made, or brought up to what their level gives.

    A team's job counts for the team and for the member who submitted it, and takes the team's share. A licence
    counts where operators have limited it: a row that everybody counts for is one that everybody waits for.
    """
    maximum, weight = settings.RENDER_LEVELS[job.user.member_level]
    share = ensure_limit(Kind.USER, str(job.user_id), maximum, weight)
    found = [share]
    if job.team_id:
        share = ensure_limit(Kind.TEAM, str(job.team_id), *settings.RENDER_TEAM)
        found.append(share)
    found += ConcurrencyLimit.objects.filter(kind=Kind.LICENCE, key__in=licence_keys(job))
    return Limits(share, found)


def ensure_limit(kind: str, key: str, maximum: int | None, weight: int) -> ConcurrencyLimit:
    limit, is_new = ConcurrencyLimit.objects.get_or_create(
        kind=kind, key=key, defaults={"maximum": maximum, "weight": weight}
    )
    if not is_new and not limit.is_custom and (limit.maximum, limit.weight) != (maximum, weight):
        ConcurrencyLimit.objects.filter(pk=limit.pk, is_custom=False).update(maximum=maximum, weight=weight)
        limit.refresh_from_db()
    return limit


def level_changed(user: User) -> None:
    """Let a user's new level count for what is queued already."""
    maximum, weight = settings.RENDER_LEVELS[user.member_level]
    rows = ConcurrencyLimit.objects.filter(kind=Kind.USER, key=str(user.pk), is_custom=False)
    rows.update(maximum=maximum, weight=weight)


def licence_keys(job: RenderJob) -> list[str]:
    """Under which names a licence may be limited that the job needs: its engine, and its renderer in it."""
    return [job.engine, f"{job.engine}/{job.renderer.strip().lower()}"]


def limit_licence(*, key: str, maximum: int | None) -> ConcurrencyLimit:
    """Let at most `maximum` attempts at once use what `key` names, "engine" or "engine/renderer" in lower case.

    Counts at once for jobs that are queued and attempts that run.
    """
    engine, _slash, renderer = key.partition("/")
    with transaction.atomic():
        limit, _created = ConcurrencyLimit.objects.update_or_create(
            kind=Kind.LICENCE, key=key, defaults={"maximum": maximum, "is_custom": True}
        )
        ConcurrencyLimit.objects.select_for_update().get(pk=limit.pk)
        jobs = RenderJob.objects.filter(engine=engine).exclude(status__in=RenderJob.FINAL_STATUSES)
        if renderer:
            jobs = jobs.filter(renderer__iexact=renderer)
        appended = Func(F("limits"), Value(limit.pk), function="array_append")
        jobs.filter(share__isnull=False).exclude(limits__contains=[limit.pk]).update(limits=appended)
        running = Attempt.objects.filter(job__in=jobs, status=Attempt.Status.RUNNING)
        counted = running.exclude(limits__contains=[limit.pk]).update(limits=appended)
        ConcurrencyLimit.objects.filter(pk=limit.pk).update(running=F("running") + counted)
    limit.refresh_from_db()
    return limit
