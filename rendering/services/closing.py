"""The end of a job: its money is settled and people are told. Also the pause after its test frames."""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import Notification
from accounts.services.notifications import notify
from rendering.models import Frame, JobLog, RenderJob
from rendering.services import news
from rendering.services.dependencies import tell_dependents
from rendering.services.frames import release_dependents_on_commit
from rendering.services.money import pause_if_uncovered, settle
from rendering.services.results import ask_drawing


def close_if_over(job: RenderJob) -> bool:
    """Complete or fail a rendering job whose last frame is over. Call with the job's row locked."""
    if job.done_frames + job.failed_frames < job.total_frames:
        pause_for_approval(job)
        pause_if_uncovered(job)
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
    """Once the test frames are done, the rest waits for the owner's approval. Call with the job's row locked."""
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
    """Pause jobs whose test frames are done although nobody has done so yet."""
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
