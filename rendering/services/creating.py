"""New jobs: drafts from what a client asks for, changes of drafts, and copies of earlier jobs."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing.services.plans import require_priority
from common.errors import NotVisible
from drives.errors import BadName
from drives.models import Drive, File
from drives.paths import clean_path
from drives.permissions import Right, require
from drives.services.drives import default_drive
from drives.services.places import file_at
from rendering import frame_range
from rendering.engines import engine_for, engine_of_file
from rendering.errors import EngineUnavailable
from rendering.models import RenderJob
from rendering.selectors import offered_engines
from rendering.services import news
from rendering.services.dependencies import Wait, add_dependencies
from rendering.services.guards import lock_for
from rendering.services.plans import scene_path_of
from rendering.services.reports import ensure_report


@dataclass(frozen=True)
class NewJob:
    """What a client asks for.

    `frames` is a range expression; without one the scene's own range applies. Every camera with every layer is a step
    that renders all frames; without any there is one step, as the scene has it. Without a `chunk_size` the farm
    decides how many frames go into an attempt.
    """

    task_name: str
    drive_id: UUID | None = None
    scene_file_id: UUID | None = None
    scene_file: str = ""
    engine: str = ""
    engine_version: str = ""
    engine_options: dict[str, Any] = field(default_factory=dict)
    renderer: str = ""
    maya_version: str = ""
    priority: int = RenderJob.Priority.NORMAL
    frames: str = ""
    start_frame: int | None = None
    end_frame: int | None = None
    frame_step: int = 1
    chunk_size: int | None = None
    cameras: Sequence[str] = ()
    layers: Sequence[str] = ()
    min_cores: int = 0
    min_memory_size: int = 0
    node_tags: Sequence[str] = ()
    test_frames: bool = False
    width: int | None = None
    height: int | None = None
    output_path: str = ""
    output_format: str = ""
    allow_missing: bool = False
    depends_on: Sequence[Wait] = ()


KEPT = (
    "task_name", "drive_id", "scene_file_id", "engine", "engine_version", "engine_options", "renderer", "maya_version",
    "priority", "chunk_size", "cameras", "layers", "min_cores", "min_memory_size", "node_tags", "width", "height",
    "output_path", "output_format", "allow_missing",
)  # fmt: skip
"""Fields that a job and NewJob have under the same name."""
RANGE = ("frames", "start_frame", "end_frame", "frame_step")


def create_job(*, user: User, new: NewJob) -> RenderJob:
    """Create a draft and start the pre-flight of its scene.

    A path that leads to no file is kept: the scene may still be on its way, and submit requires it. Results land in
    the drive of the scene, so whoever renders must be able to write there. Raises NotVisible (drive, scene id, tasks
    to wait for), DriveReadOnly, FrameRangeInvalid, FrameRangeTooLong, BadName (output path), PriorityTooHigh, and
    EngineUnavailable for an unknown engine.
    """
    columns = columns_of(user, new)
    with transaction.atomic():
        job = RenderJob.objects.create(user=user, **columns)
        if new.depends_on:
            add_dependencies(job, new.depends_on, user)
        news.log(job, _("Task created."))
        read_ahead(job)
    return job


def columns_of(user: User, new: NewJob) -> dict[str, Any]:
    """The columns of a draft that the client decides. Raises what `create_job` raises."""
    if new.engine and engine_for(new.engine) is None:
        raise EngineUnavailable(field="engine", available=offered_engines())
    drive, scene = find_scene(user, new)
    require(user, Right.WRITE, drive)
    require_priority(drive.team or user, new.priority)
    expression = new.frames
    if not expression and (new.start_frame is not None or new.end_frame is not None):
        expression = frame_range.expression(new.start_frame, new.end_frame, new.frame_step)
    if expression:
        frame_range.parse(expression, field="frames" if new.frames else "end_frame")
    if ".." in new.output_path.replace("\\", "/").split("/"):
        raise BadName(field="output_path")
    return {
        "drive": drive,
        "team_id": drive.team_id,
        "task_name": new.task_name,
        "scene_file": scene,
        "scene_path": scene_path_of(scene) if scene else new.scene_file,
        "engine": new.engine or engine_of_file(scene.name if scene else new.scene_file),
        "engine_version": new.engine_version,
        "engine_options": new.engine_options,
        "renderer": new.renderer,
        "maya_version": new.maya_version,
        "priority": new.priority,
        "frame_range": expression,
        "chunk_size": new.chunk_size,
        "cameras": unique(new.cameras),
        "layers": unique(new.layers),
        "min_cores": new.min_cores,
        "min_memory_size": new.min_memory_size,
        "node_tags": unique(new.node_tags),
        "has_test_frames": new.test_frames,
        "width": new.width,
        "height": new.height,
        "output_path": new.output_path,
        "output_format": new.output_format,
        "allow_missing": new.allow_missing,
    }


def read_ahead(job: RenderJob) -> None:
    """Start the pre-flight of a draft's scene, where there is one."""
    if job.scene_file is not None and engine_for(job.engine) is not None:
        ensure_report(blob=job.scene_file.blob, engine=job.engine)


