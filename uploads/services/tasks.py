"""Upload tasks: begin, cancel, expire, finish; instant upload of what the caller can already read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.errors import NotVisible
from common.realtime import publish_on_commit
from drives.models import Drive, File
from drives.paths import clean_name, clean_path
from drives.permissions import require_edit
from drives.services import drives
from drives.services.tree import NewFile, ensure_folders, put_files
from drives.storage import blob_storage
from uploads.errors import ManifestInvalid, UploadClosed
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.selectors import progress_of


@dataclass(frozen=True)
class ManifestFile:
    """A file as the client announces it; `file_size` in bytes, `md5` empty where unknown."""

    local_path: str
    target_folder_path: str
    file_name: str
    file_size: int
    md5: str = ""
    mime_type: str = ""


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
) -> UploadTask:
    """Take a manifest: task, files, missing folders and the quota, in one transaction and a handful of statements.

    Raises NotVisible (drive), ManifestInvalid, BadName, QuotaExceeded, DriveReadOnly.
    """
    drive = (
        Drive.objects.visible_to(user).filter(pk=drive_id).first()
        if drive_id
        else drives.default_drive(user=user)
    )
    if drive is None:
        raise NotVisible
    require_edit(user, drive)
    size = sum(file.file_size for file in files)
    check_manifest(files, total_files, total_size, size)
    with transaction.atomic():
        task = UploadTask.objects.create(
            user=user,
            drive=drive,
            task_name=task_name,
            task_description=task_description,
            priority=priority,
            total_files=len(files),
            total_size=size,
            client_info=client_info or {},
            expires_at=timezone.now() + settings.UPLOAD_LIFETIME,
        )
        add_files(task, files)
        drives.reserve(drive=drive, size=size)
    return task


def check_manifest(
    files: list[ManifestFile], total_files: int | None, total_size: int | None, size: int
) -> None:
    """Raises ManifestInvalid: empty, too many, totals that differ from the list."""
    if not files:
        raise ManifestInvalid(_("The manifest holds no files."), field="upload_manifest.files")
    if len(files) > settings.UPLOAD_MAX_FILES:
        raise ManifestInvalid(_("The manifest holds too many files."), field="upload_manifest.files")
    if total_files is not None and total_files != len(files):
        raise ManifestInvalid(_("total_files differs from the list."), field="upload_manifest.total_files")
    if total_size is not None and total_size != size:
        raise ManifestInvalid(_("total_size differs from the list."), field="upload_manifest.total_size")


def add_files(task: UploadTask, files: list[ManifestFile]) -> None:
    places: set[tuple[str, str]] = set()
    rows = []
    for position, file in enumerate(files):
        where = f"upload_manifest.files.{position}"
        folder_path = clean_path(file.target_folder_path, field=f"{where}.target_folder_path")
        name = clean_name(file.file_name, field=f"{where}.file_name")
        if (folder_path, name) in places:
            raise ManifestInvalid(_("Two files have the same place."), field=f"{where}.file_name")
        places.add((folder_path, name))
        rows.append(
            TaskFile(
                task=task,
                position=position,
                local_path=file.local_path,
                target_folder_path=folder_path,
                file_name=name,
                file_size=file.file_size,
                md5=file.md5.lower(),
                mime_type=file.mime_type,
            )
        )
    folders = ensure_folders(drive=task.drive, paths={row.target_folder_path for row in rows})
    for row in rows:
        row.folder = folders[row.target_folder_path]
    TaskFile.objects.bulk_create(rows, batch_size=2000)


def require_open(task: UploadTask) -> None:
    """Raises UploadClosed: cancelled, expired and finished tasks refuse bytes."""
    if task.status not in UploadTask.OPEN_STATUSES:
        raise UploadClosed(status=task.status)


def land(*, task: UploadTask, landed: list[tuple[TaskFile, File]], status: TaskFile.Status) -> int:
    """Mark files as landed, count them on the task and finish it with the last one. Call inside a transaction.

    `landed` pairs each task file with its file in the drive. Returns how many were not landed before.
    """
    now = timezone.now()
    new_files, new_size = 0, 0
    for task_file, file in landed:
        new_files += 1
        new_size += task_file.file_size
        task_file.status, task_file.file, task_file.completed_at = status, file, now
        task_file.is_duplicated = status == TaskFile.Status.SKIPPED
        task_file.error_message, task_file.upload_id, task_file.updated_at = "", "", now
    changed = ["status", "file", "completed_at", "is_duplicated", "error_message", "upload_id", "updated_at"]
    TaskFile.objects.bulk_update([task_file for task_file, _file in landed], changed, batch_size=2000)
    UploadTask.objects.filter(pk=task.pk).update(
        uploaded_files=F("uploaded_files") + new_files,
        uploaded_size=F("uploaded_size") + new_size,
        updated_at=now,
    )
    task.refresh_from_db()
    if task.uploaded_files == task.total_files:
        task.move_to(UploadTask.Status.COMPLETED, completed_at=now)
    elif task.status == UploadTask.Status.PENDING:
        task.move_to(UploadTask.Status.UPLOADING)
    return new_files


def lock_open_task(task_id: UUID) -> UploadTask:
    """The task's row, locked: files of one task land one after the other. Raises UploadClosed."""
    task = UploadTask.objects.select_for_update(of=("self",)).select_related("drive").get(pk=task_id)
    require_open(task)
    return task


