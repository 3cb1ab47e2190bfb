"""A job in the hands of its owner: pause, resume, approve, cancel, delete, change its priority."""

from contextlib import suppress
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from billing.services.plans import require_priority
from billing.services.prices import unit_price_of
from common.errors import DomainError, TransitionNotAllowed
from rendering.errors import JobRunning
from rendering.models import Frame, RenderJob
from rendering.services import news
from rendering.services.dependencies import tell_dependents
from rendering.services.dispatch import dispatch_on_commit
from rendering.services.frames import (
    release_on_commit,
    show_ready,
    stop_frames,
    stop_strays,
    wait_for_claims,
)
from rendering.services.guards import lock_for, require
from rendering.services.money import cover, expected_cost, left_of, open_hold, payer_of, require_more, settle
from rendering.services.submitting import submit_job

Status = RenderJob.Status
Reason = RenderJob.PauseReason
TRIED_AT_ONCE = 200
"""How many jobs that wait for money are tried at a time."""


def pause_job(*, job: RenderJob, reason: str = Reason.USER) -> RenderJob:
    """Stop rendering and keep the money held; running frames start anew later. Raises TransitionNotAllowed.

    An operator may also take over a job that its owner has paused.
    """
    with transaction.atomic():
        owners = RenderJob.objects.filter(pk=job.pk, status=Status.PAUSED, pause_reason=Reason.USER)
        if reason == Reason.OPERATOR and owners.update(pause_reason=reason, updated_at=timezone.now()):
            job.refresh_from_db()
        else:
            job.move_to(Status.PAUSED, pause_reason=reason)
        news.log(job, _("Task paused."))
        news.tell_status(job)
    stop_strays(job)
    return job


def resume_job(*, job: RenderJob, by_operator: bool = False) -> RenderJob:
    """Go on with a paused job, which approves test frames that wait for it; a draft is submitted.

    Raises TransitionNotAllowed; PausedByOperator, unless an operator asks; InsufficientBalance for a job that waits
    for money; and what submit raises.
    """
    if job.status == Status.DRAFT:
        return submit_job(job=job)
    if job.pause_reason != Reason.OPERATOR or not by_operator:
        require(job, "resume")
    return go_on(job)


def approve_job(*, job: RenderJob) -> RenderJob:
    """Approve the test frames: render the others. Raises TransitionNotAllowed and what holding money raises."""
    require(job, "approve")
    return go_on(job)


def go_on(job: RenderJob) -> RenderJob:
    """Queue a paused job, if the reason of its pause is still that of `job`; one paused for long holds its money
    anew.

    Raises TransitionNotAllowed and what holding money raises.
    """
    reason = job.pause_reason
    approval = {"approved_at": timezone.now()} if reason == Reason.APPROVAL else {}
    wait_for_claims(job)
    with transaction.atomic():
        locked = RenderJob.objects.select_for_update(no_key=True).get(pk=job.pk)
        if (locked.status, locked.pause_reason) != (Status.PAUSED, reason):
            raise locked.refusal()
        # Whoever paused it may not have come to that yet. Before the money, since limits are locked before wallets.
        stop_frames(job, Frame.Status.READY, running_only=True)
        if reason == Reason.BALANCE:
            require_more(locked)
        elif open_hold(locked) is None:
            cover(locked)
        job.move_to(Status.QUEUED, pause_reason=Reason.NONE, **approval)
        show_ready(job)
        if approval:
            news.log(job, _("Test frames approved."))
            release_on_commit(job)
        else:
            news.log(job, _("Task resumed."))
        news.tell_status(job)
        dispatch_on_commit(job.engine)
    return job


def cancel_job(*, job: RenderJob) -> RenderJob:
    """End a job for good: its processes stop, rendered frames are charged, the rest of the money is released.

    Raises TransitionNotAllowed.
    """
    with transaction.atomic():
        now = timezone.now()
        job.move_to(Status.CANCELLED, pause_reason=Reason.NONE, completed_at=now)
        settle(job)
        news.log(job, _("Task cancelled."))
        news.tell_status(job)
        tell_dependents(job)
    stop_strays(job)
    return job


def delete_job(*, job: RenderJob) -> None:
    """Hide a job from its owner; results stay in the drive, attempts and bills stay as evidence.

    A job that waits is cancelled first. Raises JobRunning, also for one that has just gone on.
    """
    if job.status == Status.RENDERING:
        raise JobRunning(**job.refusal().data)
    if job.status not in RenderJob.FINAL_STATUSES:
        with suppress(TransitionNotAllowed):  # it ends at this moment
            cancel_job(job=job)
    over = RenderJob.objects.filter(pk=job.pk, status__in=RenderJob.FINAL_STATUSES)
    if not over.update(deleted_at=timezone.now(), updated_at=timezone.now()):
        job.refresh_from_db()
        raise JobRunning(**job.refusal().data)


def set_priority(*, job: RenderJob, priority: int, by_operator: bool = False) -> RenderJob:
    """Change when a job that is not over is rendered, relative to others.

    What it has rendered is charged at the old price, on a bill of its own; the rest is held at the price of the new
    priority. Raises TransitionNotAllowed; PriorityTooHigh, unless an operator asks; and what `cover` raises.
    """
    with transaction.atomic():
        job = lock_for(job, "set_priority")
        if job.priority != priority:
            if not by_operator:
                require_priority(payer_of(job), priority)
            RenderJob.objects.filter(pk=job.pk).update(priority=priority, updated_at=timezone.now())
            reprice(job, priority)
            job.refresh_from_db()
            news.log(job, _("Priority: %(name)s.") % {"name": job.get_priority_display()})
            news.tell_status(job)
    return job


def reprice(job: RenderJob, priority: int) -> None:
    """From now on the job is paid by its rule, as it was when it was submitted, at another priority."""
    if job.unit_price is None or job.price_rule is None or job.base_price is None:
        return
    multiplier = job.price_rule.multiplier(priority)
    if multiplier == job.price_multiplier:
        return
    settle(job)
    job.price_multiplier = multiplier
    job.unit_price = unit_price_of(base=job.base_price, multiplier=multiplier, discount=job.price_discount)
    job.estimated_cost = (job.actual_cost or 0) + expected_cost(job, left_of(job))
    job.save(update_fields=["price_multiplier", "unit_price", "estimated_cost"])
    cover(job)


def continue_paid(*, wallet_id: UUID | None = None) -> None:
    """Go on with jobs that wait for money of this wallet, or of any wallet, as far as it reaches; oldest first.

    Of very many a random part at a time: the oldest may cost more than there is, ahead of all others.
    """
    waiting = RenderJob.objects.filter(
        pause_reason=Reason.BALANCE, hold__wallet__balance__gt=F("hold__wallet__held")
    )
    if wallet_id:
        waiting = waiting.filter(hold__wallet=wallet_id)
    chosen = list(waiting.order_by("?").values_list("pk", flat=True)[:TRIED_AT_ONCE])
    found = RenderJob.objects.filter(pk__in=chosen).select_related("user", "team")
    for job in found.order_by("submitted_at", "pk"):
        try:
            go_on(job)
        except DomainError:
            continue
