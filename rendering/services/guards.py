"""What may be done with a job now, asked with its row locked."""

from common.errors import NotVisible
from rendering.errors import PausedByOperator
from rendering.models import RenderJob


def lock_for(job: RenderJob, action: str) -> RenderJob:
    """The job's row as it is, locked, where `action` goes now. Call inside a transaction.

    The lock leaves the key free, see `attempts.lock_job`; what the row points to is read after it.
    Raises TransitionNotAllowed; NotVisible once it is deleted.
    """
    locked = RenderJob.objects.select_for_update(no_key=True).get(pk=job.pk)
    if locked.deleted_at is not None:
        raise NotVisible
    require(locked, action)
    return locked


def require(job: RenderJob, action: str) -> None:
    """Raises TransitionNotAllowed, and PausedByOperator where an owner would resume what an operator paused."""
    if action in job.actions:
        return
    refusal = job.refusal()
    if action == "resume" and job.pause_reason == RenderJob.PauseReason.OPERATOR:
        raise PausedByOperator(**refusal.data)
    raise refusal
