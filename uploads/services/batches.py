"""Many small files in one request: each with its own result, all of them in a handful of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.models import User
from common.errors import DomainError, NotVisible
from drives.services.blobs import Digests, keep_all
from drives.storage import blob_storage
from uploads.errors import StorageFailed
from uploads.models import TaskFile, UploadTask
from uploads.services.files import (
    check_content,
    count_our_failure,
    require_size_at_once,
    require_unfinished,
)
from uploads.services.landing import Arrival, Outcome, land
from uploads.services.tasks import require_active


@dataclass(frozen=True)
class SentFile:
    """A staged file of the request; `task_file_id` is None where its field names no file."""

    task_file_id: UUID | None
    staging_id: str
    digests: Digests
    started_at: datetime


def upload_batch(*, task: UploadTask, actor: User, sent: Sequence[SentFile]) -> list[Outcome]:
    """Take files of a task, in their order; one that is refused spoils no other.

    Of two for the same file the first counts. Raises UploadClosed, UploadPaused, DriveReadOnly for the task as a whole.
    """
    try:
        require_active(task)
        ids = {item.task_file_id for item in sent if item.task_file_id}
        rows = TaskFile.objects.under_way(actor, task.pk, ids)
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


def judge(row: TaskFile | None, item: SentFile) -> Outcome:
    """The row if it has landed or can land; otherwise what is wrong."""
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
    """Store the contents and put them into the drive."""
    outcomes: dict[UUID | None, Outcome] = {}
    arrived: list[Arrival] = []
    stored = keep_all(staged=[(item.staging_id, item.digests) for _row, item in fit])
    for (row, item), found in zip(fit, stored, strict=True):
        if isinstance(found, OSError):
            count_our_failure(row)
            outcomes[row.pk] = StorageFailed(retry_after=5)
        else:
            arrived.append(Arrival(row, found, not found.is_new, item.started_at))
    return outcomes | land(task=task, actor=actor, arrived=arrived)
