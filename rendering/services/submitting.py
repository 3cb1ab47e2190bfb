"""From draft to pending: what is known is checked, money is held."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing.services.holds import extend_hold, place_hold
from billing.services.ledger import up_to_fen, wallet_of
from common.errors import DomainError, TransitionNotAllowed
from common.ids import new_id
from drives import permissions
from drives.permissions import Right
from rendering import messages
from rendering.models import JobFile, RenderJob
from rendering.services import news
from rendering.services.closing import open_hold
from rendering.services.creating import find_by_path
from rendering.services.guards import require
from rendering.services.plans import Plan, plan_job, scene_path_of

Status = RenderJob.Status


def submit_job(*, job: RenderJob) -> RenderJob:
    """Put a draft on its way: what is known is checked now, money is held, the rest follows in the background.

    Raises TransitionNotAllowed, NotVisible or DriveReadOnly for who may not write in the drive any more, and what
    `plan_job` and `place_hold` raise; the job stays a draft then.
    """
    # Asked first, so that a job in another state is not told about its scene.
    require(job, "submit")
    permissions.require(job.user, Right.WRITE, job.drive)
    if job.scene_file_id is None and (scene := find_by_path(job.drive, job.scene_path)):
        RenderJob.objects.filter(pk=job.pk).update(scene_file=scene, scene_path=scene_path_of(scene))
        job.refresh_from_db()
    try:
        plan = plan_job(job)
        with transaction.atomic():
            cleared: dict[str, Any] = {"failure_code": "", "failure_data": {}, "error_message": ""}
            job.move_to(Status.PENDING, submitted_at=timezone.now(), **cleared)
            if plan is not None:
                secure(job, plan)
            news.log(job, _("Task submitted."))
            news.tell_status(job)
            messages.ask_advance(job.pk)
    except TransitionNotAllowed:
        raise
    except DomainError as error:
        note_failure(job, error)
        raise
    return job


def note_failure(job: RenderJob, error: DomainError) -> None:
    """Keep on a draft why it was refused."""
    RenderJob.objects.filter(pk=job.pk, status=Status.DRAFT).update(
        failure_code=error.code, failure_data=error.data, error_message=str(error), updated_at=timezone.now()
    )
    job.refresh_from_db()


def secure(job: RenderJob, plan: Plan) -> None:
    """Fix what will be rendered and at which price, and hold the money. Call in the submit's transaction."""
    job.unit_price, job.total_frames = plan.quote.rule.price, plan.quote.frames
    cover(job)
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
        price_rule=plan.quote.rule,
        unit_price=job.unit_price,
        estimated_cost=plan.quote.cost,
        frame_range=plan.frame_range,
        total_frames=job.total_frames,
        engine_version=plan.version,
        asset_paths=plan.resolution.remap,
        width=width,
        height=height,
    )
    job.refresh_from_db()


def cover(job: RenderJob) -> None:
    """Hold the price of every frame that may still be charged, as far as the job does not hold it already.

    What had failed before an earlier settlement is held no more, and counts anew once it is retried. The job's row is
    locked and was read since its last change. Raises InsufficientBalance.
    """
    if job.unit_price is None:  # never submitted
        return
    hold = open_hold(job)
    held = int(hold.amount // job.unit_price) if hold else 0
    count = job.total_frames - job.failed_frames - job.charged_frames - held
    amount = up_to_fen(count * job.unit_price)
    description = _("Render %(name)s: %(count)s frames") % {"name": job.task_name, "count": count}
    key = f"job:{new_id()}"
    if hold and amount > 0:
        extend_hold(hold=hold, amount=amount, key=key, description=description)
    elif not hold:
        job.hold = None
        if amount:
            job.hold = place_hold(
                wallet=wallet_of(job.user),
                amount=amount,
                key=key,
                task_id=job.pk,
                description=description,
                spender=job.user,
                engine=job.engine,
            )
        RenderJob.objects.filter(pk=job.pk).update(hold=job.hold)


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
