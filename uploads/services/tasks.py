"""Upload tasks: begin, cancel, expire, finish; instant upload of what the caller can already read."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.errors import NotVisible, TransitionNotAllowed
from common.realtime import publish_on_commit
from drives.errors import NameTaken
from drives.models import Blob, Drive, File, Folder
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

    Raises NotVisible (drive), ManifestInvalid, BadName, NameTaken, QuotaExceeded, DriveReadOnly.
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
    rows = task_files(files)
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
            expires_at=timezone.now() + settings.UPLOAD_LIFETIME,
        )
        folders = ensure_folders(drive=drive, paths={row.target_folder_path for row in rows})
        require_no_folders(drive, [row.virtual_path for row in rows])
        for row in rows:
            row.task, row.folder = task, folders[row.target_folder_path]
        TaskFile.objects.bulk_create(rows, batch_size=2000)
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


def task_files(files: list[ManifestFile]) -> list[TaskFile]:
    """Rows for the files, in their order, with clean places. Raises BadName; ManifestInvalid: two at one place."""
    folders: dict[str, str] = {}
    places: set[str] = set()
    rows = []
    for position, file in enumerate(files):
        where = f"upload_manifest.files.{position}"
        if file.target_folder_path not in folders:
            clean = clean_path(file.target_folder_path, field=f"{where}.target_folder_path")
            folders[file.target_folder_path] = clean
        row = TaskFile(
            position=position,
            local_path=file.local_path,
            target_folder_path=folders[file.target_folder_path],
            file_name=clean_name(file.file_name, field=f"{where}.file_name"),
            file_size=file.file_size,
            md5=file.md5.lower(),
            mime_type=file.mime_type,
        )
        if row.virtual_path in places:
            raise ManifestInvalid(_("Two files have the same place."), field=f"{where}.file_name")
        places.add(row.virtual_path)
        rows.append(row)
    return rows


def require_no_folders(drive: Drive, places: list[str]) -> None:
    """Raises NameTaken where a folder, there before or made for another file of the manifest, has a file's place."""
    if Folder.objects.filter(drive=drive, path__in=places).exists():
        raise NameTaken


def require_open(task: UploadTask) -> None:
    """Raises UploadClosed: cancelled, expired and finished tasks refuse bytes; DriveReadOnly: a deleted drive does."""
    if task.status not in UploadTask.OPEN_STATUSES:
        raise UploadClosed(status=task.status)
    require_edit(task.user, task.drive)


def land(*, task: UploadTask, landed: list[tuple[TaskFile, File]], status: TaskFile.Status) -> None:
    """Mark files as landed, count them on the task and finish it with the last one. Call under `lock_open_task`.

    `landed` pairs each task file, not landed before, with its file in the drive.
    """
    now = timezone.now()
    common = {
        "status": status,
        "is_duplicated": status == TaskFile.Status.SKIPPED,
        "error_message": "",
        "upload_id": "",
        "completed_at": now,
        "updated_at": now,
    }
    for task_file, file in landed:
        task_file.file = file
        for name, value in common.items():
            setattr(task_file, name, value)
    rows = [task_file for task_file, _file in landed]
    TaskFile.objects.bulk_update(rows, ["file"], batch_size=2000)
    TaskFile.objects.filter(pk__in=[row.pk for row in rows]).update(**common)
    UploadTask.objects.filter(pk=task.pk).update(
        uploaded_files=F("uploaded_files") + len(landed),
        uploaded_size=F("uploaded_size") + sum(task_file.file_size for task_file, _file in landed),
        updated_at=now,
    )
    task.refresh_from_db()
    if task.uploaded_files == task.total_files:
        task.move_to(UploadTask.Status.COMPLETED, completed_at=now)
    elif task.status == UploadTask.Status.PENDING:
        task.move_to(UploadTask.Status.UPLOADING)


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
        wanted = [
            (row, (by_id[row.pk].md5.lower(), row.file_size)) for row in rows if asks(row, by_id[row.pk])
        ]
        known = readable_blobs(actor, {md5 for _row, (md5, _size) in wanted})
        found = [(row, known[content]) for row, content in wanted if content in known]
        if not found:
            return []
        new_files = [new_file(task, row, blob) for row, blob in found]
        reserved = sum(row.file_size for row, _blob in found)
        files = put_files(drive=task.drive, actor=actor, new_files=new_files, reserved=reserved)
        hits = [row for row, _blob in found]
        land(task=task, landed=list(zip(hits, files, strict=True)), status=TaskFile.Status.SKIPPED)
        announce(task)
    return hits


def asks(row: TaskFile, asked: CheckedFile) -> bool:
    """Whether the question agrees with the manifest and the file is still to be sent."""
    agrees = asked.file_size == row.file_size and row.md5 in ("", asked.md5.lower())
    return bool(asked.md5) and agrees and row.status == TaskFile.Status.PENDING


def readable_blobs(actor: User, digests: set[str]) -> dict[tuple[str, int], Blob]:
    """Verified blobs of the given MD5s behind living files that `actor` can read, by MD5 and size.

    Where one MD5 and size stand for two contents, neither counts.
    """
    pointing = File.objects.visible_to(actor).filter(blob=OuterRef("pk"))
    blobs = Blob.objects.filter(Exists(pointing), md5__in=digests, verified_at__isnull=False)
    known: dict[tuple[str, int], Blob] = {}
    ambiguous = set()
    for blob in blobs:
        content = (blob.md5, blob.size)
        if content in known:
            ambiguous.add(content)
        known[content] = blob
    return {content: blob for content, blob in known.items() if content not in ambiguous}


def new_file(task: UploadTask, row: TaskFile, blob: Blob) -> NewFile:
    """What to put into the drive for a file of the task; its folder is made again if it is gone for good."""
    folder = row.folder
    if folder is None and row.target_folder_path != "/":
        paths = {row.target_folder_path}
        folder = ensure_folders(drive=task.drive, paths=paths)[row.target_folder_path]
    return NewFile(folder, row.file_name, blob, row.mime_type)


def close_task(*, task: UploadTask, target: UploadTask.Status, error: str = "") -> UploadTask:
    """Cancel or fail an open task: no more bytes, the reservation given back, staged parts discarded.

    Raises TransitionNotAllowed, NotVisible.
    """
    with transaction.atomic():
        lock_task(task.pk)
        task.move_to(target, error_message=error)
        rest = task.files.exclude(status__in=TaskFile.LANDED_STATUSES)
        drives.release(
            drive_id=task.drive_id, size=rest.aggregate(total=Sum("file_size", default=0))["total"]
        )
        staged = list(rest.exclude(upload_id="").values_list("upload_id", flat=True))
        rest.update(upload_id="")
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
    with suppress(TransitionNotAllowed, NotVisible):  # it is closed, or gone, already
        cancel_task(task=task)
    task.delete()


def expire_tasks(*, now: datetime) -> int:
    """Fail open tasks whose time is over, at most 500; returns how many."""
    expired = UploadTask.objects.filter(expires_at__lte=now, status__in=UploadTask.OPEN_STATUSES)
    count = 0
    for task in expired.order_by("expires_at", "pk")[:500]:
        with suppress(TransitionNotAllowed, NotVisible):  # completed, cancelled or deleted at this moment
            close_task(task=task, target=UploadTask.Status.FAILED, error=str(_("The upload has expired.")))
            count += 1
    return count


def announce(task: UploadTask) -> None:
    """Tell the owner how far the upload is."""
    publish_on_commit(task.user_id, "upload:progress", progress_of(task))