def unique(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def clone_job(*, job: RenderJob, user: User, changes: dict[str, Any]) -> RenderJob:
    """A new draft that asks for the same as the job did, except for `changes` (fields of NewJob).

    With another scene or engine the version that rendered the original does not apply. Raises what `create_job`
    raises.
    """
    with transaction.atomic():
        clone = create_job(user=user, new=asked_of(job, changes))
        if clone.scene_file_id == job.scene_file_id:
            RenderJob.objects.filter(pk=clone.pk).update(asset_choices=job.asset_choices)
            clone.refresh_from_db(fields=["asset_choices"])
    return clone


def change_draft(*, job: RenderJob, changes: dict[str, Any]) -> RenderJob:
    """Change what a draft asks for (fields of NewJob).

    The reason of an earlier refusal is dropped; with another scene also the choices for files of the old one. Raises
    TransitionNotAllowed unless it is a draft, and what `create_job` raises.
    """
    cleared: dict[str, Any] = {"failure_code": "", "failure_data": {}, "error_message": ""}
    with transaction.atomic():
        # Read under the lock: what somebody else changes meanwhile stays.
        locked = lock_for(job, "change")
        columns = columns_of(job.user, asked_of(locked, changes))
        if columns["scene_file"] != locked.scene_file:
            cleared["asset_choices"] = {}
        RenderJob.objects.filter(pk=job.pk).update(**columns, **cleared, updated_at=timezone.now())
        job.refresh_from_db()
        read_ahead(job)
    return job


def asked_of(job: RenderJob, changes: dict[str, Any]) -> NewJob:
    """What the job asks for, with `changes`."""
    kept = {name: getattr(job, name) for name in KEPT}
    kept |= {"frames": job.frame_range, "test_frames": job.has_test_frames}
    if job.scene_file_id is None:
        kept["scene_file"] = job.scene_path
    if "drive_id" in changes:
        kept |= {"scene_file_id": None, "scene_file": job.scene_path}
    if changes.keys() & {"scene_file_id", "scene_file"}:
        kept |= {"scene_file_id": None, "engine": ""}
        if "scene_file_id" in changes:
            kept["drive_id"] = None
    if changes.keys() & {"scene_file_id", "scene_file", "engine", "maya_version"}:
        kept["engine_version"] = ""
    if changes.keys() & set(RANGE):
        kept["frames"] = ""
    return replace(NewJob(**kept), **changes)


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
    """The file at a path as clients write it, or None. The desktop client sends local paths, which match no file."""
    if not path or "\\" in path:
        return None
    return file_at(drive, clean_path(path, field="scene_file"))
