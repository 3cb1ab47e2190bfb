"""Many small files in one request: each with its own result, all of them in a handful of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from common.errors import DomainError, NotVisible
from drives.models import Blob
from drives.services.blob_batches import store_all
from drives.services.blobs import Digests
from drives.services.tree import put_files
from drives.storage import blob_storage
from uploads.errors import StorageFailed
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.services.files import (
    check_content,
    count_our_failure,
    finish,
    require_size_at_once,
    require_unfinished,
)
from uploads.services.landing import land, new_file
from uploads.services.leftovers import SentSoFar, drop_parts
from uploads.services.tasks import lock_task, require_active, require_open


@dataclass(frozen=True)
class SentFile:
    """A file of the request, staged; `task_file_id` None where its field names no file."""

    task_file_id: UUID | None
    staging_id: str
    digests: Digests
    started_at: datetime


Outcome = TaskFile | DomainError
"""The row of a file that has landed, or why it has not."""


def upload_batch(*, task: UploadTask, actor: User, sent: Sequence[SentFile]) -> list[Outcome]:
    """Take files of a task, in their order; one that is refused spoils no other.

    Of two for the same file the first counts. Raises UploadClosed, UploadPaused, DriveReadOnly for the task as a whole.
    """
    try:
        require_active(task)
        rows = rows_of(task, {item.task_file_id for item in sent if item.task_file_id})
        outcomes: dict[UUID | None, Outcome] = {None: NotVisible()}
        fit: list[SentFile] = []
        for item in sent:
            if item.task_file_id not in outcomes:
                row = rows.get(item.task_file_id) if item.task_file_id else None
                outcomes[item.task_file_id] = judged = judge(row, item)
                if isinstance(judged, TaskFile) and judged.status not in TaskFile.LANDED_STATUSES:
                    fit.append(item)
        outcomes |= land_all(
            task, actor, [(rows[item.task_file_id], item) for item in fit if item.task_file_id]
        )
        return [outcomes[item.task_file_id] for item in sent]
    finally:
        for item in sent:
            blob_storage().discard(item.staging_id)


def rows_of(task: UploadTask, ids: set[UUID]) -> dict[UUID, TaskFile]:
    rows = task.files.select_related("task__user", "task__drive", "folder", "file__blob").filter(pk__in=ids)
    return {row.pk: row for row in rows}


def judge(row: TaskFile | None, item: SentFile) -> Outcome:
    """The row, where it has landed or can; otherwise what is wrong."""
    if row is None:
        return NotVisible()
    try:
        if row.status not in TaskFile.LANDED_STATUSES:
            require_unfinished(row)
            require_size_at_once(row)
            check_content(row, item.digests)
    except DomainError as error:
        return error
    return row


def land_all(
    task: UploadTask, actor: User, fit: list[tuple[TaskFile, SentFile]]
) -> dict[UUID | None, Outcome]:
    """Store the contents and put them into the drive: all at once, or one by one where one is refused."""
    begun = timezone.now()
    blobs = store_all(staged=[(item.staging_id, item.digests) for _row, item in fit])
    outcomes: dict[UUID | None, Outcome] = {}
    stored: dict[UUID, tuple[Blob, SentFile]] = {}
    for (row, item), blob in zip(fit, blobs, strict=True):
        if isinstance(blob, Blob):
            stored[row.pk] = blob, item
        else:
            count_our_failure(row)
            outcomes[row.pk] = StorageFailed(retry_after=5)
    try:
        for pk, landed in put_all(task, actor, stored, begun).items():
            outcomes[pk] = landed
        return outcomes
    except DomainError:
        pass
    for row, item in fit:
        if row.pk in stored:
            blob, _item = stored[row.pk]
            known = blob.created_at < begun
            try:
                outcomes[row.pk] = finish(row, blob, actor, was_stored=known, started_at=item.started_at)
            except DomainError as error:
                outcomes[row.pk] = error
    return outcomes


def put_all(
    task: UploadTask, actor: User, stored: dict[UUID, tuple[Blob, SentFile]], begun: datetime
) -> dict[UUID, TaskFile]:
    """The rows, landed. Raises UploadClosed, NameTaken; then none of them has."""
    if not stored:
        return {}
    with transaction.atomic():
        task = lock_task(task.pk)
        require_open(task)
        rows = rows_of(task, set(stored))
        left = [row for row in rows.values() if row.status not in TaskFile.LANDED_STATUSES]
        for row in left:
            require_unfinished(row)
            blob, item = stored[row.pk]
            row.was_stored, row.started_at = blob.created_at < begun, row.started_at or item.started_at
        uploads = [SentSoFar.of(row) for row in left if row.upload_id]
        if left:
            new_files = [new_file(task, row, stored[row.pk][0]) for row in left]
            reserved = sum(row.file_size for row in left)
            files = put_files(drive=task.drive, actor=actor, new_files=new_files, reserved=reserved)
            land(task=task, landed=list(zip(left, files, strict=True)), status=TaskFile.Status.COMPLETED)
        if uploads:
            uploads += drop_parts(UploadPart.objects.filter(task_file__in=left))
    for upload in uploads:
        upload.let_go()
    return rows
