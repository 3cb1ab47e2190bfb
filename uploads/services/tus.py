"""The bytes of one file in order, as the tus protocol sends them.

The offset of an upload is the size of its staged file and nothing else: no row has to agree with the disk, and after
any crash it tells what is there. A block is appended under the lock of the staged file, and only at its present end.
So two requests at once never mix: one goes on, the other is refused.
"""

import logging
import os
import time
from collections.abc import Iterable
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from drives.services import hashing_ahead
from drives.storage import StagingClosed, blob_storage
from drives.storage.staging import in_writes
from uploads.errors import (
    OffsetMismatch,
    SentInParts,
    StorageFailed,
    UploadClosed,
    UploadGone,
    UploadInterrupted,
    UploadTooLong,
)
from uploads.models import TaskFile, UploadTask
from uploads.services.files import given_up_when_refused, land_staged, require_receiving, start_upload
from uploads.services.landing import fail_file
from uploads.services.manifests import ManifestFile
from uploads.services.news import tell
from uploads.services.parts import hash_ahead, note_part
from uploads.services.tasks import cancel_task, create_task, reload
from uploads.services.whole import upload_from_memory

logger = logging.getLogger(__name__)
NOTE_SECONDS = 1.0


def create_upload(
    *, user: User, drive_id: UUID | None, file: ManifestFile, client_info: dict[str, str]
) -> TaskFile:
    """An upload task of one file; its quota is reserved. An empty file lands at once.

    Raises what `create_task` raises.
    """
    task = create_task(
        user=user, drive_id=drive_id, task_name=file.file_name, files=[file], client_info=client_info
    )
    task_file = reload(task.files.get())
    if not file.file_size:
        task_file, _size = receive(task_file=task_file, actor=user, offset=0, blocks=())
    return task_file


def require_in_order(task_file: TaskFile) -> None:
    """Raises UploadGone for a file that is given up or whose task is closed; SentInParts."""
    if task_file.status in TaskFile.LANDED_STATUSES:
        return
    if task_file.status == TaskFile.Status.FAILED or task_file.task.status not in UploadTask.OPEN_STATUSES:
        raise UploadGone
    if task_file.upload_id and task_file.part_size:
        raise SentInParts


def received_size(task_file: TaskFile) -> int:
    """Bytes that are there, including those of a request under way. Raises StagingClosed where somebody has taken
    them.
    """
    if task_file.status in TaskFile.LANDED_STATUSES:
        return task_file.file_size
    if not task_file.upload_id:
        return 0
    try:
        return blob_storage().staging_path(task_file.upload_id).stat().st_size
    except FileNotFoundError as error:
        raise StagingClosed from error


def find_offset(*, task_file: TaskFile, actor: User) -> tuple[TaskFile, int]:
    """The file and how many of its bytes are there, for a client that wants to go on.

    Who finds all of them takes the file for uploaded. So where we were interrupted before it had landed, it lands
    now. Raises UploadGone, SentInParts, and what `land_staged` raises.
    """
    require_in_order(task_file)
    try:
        size = received_size(task_file)
    except StagingClosed:
        size = task_file.file_size
    if size == task_file.file_size and task_file.status == TaskFile.Status.UPLOADING:
        try:
            task_file = land_staged(task_file=task_file, actor=actor)
        except UploadInterrupted:
            task_file, size = reload(task_file), 0
    return task_file, size


def receive(
    *,
    task_file: TaskFile,
    actor: User,
    offset: int,
    blocks: Iterable[bytes | memoryview],
    length: int | None = None,
) -> tuple[TaskFile, int]:
    """Append `blocks` at `offset` as they come, and land the file with its last byte; the file and the new offset.

    What has come before `blocks` ends, or before an error, stays. `length` is that of all blocks where it is known.
    Raises UploadGone, SentInParts, UploadClosed, UploadPaused, OffsetMismatch, UploadTooLong, StorageFailed, and what
    `land_staged` raises.
    """
    require_in_order(task_file)
    try:
        there = received_size(task_file)
    except StagingClosed as error:
        raise UploadClosed(status="closed") from error
    if offset != there:
        raise OffsetMismatch(offset=there)
    if length is not None:
        require_room(task_file, offset + length)
    if task_file.status in TaskFile.LANDED_STATUSES:
        return task_file, offset
    require_receiving(task_file)
    if not task_file.upload_id:
        task_file = start_upload(task_file=task_file, part_size=0)
        require_in_order(task_file)
    noted = time.monotonic()
    for block in blocks:
        append(task_file, offset, block)
        hash_ahead(task_file, offset, offset + len(block))
        hashing_ahead.let_catch_up(task_file.upload_id, offset)
        offset += len(block)
        if time.monotonic() - noted >= NOTE_SECONDS:
            note(task_file, offset)
            noted = time.monotonic()
    if offset == task_file.file_size:
        return land_staged(task_file=task_file, actor=actor), offset
    note(task_file, offset)
    return task_file, offset


def receive_whole(*, task_file: TaskFile, actor: User, content: memoryview) -> tuple[TaskFile, int]:
    """All of a small file at once, in an upload that has just been made; the file and the new offset.

    Raises DigestMismatch and NameTaken, after which the file is failed and can be retried; StorageFailed, UploadClosed.
    """
    with given_up_when_refused(task_file):
        row = upload_from_memory(
            user=actor,
            task_id=task_file.task_id,
            task_file_id=task_file.pk,
            content=content,
            started_at=timezone.now(),
        )
    return row, len(content)


def require_room(task_file: TaskFile, end: int) -> None:
    """Raises UploadTooLong for bytes that would end behind the file."""
    if end > task_file.file_size:
        raise UploadTooLong(limit=task_file.file_size)


def append(task_file: TaskFile, offset: int, block: bytes | memoryview) -> None:
    """Write `block` at the end of what is there, which must be at `offset`.

    Raises OffsetMismatch, UploadTooLong, UploadClosed, StorageFailed.
    """
    require_room(task_file, offset + len(block))
    try:
        with blob_storage().staged(task_file.upload_id) as file:
            there = file.seek(0, os.SEEK_END)
            if there != offset:
                raise OffsetMismatch(offset=there)
            file.writelines(in_writes(block))
    except StagingClosed as error:
        raise UploadClosed(status="closed") from error
    except OSError as error:
        logger.exception("bytes of upload file %s were not written", task_file.pk)
        raise StorageFailed(retry_after=5) from error


def note(task_file: TaskFile, size: int) -> None:
    """Record how far it is, for whoever watches; clients are told the size on disk.

    Raises UploadClosed, UploadPaused where no more bytes are wanted.
    """
    require_receiving(reload(task_file))
    note_part(task_file, number=1, size=size, etag="")
    tell(task_file.task_id)


def terminate(*, task_file: TaskFile) -> None:
    """Give an upload up: the whole task where this is its only file; a file of a larger one can be retried.

    Raises UploadGone, SentInParts, UploadClosed (it has landed), TransitionNotAllowed.
    """
    require_in_order(task_file)
    if task_file.status in TaskFile.LANDED_STATUSES:
        raise UploadClosed(status=task_file.status)
    if task_file.task.total_files == 1:
        cancel_task(task=task_file.task)
    else:
        fail_file(task_file=task_file, message=_("Aborted."))
