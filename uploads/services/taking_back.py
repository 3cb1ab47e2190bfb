"""Content that was read only after it had landed, and is not what the client had declared."""

from contextlib import suppress

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from common.errors import NotVisible
from drives.errors import DigestMismatch, DriveReadOnly
from drives.models import Blob, Drive
from drives.services.places import lock_tree
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
        take_back(row, blob, DigestMismatch(expected=row.md5, actual=md5, field="file"))


def take_back(row: TaskFile, blob: Blob, refusal: DigestMismatch) -> None:
    """The same for one of them, once; not where another content has come in its place."""
    now = timezone.now()
    with transaction.atomic():
        task = lock_task(row.task_id)
        file = row.file
        if file is None:
            return
        lock_tree(file.drive)
        same = TaskFile.objects.filter(pk=row.pk, status=TaskFile.Status.COMPLETED, file__blob=blob)
        failed = {"status": TaskFile.Status.FAILED, "file": None, "completed_at": None, "updated_at": now}
        if not same.update(error_message=str(refusal)[:500], **failed):
            return
        with suppress(
            DriveReadOnly, NotVisible
        ):  # the drive is deleted, or who sent it may not write there any more
            trash(entry=file, actor=task.user)
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