@dataclass(frozen=True)
class CheckedFile:
    """A file the client asks about, by its id in the task; size in bytes, md5 in hex."""

    task_file_id: UUID
    md5: str
    file_size: int


def check_files(*, task: UploadTask, actor: User, asked: Iterable[CheckedFile]) -> list[TaskFile]:
    """Link at once what the caller can already read; returns the files that need not be sent.

    A hash never opens a file: only verified blobs behind the caller's own living files count.
    Raises UploadClosed; NotVisible for a file that is not of this task.
    """
    by_id = {item.task_file_id: item for item in asked}
    with transaction.atomic():
        task = lock_open_task(task.pk)
        rows = list(task.files.filter(pk__in=by_id).select_related("folder"))
        if len(rows) != len(by_id):
            raise NotVisible
        pending = [row for row in rows if row.status == TaskFile.Status.PENDING and by_id[row.pk].md5]
        wanted = {
            (by_id[row.pk].md5.lower(), row.file_size)
            for row in pending
            if by_id[row.pk].file_size == row.file_size
        }
        readable = File.objects.visible_to(actor).filter(
            blob__md5__in={md5 for md5, _size in wanted}, blob__verified_at__isnull=False
        )
        known = {(file.blob.md5, file.blob.size): file.blob for file in readable.select_related("blob")}
        found = [
            (row, known[key])
            for row in pending
            if (key := (by_id[row.pk].md5.lower(), row.file_size)) in known
        ]
        new_files = [NewFile(row.folder, row.file_name, blob, row.mime_type) for row, blob in found]
        reserved = sum(row.file_size for row, _blob in found)
        files = (
            put_files(drive=task.drive, actor=actor, new_files=new_files, reserved=reserved) if found else []
        )
        hits = [row for row, _blob in found]
        if hits:
            land(task=task, landed=list(zip(hits, files, strict=True)), status=TaskFile.Status.SKIPPED)
            announce(task)
    return hits


def close_task(*, task: UploadTask, target: UploadTask.Status, error: str = "") -> UploadTask:
    """Cancel or fail an open task: no more bytes, the reservation given back, staged parts discarded.

    Raises TransitionNotAllowed.
    """
    with transaction.atomic():
        task.move_to(target, error_message=error)
        rest = task.files.exclude(status__in=TaskFile.LANDED_STATUSES)
        size = rest.aggregate(total=Sum("file_size"))["total"] or 0
        drives.release(drive_id=task.drive_id, size=size)
        staged = list(rest.exclude(upload_id="").values_list("upload_id", flat=True))
        UploadPart.objects.filter(task_file__task=task).delete()
        announce(task)
    for upload_id in staged:
        blob_storage().discard(upload_id)
    return task


def cancel_task(*, task: UploadTask) -> UploadTask:
    """Files that have landed stay. Raises TransitionNotAllowed."""
    return close_task(task=task, target=UploadTask.Status.CANCELLED)


def delete_task(*, task: UploadTask) -> None:
    """Forget a task; an open one is cancelled first. Files that have landed stay."""
    if task.status in UploadTask.OPEN_STATUSES:
        cancel_task(task=task)
    task.delete()


def expire_tasks(*, now: datetime) -> int:
    """Fail open tasks whose time is over; returns how many."""
    expired = UploadTask.objects.filter(Q(expires_at__lte=now), status__in=UploadTask.OPEN_STATUSES)
    count = 0
    for task in expired.order_by("expires_at")[:500]:
        close_task(task=task, target=UploadTask.Status.FAILED, error=str(_("The upload has expired.")))
        count += 1
    return count


def announce(task: UploadTask) -> None:
    """Tell the owner how far the upload is."""
    publish_on_commit(task.user_id, "upload:progress", progress_of(task))
