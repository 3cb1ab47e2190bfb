"""How many frames an attempt takes where the farm chooses: as many as fit into a time (docs/adr/0020)."""

from django.conf import settings
from django.db.models import F, Max, Value
from django.db.models.functions import Greatest, Least

from rendering.engines import engine_for
from rendering.models import Attempt, RenderJob, RenderStep

MAX_CHUNK = 100
"""Frames of an attempt at most, whoever chooses."""


def fitting_frames(seconds: float, target: float) -> int:
    """How many frames fit into an attempt: a first one, which is rendered in any case, and as many others as take the
    target together where each takes so many seconds.
    """
    return 1 + int(min(target / max(seconds, 1e-6), MAX_CHUNK - 1))


def measure(attempt: Attempt, seconds: float | None, loading_seconds: float = 0) -> None:
    """An attempt whose program ran so many seconds says how many frames the next ones of its step shall take.

    More, at most twice as many at a time, since the first frames may be the quick ones; fewer at once, where they took
    too long. What went by before the first frame is no part of the frames, and they may take as long as it: a program
    that loads for minutes is not started for each of them. Where it does not say, its start counts as a part of its
    frames, and weighs the less the more there are: an attempt of few frames that was over in time is no reason to take
    fewer. The job's row is locked.
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
    """Frames of the job's next attempt at most."""
    chosen = RenderStep.objects.filter(job=job).aggregate(size=Max("chunk_size"))["size"]
    return job.chunk_size or chosen or 1
