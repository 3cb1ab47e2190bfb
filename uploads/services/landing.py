"""Files that arrive in the drive, and files that are given up: both are counted on the task, and end it."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import ngettext

from accounts.models import User
from common import origin
from common.compiled import planned_cursor
from common.errors import DomainError, NotVisible
from common.postgresql.arrays import array_of
from common.postgresql.disk import wait_for_disk
from drives.errors import DriveReadOnly, NameTaken
from drives.models import Blob, Drive, File, Folder
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


class Landing(NamedTuple):
    """What the database is told of a file that lands."""

    task_file_id: UUID
    blob_id: UUID
    mime_type: str
    was_stored: bool
    started_at: datetime | None = None


class Result(NamedTuple):
    """What it answers; `outcome` is empty where the file has landed now."""

    task_file_id: UUID
    outcome: str
    blob_id: Any = None
    file_id: Any = None
    is_replaced: bool = False
    upload_id: str = ""
    storage_key: str = ""
    staged_apart: Sequence[str] = ()
    task_status: str = ""
    is_given_up: bool = False


# The function is in uploads/migrations/0013_files_by_their_ids.py.
LAND = f"""
    SELECT {", ".join(Result._fields)} FROM uploads_land(
        %s, %s, %s, %s, %s, %s::uuid[], %s::uuid[], %s::text[], %s::boolean[], %s::timestamptz[],
        %s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[]
    )
