"""Waking idle slots when there is work, and repeating what was lost on the way."""

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.utils import timezone

from rendering import messages
from rendering.models import Attempt, Frame, JobLog, RenderJob, RenderNode
from rendering.selectors import missing_node
from rendering.services import news

LOOKED_AT = 100
"""How many waiting jobs are checked at a time for whether any node can render them."""


def idle_slots(engine: str) -> int:
    """Slots of living nodes with the engine that run nothing at the moment."""
    nodes = RenderNode.objects.taking_work().filter(engines__has_key=engine)
    slots = nodes.aggregate(total=Sum("slots"))["total"] or 0
    return int(slots) - Attempt.objects.filter(node__in=nodes, status=Attempt.Status.RUNNING).count()


def claimable_jobs(engine: str) -> QuerySet[RenderJob]:
    """Jobs with ready frames whose owner may have more running."""
    rows = RenderJob.objects.filter(
        engine=engine, status__in=RenderJob.CLAIMABLE_STATUSES, has_ready_frames=True
    )
    return rows.filter(Q(share__maximum__isnull=True) | Q(share__maximum__gt=F("share__running")))


def ready_frames(engine: str, limit: int) -> int:
    """Frames of the engine that wait for a slot, counted up to `limit`."""
    due = Q(due_at__isnull=True) | Q(due_at__lte=Now())
    rows = Frame.objects.filter(due, status=Frame.Status.READY, job__in=claimable_jobs(engine))
    return rows[:limit].count()


def is_for_anybody(engine: str) -> bool:
    """Whether any node with the engine can render everything that waits for it."""
    jobs = claimable_jobs(engine)
    needs = (
        Q(min_cores__gt=0) | Q(min_memory_size__gt=0) | Q(node_tags__len__gt=0) | Q(node_blocks__isnull=False)
    )
    if jobs.filter(needs).exists():
        return False
    versions = set(jobs.exclude(engine_version="").values_list("engine_version", flat=True).distinct())
    nodes = RenderNode.objects.taking_work().filter(engines__has_key=engine)
    return all(versions <= set(engines[engine]) for engines in nodes.values_list("engines", flat=True))


def dispatch(engine: str) -> None:
    """Wake as many idle slots as there are ready frames; all of them, where some node cannot render some of the
    frames.

    Which node takes a message is not ours to decide: a message that only reached an unsuitable node would be lost.
    """
    idle = idle_slots(engine)
    if idle > 0 and (wanted := ready_frames(engine, idle)):
        messages.wake_slots(engine, wanted if wanted == idle or is_for_anybody(engine) else idle)


def dispatch_on_commit(engine: str) -> None:
    transaction.on_commit(lambda: dispatch(engine), robust=True)


def engines_with_work() -> list[str]:
    jobs = RenderJob.objects.filter(status__in=RenderJob.CLAIMABLE_STATUSES)
    return list(jobs.order_by("engine").values_list("engine", flat=True).distinct())


def tell_stranded(engine: str) -> None:
    """Write into a job's log that no node in service can render it, and what they lack; once for each reason.

    Checks a random part of the waiting jobs at a time: the oldest may be stranded for days, ahead of all others.
    """
    patience = timezone.now() - settings.RENDER_LEASE
    jobs = claimable_jobs(engine).filter(submitted_at__lt=patience, updated_at__lt=patience)
    for job in jobs.exclude(attempts__status=Attempt.Status.RUNNING).order_by("?")[:LOOKED_AT]:
        reason = missing_node(job)
        if reason and not JobLog.objects.filter(job=job, message=reason.message).exists():
            news.log(job, reason.message, level=JobLog.Level.WARNING)
