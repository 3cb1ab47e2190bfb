"""Files that arrive in the drive, and files that are given up: both are counted on the task, and end it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from common import origin
from common.compiled import planned_cursor
from common.errors import DomainError, NotVisible
from common.postgresql.arrays import array_of
from common.postgresql.disk import wait_for_disk
from drives.errors import DriveReadOnly, NameTaken
from drives.models import Blob, File, Folder
from drives.permissions import Right, require
from drives.services.blobs import Kept, columns_of, the_one_that_stays
from drives.services.places import ensure_folders
from drives.services.tree import type_of
from drives.services.versions import drop_surplus
from uploads.errors import UploadClosed
from uploads.models import TaskFile, UploadTask
from uploads.services.leftovers import SentSoFar, drop_parts
from uploads.services.news import announce
from uploads.services.tasks import close_task, lock_task, reload


@dataclass(frozen=True)
class Arrival:
    """A file whose content is in the storage; `was_stored` tells of content that was there already."""

    row: TaskFile
    kept: Kept
    was_stored: bool
    started_at: datetime | None = None


Outcome = TaskFile | DomainError
"""The row of a file that has landed, or why it has not."""

# The function is in uploads/migrations/0011_land_without_waiting.py.
LAND = """
    SELECT * FROM uploads_land(
        %s, %s, %s, %s, %s, %s::uuid[], %s::uuid[], %s::text[], %s::boolean[], %s::timestamptz[],
        %s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[]
    )
"""


class Result(NamedTuple):
    """A row of the function's answer; `outcome` is empty where the file has landed now."""

    task_file_id: UUID
    outcome: str
    blob_id: Any = None
    file_id: Any = None
    file_created_at: Any = None
    is_replaced: bool = False
    upload_id: str = ""
    storage_key: str = ""
    staged_apart: Sequence[str] = ()
    task_status: str = ""
    is_given_up: bool = False


def land(
    *, task: UploadTask, actor: User, arrived: Sequence[Arrival], status: TaskFile.Status
) -> dict[UUID, Outcome]:
    """Put files into the drive, count them on the task, and finish it with the last one; each file once.

    Also in a task that was paused while the bytes were on their way. A file that has landed before has the outcome of
    that time; one that is refused (NotVisible, UploadClosed, NameTaken) spoils no other. Raises DriveReadOnly.
    """
    if not arrived:
        return {}
    require(actor, Right.WRITE, task.drive)
    now = timezone.now()
    found = put(task, actor, arrived, status, now)
    if homeless := [item for item in arrived if found[item.row.pk].outcome == "homeless"]:
        housed = [item for item in homeless if make_folder_again(task, item.row)]
        found |= put(task, actor, housed, status, now)
    outcomes: dict[UUID, Outcome] = {}
    for item in arrived:
        result = found[item.row.pk]
        blob = the_one_that_stays(item.kept.blob, result.blob_id or item.kept.blob.pk)
        if result.outcome:
            outcomes[item.row.pk] = refused(item.row, result.outcome)
            continue
        task.status = result.task_status
        outcomes[item.row.pk] = landed_row(item, status, result, now)
        if status == TaskFile.Status.COMPLETED:  # a check tells ids alone, thousands at once
            item.row.file = file_of(item.row, blob, result, actor, now)
        let_go(item, result)
    landed = [result for result in found.values() if not result.outcome]
    drop_surplus([result.file_id for result in landed if result.is_replaced])
    if any(result.is_given_up for result in landed):
        with transaction.atomic():  # whoever dies before this leaves the task to `expire_tasks`
            close_if_given_up(lock_task(task.pk))
    elif landed:
        announce(task)
    return outcomes


def put(
    task: UploadTask, actor: User, arrived: Sequence[Arrival], status: TaskFile.Status, now: datetime
) -> dict[UUID, Result]:
    """Have the database land them; a file that is gone has the outcome `gone`."""
    if not arrived:
        return {}
    new = {item.kept.blob.pk: item.kept.blob for item in arrived if item.kept.is_new}
    columns: list[list[Any]] = [
        [item.row.pk for item in arrived],
        [item.kept.blob.pk for item in arrived],
        [type_of(item.row.file_name, item.row.mime_type) for item in arrived],
        [item.was_stored for item in arrived],
        [item.started_at for item in arrived],
        *columns_of(list(new.values())),
    ]
    with planned_cursor() as cursor:
        common = (task.pk, actor.pk, origin.current.get().device[:200], now, str(status))
        cursor.execute(LAND, (*common, *map(array_of, columns)))
        found = {row[0]: Result(*row) for row in cursor.fetchall()}
    transaction.on_commit(wait_for_disk)
    return {item.row.pk: found.get(item.row.pk) or Result(item.row.pk, "gone") for item in arrived}


FILE = [field.attname for field in File._meta.concrete_fields]


def file_of(row: TaskFile, blob: Blob, result: Result, actor: User, now: datetime) -> File:
    """The file in the drive as the database has written it; nothing is read anew."""
    written = {
        "id": result.file_id,
        "created_at": result.file_created_at,
        "updated_at": now,
        "drive_id": row.task.drive_id,
        "folder_id": row.folder_id,
        "name": row.file_name,
        "blob_id": blob.pk,
        "size": blob.size,
        "mime_type": type_of(row.file_name, row.mime_type),
        "uploaded_by_id": actor.pk,
        "modified_at": now,
        "trashed_at": None,
    }
    file = File.from_db(connection.alias, FILE, [written[name] for name in FILE])
    file.blob = blob
    return file


def landed_row(item: Arrival, status: TaskFile.Status, result: Result, now: datetime) -> TaskFile:
    """The row as the database has changed it."""
    row = item.row
    row.file_id, row.status, row.was_stored = result.file_id, status, item.was_stored
    row.is_duplicated = status == TaskFile.Status.SKIPPED
    row.started_at = row.started_at or item.started_at
    row.completed_at = row.updated_at = now
    row.upload_id = row.storage_key = row.error_message = ""
    return row


def let_go(item: Arrival, result: Result) -> None:
    """What the file had sent in parts, or in another way, is not needed any more."""
    if result.storage_key != item.kept.blob.storage_key:
        SentSoFar(result.upload_id, result.storage_key).let_go()
    for staging_id in result.staged_apart:
        SentSoFar(staging_id, "").let_go()


def make_folder_again(task: UploadTask, row: TaskFile) -> bool:
    """The folder of the file is gone for good, in the trash or in another drive: a new one takes its place. False: a
    file is there."""
    folder = Folder.objects.filter(pk=row.folder_id, drive=task.drive_id).first() if row.folder_id else None
    path = folder.place if folder else row.target_folder_path
    try:
        made = ensure_folders(drive=task.drive, paths={path})[path]
    except NameTaken:
        return False
    TaskFile.objects.filter(pk=row.pk).update(folder=made)
    return True


def refused(row: TaskFile, outcome: str) -> Outcome:
    """Why the file has not landed now; where it had before, the row of that time."""
    match outcome:
        case "landed":
            return reload(row)
        case "gone":
            return NotVisible()
        case "name_taken" | "homeless":
            return NameTaken()
        case "read_only":
            return DriveReadOnly()
        case status:
            return UploadClosed(status=status)


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
