"""The end of a job: what it cost, what is released, who hears of it."""

from decimal import Decimal

from django.utils import timezone
from django.utils.translation import gettext as _

from billing.services.ledger import Charge, settle_hold
from rendering.models import JobLog, RenderJob
from rendering.services import news


def settle(job: RenderJob) -> None:
    """Charge the rendered frames, release the rest. Call with the job's row locked, after its last change.

    Lost attempts and the farm's faults are never charged, failed frames neither.
    """
    if job.unit_price is None:  # never submitted
        return
    description = _("Render %(name)s") % {"name": job.task_name}
    charge = Charge(description, Decimal(job.done_frames), job.unit_price)
    # What costs nothing holds nothing.
    bill = settle_hold(hold=job.hold, charges=[charge], description=description) if job.hold else None
    cost = bill.amount if bill else Decimal(0)
    RenderJob.objects.filter(pk=job.pk).update(actual_cost=cost)
    job.actual_cost = cost
    if bill:
        news.log(
            job,
            _("Charged %(amount)s CNY for %(count)s frames.") % {"amount": cost, "count": job.done_frames},
        )


def close_if_over(job: RenderJob) -> bool:
    """Complete or fail a rendering job whose last frame is over. Call with the job's row locked."""
    if job.done_frames + job.failed_frames < job.total_frames:
        return False
    failed = job.failed_frames > 0
    changes = {"completed_at": timezone.now()}
    job.move_to(RenderJob.Status.FAILED if failed else RenderJob.Status.COMPLETED, **changes)
    settle(job)
    if failed:
        text = _("Task ended: %(done)s frames rendered, %(failed)s failed.")
        news.log(job, text % {"done": job.done_frames, "failed": job.failed_frames}, level=JobLog.Level.ERROR)
    else:
        news.log(job, _("Task completed."))
    news.tell_end(job)
    return True
