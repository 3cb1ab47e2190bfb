"""How many frames an attempt takes where the farm chooses: as many as fit into a time (docs/adr/0020)."""

from django.conf import settings
from django.db.models import F, Max, Value
from django.db.models.functions import Greatest, Least

from rendering.engines import engine_for
from rendering.models import Attempt, RenderJob, RenderStep

MAX_CHUNK = 100
"""Frames of an attempt at most, whoever chooses."""


def fitting_frames(seconds: float) -> int:
    """How many frames fit into an attempt: a first one, which is rendered in any case, and as many others as take
    RENDER_CHUNK_SECONDS together where each takes so many seconds.
    """
    return 1 + int(min(settings.RENDER_CHUNK_SECONDS / max(seconds, 1e-6), MAX_CHUNK - 1))


def measure(attempt: Attempt, seconds: float | None) -> None:
    """An attempt whose program ran so many seconds says how many frames the next ones of its step shall take.

    More, at most twice as many at a time, since the first frames may be the quick ones; fewer at once, where it took
    too long. The start of the program counts as a part of its frames, and weighs the less the more there are: an
    attempt of few frames that was over in time is no reason to take fewer. The job's row is locked.
    """
    job, step = attempt.job, attempt.step
    engine = engine_for(job.engine)
    if job.chunk_size is not None or seconds is None or engine is None or not engine.tells_frames:
        return
    fitting = fitting_frames(seconds / attempt.frames.count())
    longer = Least(Value(fitting), 2 * F("chunk_size"))
    size = longer if seconds > settings.RENDER_CHUNK_SECONDS else Greatest(F("chunk_size"), longer)
    RenderStep.objects.filter(pk=step.pk).exclude(chunk_size=size).update(chunk_size=size)


def chunk_of(job: RenderJob) -> int:
    """Frames of the job's next attempt at most."""
    chosen = RenderStep.objects.filter(job=job).aggregate(size=Max("chunk_size"))["size"]
    return job.chunk_size or chosen or 1
