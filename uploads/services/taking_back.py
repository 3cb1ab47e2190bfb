"""Content that was read only after it had landed, and is not what the client had declared."""

from contextlib import suppress

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from drives.errors import DigestMismatch, DriveReadOnly
from drives.models import Blob, Drive
from drives.services.trash import trash
from uploads.models import TaskFile, UploadTask
from uploads.services.landing import give_up
from uploads.services.news import announce
from uploads.services.tasks import lock_task


def take_back_others(*, blob: Blob, md5: str) -> None:
    """Fail the files that landed with `blob` and had another MD5 declared than `md5`, which is the true one.

    They go into the trash: nobody loses what came. In a task that is still open such a file can be retried; a task
    that had completed has failed.
    """
    landed = TaskFile.objects.filter(file__blob=blob, status=TaskFile.Status.COMPLETED)
    for row in landed.exclude(md5__in=("", md5)).order_by("task", "position"):
        take_back(row, DigestMismatch(expected=row.md5, actual=md5, field="file"))


def take_back(row: TaskFile, refusal: DigestMismatch) -> None:
    """The same for one of them, once."""
    now = timezone.now()
    with transaction.atomic():
        task = lock_task(row.task_id)
        same = TaskFile.objects.filter(pk=row.pk, status=TaskFile.Status.COMPLETED, file=row.file_id)
        failed = {"status": TaskFile.Status.FAILED, "file": None, "completed_at": None, "updated_at": now}
        if row.file is None or not same.update(error_message=str(refusal)[:500], **failed):
            return
        with suppress(DriveReadOnly):  # the drive is deleted
            trash(entry=row.file, actor=task.user)
        task.uploaded_files, task.uploaded_size = (
            task.uploaded_files - 1,
            task.uploaded_size - row.file_size,
        )
        task.save(update_fields=["uploaded_files", "uploaded_size"])
        if task.status in UploadTask.OPEN_STATUSES:
            # What is still to come has its room reserved.
            Drive.objects.filter(pk=task.drive_id).update(reserved_size=F("reserved_size") + row.file_size)
            if row.retry_count >= TaskFile.MAX_RETRIES:
                give_up(task)
        elif task.status == UploadTask.Status.COMPLETED:
            task.move_to(
                UploadTask.Status.FAILED,
                failed_files=F("failed_files") + 1,
                error_message=str(refusal)[:500],
            )
        announce(task, at_once=True)
