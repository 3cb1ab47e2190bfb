"""A job's life at its owner's hand: create, submit, pause, resume, cancel, delete."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing.services.ledger import place_hold, up_to_fen
from common.errors import DomainError, NotVisible, TransitionNotAllowed
from common.ids import new_id
from drives.errors import BadName
from drives.models import Drive, File
from drives.paths import clean_path
from drives.permissions import Right, require
from drives.services.drives import default_drive
from drives.services.places import file_at
from rendering import frame_range, messages
from rendering.engines import engine_for, engine_of_file
from rendering.errors import JobRunning
from rendering.models import JobFile, RenderJob
from rendering.services import news
from rendering.services.closing import settle
from rendering.services.dispatch import dispatch_on_commit
from rendering.services.frames import show_ready, stop_strays
from rendering.services.plans import Plan, plan_job, scene_path_of
from rendering.services.reports import ensure_report

Status = RenderJob.Status


@dataclass(frozen=True)
class NewJob:
    """What a client asks for. `frames` is a range expression; without one the scene's own range counts."""

    task_name: str
    drive_id: UUID | None = None
    scene_file_id: UUID | None = None
    scene_file: str = ""
    engine: str = ""
    engine_options: dict[str, Any] = field(default_factory=dict)
    renderer: str = ""
    maya_version: str = ""
    priority: int = RenderJob.Priority.NORMAL
    frames: str = ""
    start_frame: int | None = None
    end_frame: int | None = None
    frame_step: int = 1
    width: int | None = None
    height: int | None = None
    output_path: str = ""
    output_format: str = ""
    allow_missing: bool = False


def create_job(*, user: User, new: NewJob) -> RenderJob:
    """Create a draft and start the pre-flight of its scene.

    A path that leads to no file is kept: the scene may still be on its way; submit asks for it.
    Results land in the drive of the scene: whoever renders must be able to write there.
    Raises NotVisible (drive, scene id), DriveReadOnly, FrameRangeInvalid, FrameRangeTooLong, BadName (output path).
    """
    drive, scene = find_scene(user, new)
    require(user, Right.WRITE, drive)
    expression = new.frames
    if not expression and (new.start_frame is not None or new.end_frame is not None):
        expression = frame_range.expression(new.start_frame, new.end_frame, new.frame_step)
    if expression:
        frame_range.parse(expression, field="frames" if new.frames else "end_frame")
    if ".." in new.output_path.replace("\\", "/").split("/"):
        raise BadName(field="output_path")
    name = scene.name if scene else new.scene_file
    engine = new.engine or engine_of_file(name)
    with transaction.atomic():
        job = RenderJob.objects.create(
            user=user,
            drive=drive,
            team_id=drive.team_id,
            task_name=new.task_name,
            scene_file=scene,
            scene_path=scene_path_of(scene) if scene else new.scene_file,
            engine=engine,
            engine_options=new.engine_options,
            renderer=new.renderer,
            maya_version=new.maya_version,
            priority=new.priority,
            frame_range=expression,
            width=new.width,
            height=new.height,
            output_path=new.output_path,
            output_format=new.output_format,
            allow_missing=new.allow_missing,
        )
        news.log(job, _("Task created."))
        if scene is not None and engine_for(engine) is not None:
            ensure_report(blob=scene.blob, engine=engine)
    return job


def find_scene(user: User, new: NewJob) -> tuple[Drive, File | None]:
    if new.scene_file_id is not None:
        scene = (
            File.objects.visible_to(user)
            .select_related("drive", "folder", "blob")
            .filter(pk=new.scene_file_id)
            .first()
        )
        if scene is None or new.drive_id not in (None, scene.drive_id):
            raise NotVisible
        return scene.drive, scene
    drive = (
        Drive.objects.visible_to(user).filter(pk=new.drive_id).first()
        if new.drive_id
        else default_drive(user=user)
    )
    if drive is None:
        raise NotVisible
    return drive, find_by_path(drive, new.scene_file)


def find_by_path(drive: Drive, path: str) -> File | None:
    """The file at a path as clients write it; the desktop client sends local paths, which lead nowhere."""
    if not path or "\\" in path:
        return None
    return file_at(drive, clean_path(path, field="scene_file"))


def submit_job(*, job: RenderJob) -> RenderJob:
    """Put a draft on its way: what is known is checked now, money is held, the rest follows in the background.

    Raises TransitionNotAllowed, and what `plan_job` and `place_hold` raise; the job stays a draft then.
    """
    if job.status != Status.DRAFT:
        # Asked first, so that a job in another state is not told about its scene.
        raise job.refusal()
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
    amount = up_to_fen(plan.cost)
    hold = None
    if amount:
        description = _("Render %(name)s: %(count)s frames") % {
            "name": job.task_name,
            "count": len(plan.frames),
        }
        hold = place_hold(
            user=job.user, amount=amount, key=f"job:{new_id()}", task_id=job.pk, description=description
        )
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
        hold=hold,
        price_rule=plan.rule,
        unit_price=plan.rule.price,
        estimated_cost=plan.cost,
        frame_range=plan.frame_range,
        total_frames=len(plan.frames),
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


def pause_job(*, job: RenderJob, reason: str = RenderJob.PauseReason.USER) -> RenderJob:
    """Stop rendering, keep the money held; frames under way start anew later. Raises TransitionNotAllowed."""
    with transaction.atomic():
        job.move_to(Status.PAUSED, pause_reason=reason)
        news.log(job, _("Task paused."))
        news.tell_status(job)
    stop_strays(job)
    return job


def resume_job(*, job: RenderJob) -> RenderJob:
    """Go on with a paused job; a draft is submitted. Raises TransitionNotAllowed, and what submit raises."""
    if job.status == Status.DRAFT:
        return submit_job(job=job)
    with transaction.atomic():
        if job.status != Status.PAUSED:
            # Pending may become queued too, but by its pre-flight, not by the owner.
            raise job.refusal()
        job.move_to(Status.QUEUED, pause_reason=RenderJob.PauseReason.NONE)
        show_ready(job)
        news.log(job, _("Task resumed."))
        news.tell_status(job)
        dispatch_on_commit(job.engine)
    return job


def cancel_job(*, job: RenderJob) -> RenderJob:
    """End a job for good: processes stop, rendered frames are charged, the rest of the money is released.

    Raises TransitionNotAllowed.
    """
    with transaction.atomic():
        now = timezone.now()
        job.move_to(Status.CANCELLED, pause_reason=RenderJob.PauseReason.NONE, completed_at=now)
        settle(job)
        news.log(job, _("Task cancelled."))
        news.tell_status(job)
    stop_strays(job)
    return job


def delete_job(*, job: RenderJob) -> None:
    """Hide a job from its owner; results stay in the drive, attempts and bills stay as evidence.

    One that waits is cancelled first. Raises JobRunning.
    """
    if job.status == Status.RENDERING:
        raise JobRunning
    if job.status not in RenderJob.FINAL_STATUSES:
        cancel_job(job=job)
    RenderJob.objects.filter(pk=job.pk).update(deleted_at=timezone.now(), updated_at=timezone.now())
