"""Carrying the news that there is work, and tending what was lost on the way."""

from django.db import transaction
from django.db.models import Sum

from rendering import messages
from rendering.models import Attempt, Frame, RenderJob, RenderNode


def idle_slots(engine: str) -> int:
    """Slots of living nodes with the engine that run nothing at the moment."""
    nodes = RenderNode.objects.taking_work().filter(engines__has_key=engine)
    slots = nodes.aggregate(total=Sum("slots"))["total"] or 0
    return int(slots) - Attempt.objects.filter(node__in=nodes, status=Attempt.Status.RUNNING).count()


def ready_frames(engine: str, limit: int) -> int:
    """Frames of the engine that wait for a slot, counted up to `limit`."""
    rows = Frame.objects.filter(
        status=Frame.Status.READY,
        job__engine=engine,
        job__status__in=RenderJob.CLAIMABLE_STATUSES,
        job__has_ready_frames=True,
    )
    return rows[:limit].count()


def dispatch(engine: str) -> None:
    """Wake as many idle slots as there are ready frames."""
    idle = idle_slots(engine)
    if idle > 0:
        messages.wake_slots(engine, ready_frames(engine, idle))


def dispatch_on_commit(engine: str) -> None:
    transaction.on_commit(lambda: dispatch(engine), robust=True)


def engines_with_work() -> list[str]:
    jobs = RenderJob.objects.filter(status__in=RenderJob.CLAIMABLE_STATUSES)
    return list(jobs.order_by("engine").values_list("engine", flat=True).distinct())
