"""What a job took: time, processors, memory, tries, money."""

from typing import Any

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, FloatField, Max, Min, Q, Sum
from django.db.models.functions import Coalesce, Extract, Now
from django.utils import timezone

from rendering.models import Attempt, Frame, RenderJob

SLOWEST = 10


def statistics_of(job: RenderJob) -> dict[str, Any]:
    """Figures of a job in three statements, however many frames it has. Seconds, bytes, CNY.

    `wall_seconds` are those of all attempts together, also of those that failed; `core_seconds` are they times the
    cores that a slot of the node has, which nobody else could use meanwhile; `cpu_seconds` is what of it was used.
    `retries` counts how often a frame was begun after its first time.
    """
    frames = Frame.objects.filter(job=job).aggregate(
        total=Count("pk"),
        done=Count("pk", Q(status=Frame.Status.DONE)),
        failed=Count("pk", Q(status=Frame.Status.FAILED)),
        open=Count("pk", Q(status__in=Frame.OPEN_STATUSES)),
        min=Min("seconds"),
        mean=Avg("seconds"),
        max=Max("seconds"),
    )
    slowest = Frame.objects.filter(job=job, seconds__isnull=False).order_by("-seconds", "pk")
    attempts = attempts_of(job)
    return {
        "frames": {name: frames.pop(name) for name in ("total", "done", "failed", "open")},
        "frame_seconds": frames,
        "slowest_frames": list(slowest.values("number", "seconds", step_name=F("step__name"))[:SLOWEST]),
        "attempts": {name: attempts.pop(name) for name in ("total", *Attempt.Status.values)},
        **attempts,
        "elapsed_seconds": elapsed(job),
        "charged_frames": job.charged_frames,
        "unit_price": job.unit_price,
        "estimated_cost": job.estimated_cost,
        "actual_cost": job.actual_cost,
    }


def attempts_of(job: RenderJob) -> dict[str, Any]:
    span = ExpressionWrapper(Coalesce(F("ended_at"), Now()) - F("created_at"), DurationField())
    wall: Any = Extract(span, "epoch")
    share = ExpressionWrapper(F("node__cores") * 1.0 / F("node__slots"), FloatField())
    runs = Attempt.frames.through.objects.filter(attempt__job=job).aggregate(
        begun=Count("pk"), frames=Count("frame", distinct=True)
    )
    rows = Attempt.objects.filter(job=job).annotate(wall=wall)
    figures = rows.aggregate(
        total=Count("pk"),
        **{status: Count("pk", Q(status=status)) for status in Attempt.Status.values},
        wall_seconds=Coalesce(Sum("wall"), 0.0, output_field=FloatField()),
        core_seconds=Coalesce(
            Sum(F("wall") * share, output_field=FloatField()), 0.0, output_field=FloatField()
        ),
        cpu=Coalesce(Sum("cpu_seconds"), 0.0, output_field=FloatField()),
        peak=Coalesce(Max("peak_memory_size"), 0),
    )
    figures["cpu_seconds"], figures["peak_memory_size"] = figures.pop("cpu"), figures.pop("peak")
    return {**figures, "retries": runs["begun"] - runs["frames"]}


def elapsed(job: RenderJob) -> float | None:
    """From the first frame that began to the end of the job, or to now."""
    if job.started_at is None:
        return None
    return ((job.completed_at or timezone.now()) - job.started_at).total_seconds()
