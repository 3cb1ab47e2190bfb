"""The end of a job: what it cost, what is released, who hears of it. And the pause after its test frames."""

from decimal import Decimal

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Notification
from accounts.services.notifications import notify
from billing.models import Bill, Hold
from billing.services.bills import Charge
from billing.services.holds import settle_hold
from rendering.models import Frame, JobLog, RenderJob
from rendering.services import news
from rendering.services.dependencies import tell_dependents
from rendering.services.frames import release_dependents_on_commit
from rendering.services.results import ask_drawing


def settle(job: RenderJob) -> None:
    """Charge the frames rendered since the last settlement, release the rest. Call with the job's row locked, after
    its last change.

    Lost attempts and the farm's faults are never charged, failed frames neither. A job that goes on after it was over
    has a new hold, and gets a further bill for what it renders then.
    """
    if job.unit_price is None:  # never submitted
        return
    count = job.done_frames - job.charged_frames
    bill = charge_hold(job, count)
    cost = bill.amount if bill else Decimal(0)
    RenderJob.objects.filter(pk=job.pk).update(
        actual_cost=Coalesce(F("actual_cost"), Decimal(0)) + cost, charged_frames=F("done_frames")
    )
    job.refresh_from_db(fields=["actual_cost", "charged_frames"])
    if bill:
        text = _("Charged %(amount)s CNY for %(count)s frames.")
        news.log(job, text % {"amount": cost, "count": count})


def open_hold(job: RenderJob) -> Hold | None:
    """The job's hold, if it is open. The job's row is locked."""
    return Hold.objects.filter(pk=job.hold_id, status=Hold.Status.OPEN).first() if job.hold_id else None


def charge_hold(job: RenderJob, count: int) -> Bill | None:
    """Settle the job's hold for `count` frames. What costs nothing holds nothing, and has no bill."""
    hold = open_hold(job)
    if hold is None or job.unit_price is None:
        return None
    description = _("Render %(name)s") % {"name": job.task_name}
    charge = Charge(description, Decimal(count), job.unit_price)
    return settle_hold(hold=hold, charges=[charge], description=description)


def close_if_over(job: RenderJob) -> bool:
    """Complete or fail a rendering job whose last frame is over. Call with the job's row locked."""
    if job.done_frames + job.failed_frames < job.total_frames:
        pause_for_approval(job)
        return False
    failed = job.failed_frames > 0
    if job.status == RenderJob.Status.QUEUED:
        # Whoever claimed its last frame died before it could say that the job renders.
        job.move_to(RenderJob.Status.RENDERING, started_at=job.started_at or timezone.now())
    # Sheet and film are drawn anew: a job that goes on after its end has more to show.
    changes = {"completed_at": timezone.now(), "contact_sheet": None, "preview_video": None}
    job.move_to(RenderJob.Status.FAILED if failed else RenderJob.Status.COMPLETED, **changes)
    settle(job)
    if failed:
        text = _("Task ended: %(done)s frames rendered, %(failed)s failed.")
        news.log(job, text % {"done": job.done_frames, "failed": job.failed_frames}, level=JobLog.Level.ERROR)
        tell_dependents(job)
    else:
        news.log(job, _("Task completed."))
        release_dependents_on_commit(job.pk)
    news.tell_end(job)
    ask_drawing(job.pk)
    return True


def pause_for_approval(job: RenderJob) -> None:
    """Once the test frames are over, the rest waits for its owner's word. Call with the job's row locked."""
    if not job.has_test_frames or job.approved_at is not None:
        return
    tests = Frame.objects.filter(job=job, number__in=job.test_numbers)
    if tests.filter(status__in=Frame.OPEN_STATUSES).exists():
        return
    job.move_to(RenderJob.Status.PAUSED, pause_reason=RenderJob.PauseReason.APPROVAL)
    news.log(job, _("The test frames are over; the others wait for approval."))
    news.tell_status(job)
    notify(
        user=job.user,
        title=gettext_noop("Test frames of %(task)s"),
        message=gettext_noop(
            "The test frames are over. Look at them, then approve the others or cancel the task."
        ),
        level=Notification.Level.INFO,
        params={"task": job.task_name},
        action_url=f"/tasks/{job.pk}",
    )


def close_overdue() -> None:
    """Pause jobs whose test frames are over and of which nobody said so."""
    on_trial = RenderJob.objects.filter(
        status__in=RenderJob.CLAIMABLE_STATUSES, has_test_frames=True, approved_at__isnull=True
    )
    for job_id in on_trial.order_by("pk").values_list("pk", flat=True)[:200]:
        with transaction.atomic():
            job = RenderJob.objects.select_for_update(no_key=True).get(pk=job_id)
            if (
                job.status in RenderJob.CLAIMABLE_STATUSES
                and job.done_frames + job.failed_frames < job.total_frames
            ):
                pause_for_approval(job)
