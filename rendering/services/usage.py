"""What of a job is paid: frames, or the hours that its runs took; what it has used, and what it is expected to use."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from django.conf import settings
from django.db.models import DecimalField, F, Q, QuerySet, Sum
from django.db.models.functions import Cast
from django.utils import timezone

from billing.models import PriceRule
from billing.services.ledger import SMALLEST, ZERO
from rendering.engines.failures import SCENE_FAULTS
from rendering.models import Attempt, Frame, JobFile, RenderJob

Unit = PriceRule.Unit
HOUR = Decimal(3600)
LOOKED_AT = 20
"""Earlier jobs of a scene from which the time of its frames is guessed."""


@dataclass(frozen=True)
class Use:
    """Units that are to be paid, and those of them that failed by a fault of the scene."""

    rendered: Decimal
    failed: Decimal = ZERO


@dataclass(frozen=True)
class Expectation:
    """Hours that a frame will take, and what that rests on: frames of the `job`, of the `scene` in earlier jobs, or
    nothing but the `setting`."""

    hours: Decimal
    basis: str


def is_metered(job: RenderJob) -> bool:
    return job.price_unit in PriceRule.METERED


def use_of(job: RenderJob) -> Use:
    """What the job has used since it was last settled. Its row is locked, or nobody else works on it.

    Hours are those of runs that ended well, and RENDER_FAILED_SHARE of those that failed by a fault of the scene. Runs
    that were lost, stopped or failed otherwise cost nothing.
    """
    share = settings.RENDER_FAILED_SHARE
    if is_metered(job):
        hours = hours_of(ended_well(job), job.price_unit)
        if share:
            failed = job.attempts.filter(status=Attempt.Status.FAILED, failure_code__in=SCENE_FAULTS)
            hours += rounded(hours_of(failed, job.price_unit) * share)
        return Use(max(hours - job.charged_hours, ZERO))
    failures = Decimal(uncharged_failures(job).count()) if share else ZERO
    return Use(Decimal(job.done_frames - job.charged_frames), failures)


def uncharged_failures(job: RenderJob) -> QuerySet[Frame]:
    failed = Frame.objects.filter(job=job, status=Frame.Status.FAILED, is_failure_charged=False)
    return failed.filter(failure_code__in=SCENE_FAULTS)


def ended_well(job: RenderJob) -> QuerySet[Attempt]:
    return Attempt.objects.filter(job=job, status=Attempt.Status.SUCCEEDED)


def hours_of(attempts: QuerySet[Attempt], unit: str) -> Decimal:
    """Core-hours or node-hours of runs that are over."""
    if unit == Unit.CORE_HOUR:
        exact = Cast("cpu_seconds", DecimalField(max_digits=20, decimal_places=6))
        seconds = attempts.aggregate(total=Sum(exact))["total"] or ZERO
    else:
        span = attempts.aggregate(total=Sum(F("ended_at") - F("created_at")))["total"] or timedelta()
        seconds = Decimal(span // timedelta(microseconds=1)) / 1_000_000
    return rounded(seconds / HOUR)


def running_hours(job: RenderJob) -> Decimal:
    """What runs of the job at this moment has used at most: of processors is known only afterwards how much."""
    running = Attempt.objects.filter(job=job, status=Attempt.Status.RUNNING)
    now, seconds = timezone.now(), ZERO
    for begun, cores, slots in running.values_list("created_at", "node__cores", "node__slots"):
        width = Decimal(cores or 1) / (slots or 1) if job.price_unit == Unit.CORE_HOUR else 1
        seconds += Decimal(str((now - begun).total_seconds())) * width
    return rounded(max(seconds, ZERO) / HOUR)


def expectation_of(job: RenderJob, unit: str, scene_blob: UUID | None = None) -> Expectation:
    """What a frame of the job will take, in hours of `unit`."""
    if job.done_frames and (hours := hours_of(ended_well(job), unit)):
        return Expectation(rounded(hours / job.done_frames), "job")
    if scene_blob is None:
        scene_blob = JobFile.objects.filter(job=job, is_scene=True).values_list("blob", flat=True).first()
    owners = Q(user=job.user_id) | Q(team__isnull=False, team=job.team_id)
    alike = RenderJob.objects.filter(owners, engine=job.engine, done_frames__gt=0).exclude(pk=job.pk)
    alike = alike.filter(files__blob=scene_blob, files__is_scene=True).order_by("-submitted_at", "-pk")
    earlier = dict(alike.values_list("pk", "done_frames")[:LOOKED_AT])
    runs = Attempt.objects.filter(job__in=earlier, status=Attempt.Status.SUCCEEDED)
    if earlier and (hours := hours_of(runs, unit)):
        return Expectation(rounded(hours / sum(earlier.values())), "scene")
    return Expectation(rounded(Decimal(str(settings.RENDER_EXPECTED_FRAME_SECONDS)) / HOUR), "setting")


def rounded(hours: Decimal) -> Decimal:
    return hours.quantize(SMALLEST, ROUND_HALF_UP)
