"""What may be done with a job in its present state, checked with its row locked."""

from common.errors import NotVisible
from rendering.errors import PausedByOperator
from rendering.models import RenderJob


def lock_for(job: RenderJob, action: str) -> RenderJob:
    """The job's row, locked, where `action` is possible now. Call inside a transaction.

    The lock leaves the key free, see `attempts.lock_job`; related rows are read after it. Raises
    TransitionNotAllowed; NotVisible once the job is deleted.
    """
    locked = RenderJob.objects.select_for_update(no_key=True).get(pk=job.pk)
    if locked.deleted_at is not None:
        raise NotVisible
    require(locked, action)
    return locked


def require(job: RenderJob, action: str) -> None:
    """Raises TransitionNotAllowed; PausedByOperator where an owner tries to resume what an operator paused."""
    if action in job.actions:
        return
    refusal = job.refusal()
    if action == "resume" and job.pause_reason == RenderJob.PauseReason.OPERATOR:
        raise PausedByOperator(**refusal.data)
    raise refusal
