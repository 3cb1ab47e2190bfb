"""Celery tasks of rendering: load, claim, one service call."""

import logging
from collections.abc import Callable
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from rendering import messages, node
from rendering.models import SceneReport
from rendering.services import (
    admission,
    attempts,
    claims,
    closing,
    dispatch,
    frames,
    idle_holds,
    jobs,
    money,
    reports,
    results,
)

logger = logging.getLogger(__name__)


@shared_task
def inspect_scene(report_id: str) -> None:
    """Pre-flight a scene, then go on with the jobs that waited for it."""
    reports.inspect(report_id=UUID(report_id))
    engine = SceneReport.objects.filter(pk=report_id).values_list("engine", flat=True).first()
    for job_id in admission.pending_jobs(engine or ""):
        admission.advance_job(job_id=job_id)


@shared_task
def advance_job(job_id: str) -> None:
    """Queue a pending job if it can be."""
    admission.advance_job(job_id=UUID(job_id))


@shared_task
def fill_slot(engine: str) -> None:
    """On a render node: render frames of an engine until there are none for it."""
    node.current().work(engine)


@shared_task
def draw_results(job_id: str) -> None:
    """Draw the contact sheet and the preview film of a job that is over."""
    results.draw_results(job_id=UUID(job_id))


@shared_task
def continue_paid(wallet_id: str) -> None:
    """There is more money in a wallet: jobs that wait for it go on."""
    jobs.continue_paid(wallet_id=UUID(wallet_id))


def stop_strays() -> None:
    for job in frames.jobs_with_strays():
        try:
            frames.stop_strays(job)
        except Exception:  # one broken job must not keep the others
            logger.exception("what runs of task %s was not stopped", job.pk)


def send_again() -> None:
    """Messages that were lost on their way."""
    for report_id in reports.overdue_reports():
        messages.send("inspect_scene", str(report_id))
    for job_id in admission.pending_jobs():
        messages.send("advance_job", str(job_id))
    for job_id in results.undrawn_jobs(timezone.now()):
        results.ask_drawing(job_id)


def wake_nodes() -> None:
    for engine in dispatch.engines_with_work():
        claims.forget_emptied(engine)
        dispatch.dispatch(engine)
        dispatch.tell_stranded(engine)


TENDED: tuple[Callable[[], object], ...] = (
    attempts.reap,
    stop_strays,
    frames.release_all,
    closing.close_overdue,
    money.capture_due,
    money.pause_uncovered,
    jobs.continue_paid,
    send_again,
    wake_nodes,
)


@shared_task
def tend() -> None:
    """Scheduled: whatever a lost message or a dead process left undone is taken up again."""
    for step in TENDED:
        try:
            step()
        except Exception:  # what is broken at one place must not keep the rest of the farm
            logger.exception("%s is left to the next round", step.__name__)


@shared_task
def expire_holds() -> None:
    """Scheduled: release the money of tasks paused for long."""
    idle_holds.expire_holds(now=timezone.now())
