"""How many frames an attempt takes where the farm decides: as many as fit into a given time (docs/adr/0020)."""

from django.conf import settings
from django.db.models import F, Max, Value
from django.db.models.functions import Greatest, Least

from rendering.engines import engine_for
from rendering.models import Attempt, RenderJob, RenderStep

MAX_CHUNK = 100
"""The most frames of an attempt, whoever decides."""


def fitting_frames(seconds: float, target: float) -> int:
    """How many frames fit into an attempt: the first, which is rendered in any case, and as many others as take the
    target time together if each takes `seconds`.
    """
    return 1 + int(min(target / max(seconds, 1e-6), MAX_CHUNK - 1))


def measure(attempt: Attempt, seconds: float | None, loading_seconds: float = 0) -> None:
    """Let the time of an attempt decide how many frames the next attempts of its step take. The job's row is locked.

    The number grows to at most twice as much at a time, since the first frames may be the quick ones; it falls at
    once where they took too long. Time before the first frame is not counted as frame time, and the frames may take
    as long as it did: a program that loads for minutes is not started for each of them. Where that time is unknown,
    the start counts as part of the frames and weighs less the more there are; so an attempt of few frames that ended
    in time is no reason to take fewer.
    """
    job, step = attempt.job, attempt.step
    engine = engine_for(job.engine)
    if job.chunk_size is not None or seconds is None or engine is None or not engine.tells_frames:
        return
    target = settings.RENDER_CHUNK_SECONDS and max(settings.RENDER_CHUNK_SECONDS, loading_seconds)
    rendering = seconds - loading_seconds
    longer = Least(Value(fitting_frames(rendering / attempt.frames.count(), target)), 2 * F("chunk_size"))
    size = longer if rendering > target else Greatest(F("chunk_size"), longer)
    RenderStep.objects.filter(pk=step.pk).exclude(chunk_size=size).update(chunk_size=size)


def chunk_of(job: RenderJob) -> int:
    """The most frames of the job's next attempt."""
    chosen = RenderStep.objects.filter(job=job).aggregate(size=Max("chunk_size"))["size"]
    return job.chunk_size or chosen or 1
