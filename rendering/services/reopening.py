"""More to render of a job that was submitted: what failed once more, and further frames."""

from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import ngettext

from common.errors import NotVisible
from drives.permissions import Right, require
from rendering import frame_range
from rendering.errors import NothingToRender
from rendering.models import Frame, NodeBlock, RenderJob, RenderStep
from rendering.services import news
from rendering.services.dispatch import dispatch_on_commit
from rendering.services.frames import make_frames, make_ready, release_on_commit
from rendering.services.guards import lock_for
from rendering.services.limits import limits_of
from rendering.services.money import cover, expected_cost
from rendering.services.plans import bounded
from rendering.services.versions import check_nodes, version_for

Status = RenderJob.Status


def retry_frames(*, job: RenderJob, frames: str = "", step: str = "") -> RenderJob:
    """Try frames again that failed for good: all, or those of a range and a step. They start afresh, on any node.

    A job that had failed is queued again; where the price of these frames is held no more, it is held anew.
    Raises TransitionNotAllowed, NotVisible (step), FrameRangeInvalid, FrameRangeTooLong, NothingToRender,
    EngineUnavailable, NoNodeFits, DriveReadOnly, and what `cover` raises.
    """
    with transaction.atomic():
        job = lock_for(job, "retry")
        failed = Frame.objects.filter(job=job, status=Frame.Status.FAILED)
        if step:
            failed = failed.filter(step=step_of(job, step))
        if frames:
            failed = failed.filter(number__in=frame_range.parse(frames))
        ids = list(failed.values_list("pk", flat=True))
        if not ids:
            raise NothingToRender
        RenderJob.objects.filter(pk=job.pk).update(failed_frames=F("failed_frames") - len(ids))
        NodeBlock.objects.filter(job=job).delete()
        fresh: dict[str, Any] = {
            "failures": 0,
            "losses": 0,
            "memory_size": 0,
            "failure_code": "",
            "due_at": None,
            "is_failure_charged": False,
        }
        make_ready(job, Frame.objects.filter(pk__in=ids), **fresh)
        job.refresh_from_db(fields=["failed_frames"])
        reopen(job, is_on_trial=job.pause_reason == RenderJob.PauseReason.APPROVAL)
        cover(job)
        news.log(
            job,
            ngettext(
                "%(count)s failed frame is tried again.", "%(count)s failed frames are tried again.", len(ids)
            )
            % {"count": len(ids)},
        )
    return job


def add_frames(*, job: RenderJob, frames: str, step: str = "") -> RenderJob:
    """Render further frames, of all steps or of one, at the price of the others; those that are there stay as they are.

    Raises TransitionNotAllowed, NotVisible (step), FrameRangeInvalid, FrameRangeTooLong, NothingToRender,
    EngineUnavailable, NoNodeFits, DriveReadOnly, and what `cover` raises.
    """
    numbers = frame_range.parse(frames)
    with transaction.atomic():
        job = lock_for(job, "add_frames")
        steps = [step_of(job, step)] if step else list(job.steps.order_by("pk"))
        there = set(Frame.objects.filter(step__in=steps, number__in=numbers).values_list("step_id", "number"))
        wanted = [(each, number) for each in steps for number in numbers if (each.pk, number) not in there]
        count = len(wanted)
        if not count:
            raise NothingToRender
        bounded(job.total_frames + count)
        known = frame_range.joined(job.frame_range, [number for _step, number in wanted])
        RenderJob.objects.filter(pk=job.pk).update(
            total_frames=F("total_frames") + count,
            estimated_cost=F("estimated_cost") + expected_cost(job, count),
            frame_range=known,
        )
        job.refresh_from_db(fields=["total_frames", "estimated_cost", "frame_range"])
        make_frames(job, wanted, Frame.Status.WAITING)
        release_on_commit(job)
        reopen(job)
        cover(job)
        news.log(
            job,
            ngettext(
                "%(count)s further frame was asked for.", "%(count)s further frames were asked for.", count
            )
            % {"count": count},
        )
    return job


def step_of(job: RenderJob, name: str) -> RenderStep:
    found = job.steps.filter(name=name).first()
    if found is None:
        raise NotVisible
    return found


def reopen(job: RenderJob, *, is_on_trial: bool = False) -> None:
    """Queue a job that was over, or whose test frames are rendered once more. Its row is locked.

    Raises NotVisible or DriveReadOnly for an owner who may not write in the drive any more.
    """
    require(job.user, Right.WRITE, job.drive)
    if job.status in RenderJob.FINAL_STATUSES or is_on_trial:
        check_nodes(job, version_for(job))
        cleared: dict[str, Any] = {"failure_code": "", "failure_data": {}, "error_message": ""}
        # A licence may have been limited since, which touches no job that is over.
        limits = limits_of(job)
        job.move_to(
            Status.QUEUED,
            pause_reason=RenderJob.PauseReason.NONE,
            completed_at=None,
            share=limits.share,
            limits=[limit.pk for limit in limits.all],
            **cleared,
        )
    else:
        RenderJob.objects.filter(pk=job.pk).update(updated_at=timezone.now())
        job.refresh_from_db()
    news.tell_status(job)
    dispatch_on_commit(job.engine)
