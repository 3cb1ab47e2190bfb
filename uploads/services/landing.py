"""Files that arrive in the drive, and files that are given up: both are counted on the task, and end it."""

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from drives.models import Blob, File
from drives.services.places import ensure_folders
from drives.services.tree import NewFile
from uploads.models import TaskFile, UploadTask
from uploads.services.leftovers import SentSoFar, drop_parts
from uploads.services.news import announce
from uploads.services.tasks import close_task, lock_task


def new_file(task: UploadTask, row: TaskFile, blob: Blob) -> NewFile:
    """What to put into the drive for a file of the task; its folder is made again if it is gone for good."""
    folder = row.folder
    if folder is None and row.target_folder_path != "/":
        paths = {row.target_folder_path}
        folder = ensure_folders(drive=task.drive, paths=paths)[row.target_folder_path]
    return NewFile(folder, row.file_name, blob, row.mime_type)


def land(*, task: UploadTask, landed: list[tuple[TaskFile, File]], status: TaskFile.Status) -> None:
    """Mark files as landed, count them on the task and finish it with the last one. Call under `lock_task`.

    `task` is as it was read there. `landed` pairs each task file, not landed before, with its file in the drive;
    `was_stored` and `started_at` of the task files are written along.
    """
    now = timezone.now()
    common = {
        "status": status,
        "is_duplicated": status == TaskFile.Status.SKIPPED,
        "error_message": "",
        "upload_id": "",
        "storage_key": "",
        "completed_at": now,
        "updated_at": now,
    }
    for task_file, file in landed:
        task_file.file = file
        for name, value in common.items():
            setattr(task_file, name, value)
    rows = [task_file for task_file, _file in landed]
    own = ["file", "was_stored", "started_at"]
    if len(rows) == 1:
        rows[0].save(update_fields=[*own, *common])
    else:
        TaskFile.objects.bulk_update(rows, own, batch_size=2000)
        TaskFile.objects.filter(pk__in=[row.pk for row in rows]).update(**common)
    # Only who holds the task's row counts: what the caller has read under the lock is what stands there.
    task.uploaded_files += len(rows)
    task.uploaded_size += sum(row.file_size for row in rows)
    task.updated_at = now
    task.save(update_fields=["uploaded_files", "uploaded_size", "updated_at"])
    if task.uploaded_files == task.total_files:
        task.move_to(UploadTask.Status.COMPLETED, completed_at=now, paused_at=None)
    elif task.status == UploadTask.Status.PENDING:
        task.move_to(UploadTask.Status.UPLOADING)
    if not close_if_given_up(task):
        announce(task)


def close_if_given_up(task: UploadTask) -> bool:
    """Fail a task of which nothing is left but files whose retries are spent. Call under `lock_task`."""
    over = task.failed_files > 0 and task.uploaded_files + task.failed_files == task.total_files
    if over:
        error = _("%(count)s files could not be uploaded.") % {"count": task.failed_files}
        close_task(task=task, target=UploadTask.Status.FAILED, error=error)
    return over


def fail_file(*, task_file: TaskFile, message: str, was_ours: bool = False) -> bool:
    """Give up the upload of a file as the caller knows it, not a later one: its parts are discarded.

    `retry_file` makes it pending again, at most three times. Where the fault was ours it is pending again at once,
    which counts as one of the three. Returns whether there was something to give up.
    """
    with transaction.atomic():
        task = lock_task(task_file.task_id)
        same = TaskFile.objects.filter(
            pk=task_file.pk, upload_id=task_file.upload_id, status__in=TaskFile.OPEN_STATUSES
        )
        row = same.first()
        if row is None:
            return False
        upload = SentSoFar.of(row)
        changes = {
            "upload_id": "",
            "storage_key": "",
            "error_message": message[:500],
            "updated_at": timezone.now(),
        }
        spent = row.retry_count >= TaskFile.MAX_RETRIES
        if was_ours and not spent:
            same.update(status=TaskFile.Status.PENDING, retry_count=F("retry_count") + 1, **changes)
        else:
            same.update(status=TaskFile.Status.FAILED, **changes)
        apart = drop_parts(row.parts.all())
        if spent and task.status in UploadTask.OPEN_STATUSES:
            give_up(task)
    for sent in (upload, *apart):
        sent.let_go()
    return True


def give_up(task: UploadTask) -> None:
    """Count a file whose retries are spent; the task fails once nothing else is left. Call under `lock_task`."""
    UploadTask.objects.filter(pk=task.pk).update(
        failed_files=F("failed_files") + 1, updated_at=timezone.now()
    )
    task.refresh_from_db()
    if not close_if_given_up(task):
        announce(task)
