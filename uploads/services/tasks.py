"""Upload tasks: begin, pause, resume, cancel, expire."""

from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.errors import NotVisible, TransitionNotAllowed
from common.ids import new_id
from common.models import copy_in
from common.postgresql.arrays import unnested
from drives.errors import NameTaken
from drives.models import Drive, Folder
from drives.permissions import Right, require
from drives.services import drives
from drives.services.places import OnClash, ensure_folders
from uploads.errors import UploadClosed, UploadPaused
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.services.clashes import settle_clashes
from uploads.services.leftovers import SentSoFar, drop_parts
from uploads.services.manifests import ManifestFile, check_manifest, clean_files
from uploads.services.news import announce


def create_task(
    *,
    user: User,
    drive_id: UUID | None,
    task_name: str,
    files: list[ManifestFile],
    total_files: int | None = None,
    total_size: int | None = None,
    priority: int = 5,
    task_description: str = "",
    client_info: dict[str, Any] | None = None,
    client_key: str = "",
    on_clash: OnClash = OnClash.REPLACE,
) -> UploadTask:
    """Take a manifest: task, files, missing folders and the quota, in one transaction and a handful of statements.

    `on_clash` says what becomes of files whose names are taken at this moment; what comes later is replaced.
    Raises NotVisible (drive), ManifestInvalid, BadName, FileTypeNotAllowed, NameTaken, QuotaExceeded, DriveReadOnly.
    """
    drive = (
        Drive.objects.visible_to(user).filter(pk=drive_id).first()
        if drive_id
        else drives.default_drive(user=user)
    )
    if drive is None:
        raise NotVisible
    require(user, Right.WRITE, drive)
    size = sum(file.file_size for file in files)
    check_manifest(files, total_files, total_size, size)
    files = clean_files(files)
    with transaction.atomic():
        # The drive's row is held from here on, as by everything that changes its tree: manifests take turns.
        drives.reserve(drive=drive, size=size)
        task = UploadTask.objects.create(
            user=user,
            drive=drive,
            task_name=task_name,
            task_description=task_description,
            priority=priority,
            total_files=len(files),
            total_size=size,
            client_info=client_info or {},
            client_key=client_key,
            expires_at=timezone.now() + settings.UPLOAD_LIFETIME,
        )
        folders = ensure_folders(drive=drive, paths={file.target_folder_path for file in files})
        homes = {path: folder.pk if folder else None for path, folder in folders.items()}
        placed = settle_clashes(drive, files, homes, on_clash)
        require_no_folders(drive, [file.virtual_path for file in placed])
        rows = (
            (new_id(), position, homes[file.target_folder_path], *file)
            for position, file in enumerate(placed)
        )
        copy_in(TaskFile, ["id", "position", "folder_id", *ManifestFile._fields], rows, task_id=task.pk)
    return task


def require_no_folders(drive: Drive, places: list[str]) -> None:
    """Raises NameTaken where a folder, there before or made for another file of the manifest, has a file's place."""
    if Folder.objects.filter(drive=drive, path__in=unnested(places, "text")).exists():
        raise NameTaken


def require_open(task: UploadTask) -> None:
    """Raises UploadClosed: cancelled, expired and finished tasks refuse bytes; DriveReadOnly: a deleted drive does."""
    if task.status not in UploadTask.OPEN_STATUSES:
        raise UploadClosed(status=task.status)
    require(task.user, Right.WRITE, task.drive)


def require_active(task: UploadTask) -> None:
    """The same; and raises UploadPaused."""
    require_open(task)
    if task.paused_at is not None:
        raise UploadPaused


def lock_task(task_id: UUID) -> UploadTask:
    """The task's row, locked: files of one task land one after the other. Raises NotVisible where it is gone."""
    rows = UploadTask.objects.select_for_update(of=("self",), no_key=True).select_related("drive", "user")
    task = rows.filter(pk=task_id).first()
    if task is None:
        raise NotVisible
    return task