"""  # noqa: S608


def land(*, task: UploadTask, actor: User, arrived: Sequence[Arrival]) -> dict[UUID, Outcome]:
    """Put files into the drive, count them on the task, and finish it with the last one; each file once.

    Also in a task that was paused while the bytes were on their way. A file that has landed before has the outcome of
    that time; one that is refused (NotVisible, UploadClosed, NameTaken) spoils no other. Raises DriveReadOnly.
    """
    if not arrived:
        return {}
    require(actor, Right.WRITE, task.drive)
    now = timezone.now()
    files = [
        Landing(
            item.row.pk,
            item.kept.blob.pk,
            type_of(item.row.file_name, item.row.mime_type),
            item.was_stored,
            item.started_at,
        )
        for item in arrived
    ]
    new = {item.kept.blob.pk: item.kept.blob for item in arrived if item.kept.is_new}
    found = put(task, actor, files, TaskFile.Status.COMPLETED, now, list(new.values()))
    outcomes: dict[UUID, Outcome] = {}
    for item in arrived:
        result = found[item.row.pk]
        blob = the_one_that_stays(item.kept.blob, result.blob_id or item.kept.blob.pk)
        if result.outcome:
            outcomes[item.row.pk] = refused(item.row, result.outcome)
            continue
        outcomes[item.row.pk] = landed_row(item, result, now)
        item.row.file = file_of(item.row, blob, result, actor, now)
        let_go(result, kept=item.kept.blob)
    settle(task, found.values())
    return outcomes


def link(*, task: UploadTask, actor: User, files: Sequence[Landing]) -> dict[UUID, UUID]:
    """The same for files whose bytes need not be sent, without objects: there may be thousands.

    Returns the ids of those in the drive, by what they are in the task; one that is refused is left out.
    Raises DriveReadOnly.
    """
    if not files:
        return {}
    require(actor, Right.WRITE, task.drive)
    found = put(task, actor, files, TaskFile.Status.SKIPPED, timezone.now())
    landed = [result for result in found.values() if not result.outcome]
    for result in landed:
        let_go(result)
    settle(task, landed)
    return {result.task_file_id: result.file_id for result in landed}


def settle(task: UploadTask, results: Iterable[Result]) -> None:
    """What follows for their versions, and for the task, from those among `results` that have landed now."""
    landed = [result for result in results if not result.outcome]
    if not landed:
        return
    task.status = landed[-1].task_status
    drop_surplus([result.file_id for result in landed if result.is_replaced])
    if any(result.is_given_up for result in landed):
        with transaction.atomic():  # whoever dies before this leaves the task to `expire_tasks`
            close_if_given_up(lock_task(task.pk))
    else:
        announce(task)


def put(
    task: UploadTask,
    actor: User,
    files: Sequence[Landing],
    status: TaskFile.Status,
    now: datetime,
    new: Sequence[Blob] = (),
) -> dict[UUID, Result]:
    """Have the database land them, `new` being those of their contents that it does not have yet.

    Folders that are gone are made again. A file that is gone has the outcome `gone`.
    """
    found = put_once(task, actor, files, status, now, new)
    if homeless := [file for file in files if found[file.task_file_id].outcome == "homeless"]:
        housed = make_folders_again(task, [file.task_file_id for file in homeless])
        again = [file for file in homeless if file.task_file_id in housed]
        if again:
            others = {key: result for key, result in found.items() if key not in housed}
            # In this order: the last result tells the status that the task has now.
            found = others | put_once(task, actor, again, status, now, new)
    return found


def put_once(
    task: UploadTask,
    actor: User,
    files: Sequence[Landing],
    status: TaskFile.Status,
    now: datetime,
    new: Sequence[Blob],
) -> dict[UUID, Result]:
    columns = [*zip(*files, strict=True), *columns_of(new)]
    with planned_cursor() as cursor:
        common = (task.pk, actor.pk, origin.current.get().device[:200], now, str(status))
        cursor.execute(LAND, (*common, *map(array_of, columns)))
        found = {row[0]: Result(*row) for row in cursor.fetchall()}
    transaction.on_commit(wait_for_disk)
    return {
        file.task_file_id: found.get(file.task_file_id) or Result(file.task_file_id, "gone") for file in files
    }


def file_of(row: TaskFile, blob: Blob, result: Result, actor: User, now: datetime) -> File:
    """The file in the drive as the database has written it; nothing is read anew, `created_at` only if asked for."""
    written = {  # in the order of the columns, as `from_db` takes them
        "id": result.file_id,
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
    file = File.from_db(connection.alias, written.keys(), written.values())
    file.blob = blob
    return file


def landed_row(item: Arrival, result: Result, now: datetime) -> TaskFile:
    """The row as the database has changed it."""
    row = item.row
    row.file_id, row.status = result.file_id, TaskFile.Status.COMPLETED
    row.was_stored, row.is_duplicated = item.was_stored, False
    row.started_at = row.started_at or item.started_at
    row.completed_at = row.updated_at = now
    row.upload_id = row.storage_key = row.error_message = ""
    return row


def let_go(result: Result, kept: Blob | None = None) -> None:
    """What the file had sent in parts, or in another way, is not needed any more, unless it is what was `kept`."""
    if kept is None or result.storage_key != kept.storage_key:
        SentSoFar(result.upload_id, result.storage_key).let_go()
    for staging_id in result.staged_apart:
        SentSoFar(staging_id, "").let_go()


def make_folders_again(task: UploadTask, task_file_ids: Collection[UUID]) -> set[UUID]:
    """The folders of the files are gone for good, in the trash or in another drive: new ones take their places.

    Returns the files that have one now; where a file has the place of a folder, they do not.
    """
    by_path: dict[str, list[UUID]] = {}
    for row in task.files.filter(pk__in=task_file_ids).select_related("folder"):
        folder = row.folder if row.folder and row.folder.drive_id == task.drive_id else None
        by_path.setdefault(folder.place if folder else row.target_folder_path, []).append(row.pk)
    housed: set[UUID] = set()
    for path, made in folders_made(task.drive, by_path).items():
        if ids := by_path.get(path):
            TaskFile.objects.filter(pk__in=ids).update(folder=made)
            housed.update(ids)
    return housed


def folders_made(drive: Drive, paths: Collection[str]) -> dict[str, Folder | None]:
    """`ensure_folders` of those paths in whose way there is no file."""
    try:
        return ensure_folders(drive=drive, paths=paths)
    except NameTaken:
        made: dict[str, Folder | None] = {}
        for path in paths:
            with suppress(NameTaken):
                made |= ensure_folders(drive=drive, paths={path})
        return made


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
        error = ngettext(
            "%(count)s file could not be uploaded.",
            "%(count)s files could not be uploaded.",
            task.failed_files,
        ) % {"count": task.failed_files}
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
        row = same.select_for_update(of=("self",), no_key=True).first()  # `count_our_failure` holds no task
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
