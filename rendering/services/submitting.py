"""From draft to pending: what is known is checked, money is held."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing.services.plans import require_priority
from common.errors import DomainError, TransitionNotAllowed
from drives import permissions
from drives.permissions import Right
from rendering import messages
from rendering.models import JobFile, RenderJob
from rendering.services import news
from rendering.services.creating import find_by_path
from rendering.services.guards import lock_for, require
from rendering.services.money import cover, payer_of, require_spending
from rendering.services.plans import Plan, plan_job, scene_path_of

Status = RenderJob.Status


def submit_job(*, job: RenderJob) -> RenderJob:
    """Put a draft on its way: what is known is checked now, money is held, the rest follows in the background.

    Raises TransitionNotAllowed, NotVisible or DriveReadOnly for who may not write in the drive any more,
    SpendingNotAllowed, PriorityTooHigh, and what `plan_job` and `cover` raise; the job stays a draft then.
    """
    # Asked first, so that a job in another state is not told about its scene.
    require(job, "submit")
    permissions.require(job.user, Right.WRITE, job.drive)
    if job.scene_file_id is None and (scene := find_by_path(job.drive, job.scene_path)):
        RenderJob.objects.filter(pk=job.pk).update(scene_file=scene, scene_path=scene_path_of(scene))
        job.refresh_from_db()
    try:
        while not start(job):
            job.refresh_from_db()
    except TransitionNotAllowed:
        raise
    except DomainError as error:
        note_failure(job, error)
        raise
    return job


def start(job: RenderJob) -> bool:
    """Plan a draft and put it on its way; False where it was changed meanwhile: plan and price are not its own then."""
    require_spending(job.user, payer_of(job))
    require_priority(payer_of(job), job.priority)
    plan = plan_job(job)
    with transaction.atomic():
        if lock_for(job, "submit").updated_at != job.updated_at:
            return False
        cleared: dict[str, Any] = {"failure_code": "", "failure_data": {}, "error_message": ""}
        job.move_to(Status.PENDING, submitted_at=timezone.now(), **cleared)
        if plan is not None:
            fix(job, plan)
            cover(job)
        news.log(job, _("Task submitted."))
        news.tell_status(job)
        messages.ask_advance(job.pk)
    return True


def note_failure(job: RenderJob, error: DomainError) -> None:
    """Keep on a draft why it was refused."""
    RenderJob.objects.filter(pk=job.pk, status=Status.DRAFT).update(
        failure_code=error.code, failure_data=error.data, error_message=str(error), updated_at=timezone.now()
    )
    job.refresh_from_db()


def fix(job: RenderJob, plan: Plan) -> None:
    """Fix what will be rendered and at which price, for which money is to be held in the same transaction."""
    price = plan.quote.price
    snapshot: dict[str, Any] = {
        "price_rule": price.rule,
        "price_version": price.rule.version,
        "price_unit": price.rule.unit,
        "base_price": price.rule.price,
        "price_multiplier": price.multiplier,
        "price_discount": price.discount,
        "unit_price": price.unit_price,
    }
    JobFile.objects.filter(job=job).delete()
    JobFile.objects.bulk_create(
        [
            JobFile(job=job, path=path, blob=blob, is_scene=path == job.scene_path)
            for path, blob in plan.resolution.files.items()
        ],
        batch_size=2000,
    )
    width, height = picture_size(job, plan.report.data)
    RenderJob.objects.filter(pk=job.pk).update(
        **snapshot,
        estimated_cost=plan.quote.cost,
        frame_range=plan.frame_range,
        total_frames=plan.quote.frames,
        engine_version=plan.version,
        asset_paths=plan.resolution.remap,
        width=width,
        height=height,
    )
    job.refresh_from_db()


def picture_size(job: RenderJob, scene: dict[str, Any]) -> tuple[int | None, int | None]:
    """Pixels that were asked for or that the scene says; one side alone keeps the scene's proportion."""
    width, height = scene.get("width"), scene.get("height")
    if not width or not height:
        return job.width, job.height
    if job.width and not job.height:
        return job.width, max(1, height * job.width // width)
    if job.height and not job.width:
        return max(1, width * job.height // height), job.height
    return job.width or width, job.height or height