def lock_open_task(task_id: UUID) -> UploadTask:
    """The same, where the task takes bytes. Raises NotVisible, UploadClosed, DriveReadOnly."""
    task = lock_task(task_id)
    require_open(task)
    return task


def reload(task_file: TaskFile) -> TaskFile:
    """The row as it now stands. Raises NotVisible where it is gone."""
    rows = TaskFile.objects.select_related("task__user", "task__drive", "folder", "file__blob")
    found = rows.filter(pk=task_file.pk).first()
    if found is None:
        raise NotVisible
    return found


def pause_task(*, task: UploadTask) -> UploadTask:
    """Take no more bytes until `resume_task`; what is on its way may still land. Raises TransitionNotAllowed.

    It may rest for UPLOAD_PAUSE_LIFETIME; when it goes on, its time begins anew.
    """
    return set_pause(task, timezone.now())


def resume_task(*, task: UploadTask) -> UploadTask:
    """Take bytes again. Raises TransitionNotAllowed."""
    return set_pause(task, None)


def set_pause(task: UploadTask, paused_at: datetime | None) -> UploadTask:
    """Pause (from `paused_at` on) or resume an open task; one that is so already stays as it is."""
    now = timezone.now()
    life = settings.UPLOAD_PAUSE_LIFETIME if paused_at else settings.UPLOAD_LIFETIME
    changed = UploadTask.objects.filter(
        pk=task.pk, status__in=UploadTask.OPEN_STATUSES, paused_at__isnull=paused_at is not None
    ).update(paused_at=paused_at, expires_at=now + life, updated_at=now)
    task.refresh_from_db()
    if task.status not in UploadTask.OPEN_STATUSES:
        raise task.refusal()
    if changed:
        announce(task, at_once=True)
    return task


def close_task(
    *, task: UploadTask, target: UploadTask.Status, error: str = "", over_at: datetime | None = None
) -> UploadTask:
    """Cancel or fail an open task: no more bytes, the reservation given back, staged parts discarded.

    Raises TransitionNotAllowed, where `over_at` is told also for one whose time is not over by then; NotVisible.
    """
    with transaction.atomic():
        held = lock_task(task.pk)
        if over_at and held.expires_at > over_at:
            raise held.refusal()
        task.move_to(target, error_message=error, paused_at=None)
        rest = task.files.exclude(status__in=TaskFile.LANDED_STATUSES)
        drives.release(
            drive_id=task.drive_id, size=rest.aggregate(total=Sum("file_size", default=0))["total"]
        )
        uploads = [SentSoFar.of(row) for row in rest.exclude(upload_id="").only("upload_id", "storage_key")]
        rest.update(upload_id="", storage_key="")
        uploads += drop_parts(UploadPart.objects.filter(task_file__task=task))
        announce(task)
    for upload in uploads:
        upload.let_go()
    return task


def cancel_task(*, task: UploadTask) -> UploadTask:
    """Files that have landed stay. Raises TransitionNotAllowed."""
    return close_task(task=task, target=UploadTask.Status.CANCELLED)


def delete_task(*, task: UploadTask) -> None:
    """Forget a task; an open one is cancelled first. Files that have landed stay."""
    with suppress(TransitionNotAllowed, NotVisible):  # it is closed, or gone, already
        cancel_task(task=task)
    task.delete()


def expire_tasks(*, now: datetime) -> int:
    """Fail open tasks whose time is over, at most 500; returns how many."""
    expired = UploadTask.objects.filter(expires_at__lte=now, status__in=UploadTask.OPEN_STATUSES)
    count = 0
    for task in expired.order_by("expires_at", "pk")[:500]:
        with suppress(TransitionNotAllowed, NotVisible):  # completed, resumed or deleted at this moment
            error = str(_("The upload has expired."))
            close_task(task=task, target=UploadTask.Status.FAILED, error=error, over_at=now)
            count += 1
    return count
