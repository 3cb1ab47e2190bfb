"""The bytes of one file: whole, or in parts in any order."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.errors import DomainError
from common.ids import new_id
from drives.errors import DigestMismatch, SizeMismatch
from drives.services.blobs import Digests, Kept, find_kept, keep, mark_known
from drives.storage import StagingClosed, blob_storage
from uploads.errors import (
    MultipartNotStarted,
    PartNumberInvalid,
    PartsMissing,
    SentDirectly,
    SentInOrder,
    StorageFailed,
    TooLargeAtOnce,
    UploadClosed,
    UploadInterrupted,
)
from uploads.models import TaskFile, UploadTask
from uploads.selectors import MAX_PART_SIZE, MAX_PARTS
from uploads.services.landing import Arrival, fail_file, land
from uploads.services.news import tell
from uploads.services.parts import (
    Gathered,
    Received,
    Source,
    check_parts,
    hash_parts,
    place_part,
    put_together,
    start_of,
)
from uploads.services.tasks import lock_open_task, reload, require_active, require_open

logger = logging.getLogger(__name__)


def require_receiving(task_file: TaskFile) -> None:
    """Raises UploadClosed or UploadPaused where task or file accept no more bytes."""
    require_active(task_file.task)
    require_unfinished(task_file)


def require_unfinished(task_file: TaskFile) -> None:
    """Raises UploadClosed where the file has landed or failed."""
    if task_file.status not in TaskFile.OPEN_STATUSES:
        raise UploadClosed(status=task_file.status)


def require_size_at_once(task_file: TaskFile) -> None:
    """Raises TooLargeAtOnce for a file that has to come in parts."""
    if task_file.file_size > settings.UPLOAD_DIRECT_MAX_SIZE:
        raise TooLargeAtOnce(limit=settings.UPLOAD_DIRECT_MAX_SIZE)


def check_content(task_file: TaskFile, digests: Digests) -> None:
    """Raises SizeMismatch, DigestMismatch against what the manifest declared."""
    if digests.size != task_file.file_size:
        raise SizeMismatch(expected=task_file.file_size, actual=digests.size, field="file")
    if task_file.md5 and digests.md5 != task_file.md5:
        raise DigestMismatch(expected=task_file.md5, actual=digests.md5, field="file")


@contextmanager
def counting_our_failures(task_file: TaskFile) -> Iterator[None]:
    """Raises StorageFailed where the storage fails.

    That is our fault, so the file can be sent, or completed, again at once. But it counts as a retry, and after three
    of them the file fails for good.
    """
    try:
        yield
    except OSError as error:
        logger.exception("the bytes of upload file %s were not stored", task_file.pk)
        count_our_failure(task_file)
        raise StorageFailed(retry_after=5) from error


def count_our_failure(task_file: TaskFile) -> None:
    """Spend one of the three retries; if none is left, the file fails for good."""
    message = str(StorageFailed.text)
    again = TaskFile.objects.filter(
        pk=task_file.pk, status__in=TaskFile.OPEN_STATUSES, retry_count__lt=TaskFile.MAX_RETRIES
    ).update(retry_count=F("retry_count") + 1, error_message=message, updated_at=timezone.now())
    if not again:
        fail_file(task_file=task_file, message=message)


def finish(
    task_file: TaskFile, kept: Kept, actor: User, *, was_stored: bool, started_at: datetime | None = None
) -> TaskFile:
    """Put the content of one file into the drive; once, whoever comes first.

    Raises NotVisible, UploadClosed, DriveReadOnly, NameTaken.
    """
    arrival = Arrival(task_file, kept, was_stored, started_at)
    landed = land(task=task_file.task, actor=actor, arrived=[arrival])
    outcome = landed[task_file.pk]
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def upload_whole(
    *,
    task_file: TaskFile,
    actor: User,
    staging_id: str,
    digests: Digests,
    started_at: datetime | None = None,
) -> TaskFile:
    """A file that came in one request and lies staged. Answers the earlier result when it has landed already.

    Raises UploadClosed, UploadPaused, TooLargeAtOnce, SizeMismatch, DigestMismatch, NameTaken, StorageFailed; the
    staged bytes are gone then.
    """
    try:
        if task_file.status in TaskFile.LANDED_STATUSES:
            return task_file
        require_receiving(task_file)
        require_size_at_once(task_file)
        check_content(task_file, digests)
        with counting_our_failures(task_file):
            kept = keep(staging_id=staging_id, digests=digests)
        return finish(task_file, kept, actor, was_stored=not kept.is_new, started_at=started_at)
    finally:
        blob_storage().discard(staging_id)


def part_size_for(size: int) -> int:
    """UPLOAD_PART_SIZE, doubled until 10,000 parts suffice; at most 64 MiB. Raises SizeMismatch: too large."""
    part_size: int = settings.UPLOAD_PART_SIZE
    while part_size * MAX_PARTS < size and part_size < MAX_PART_SIZE:
        part_size = min(part_size * 2, MAX_PART_SIZE)
    if size > part_size * MAX_PARTS:
        raise SizeMismatch(_("The file is too large."), expected=part_size * MAX_PARTS, actual=size)
    return part_size


def start_multipart(*, task_file: TaskFile) -> TaskFile:
    """Open a multipart upload, or answer the open one, so that a client that comes back goes on where it was.

    Raises UploadClosed, UploadPaused, SizeMismatch, SentInOrder, SentDirectly.
    """
    require_receiving(task_file)
    if not task_file.upload_id:
        task_file = start_upload(task_file=task_file, part_size=part_size_for(task_file.file_size))
    require_in_parts(task_file)
    return task_file


def require_in_parts(task_file: TaskFile) -> None:
    """Raises MultipartNotStarted; SentInOrder where the open upload has no parts; SentDirectly."""
    if not task_file.upload_id:
        raise MultipartNotStarted
    if task_file.storage_key:
        raise SentDirectly
    if not task_file.part_size:
        raise SentInOrder


def start_upload(*, task_file: TaskFile, part_size: int) -> TaskFile:
    """Make room for the bytes: in parts of `part_size`, or one after the other where that is 0.

    The upload that is open afterwards may be another request's. Raises UploadClosed, UploadPaused.
    """
    upload_id = new_id().hex
    blob_storage().open_staging(upload_id, size=task_file.file_size if part_size else 0)
    started = False
    try:
        started = note_upload(task_file, upload_id=upload_id, part_size=part_size)
    finally:
        if not started:
            blob_storage().discard(upload_id)
    task_file = reload(task_file)
    require_receiving(task_file)
    return task_file


def note_upload(task_file: TaskFile, *, upload_id: str, part_size: int, storage_key: str = "") -> bool:
    """Record an upload of a file that has none; False where another request was first. Raises UploadClosed."""
    now = timezone.now()
    with transaction.atomic():
        task = lock_open_task(task_file.task_id)
        started = TaskFile.objects.filter(
            pk=task_file.pk, upload_id="", status__in=TaskFile.OPEN_STATUSES
        ).update(
            upload_id=upload_id,
            storage_key=storage_key,
            part_size=part_size,
            sha256="",
            status=TaskFile.Status.UPLOADING,
            started_at=now,
            updated_at=now,
        )
        if started and task.status == UploadTask.Status.PENDING:
            task.move_to(UploadTask.Status.UPLOADING)
    return bool(started)


def receive_part(
    *, task_file: TaskFile, number: int, source: Source, md5: str = "", with_md5: bool = True
) -> Received:
    """Check a part and keep it; the same part again replaces it.

    `number` counts from 1. The ETag is the MD5, or where neither `with_md5` nor `md5` wants one the CRC-32. Raises
    UploadClosed, UploadPaused, MultipartNotStarted, SentInOrder, PartNumberInvalid, SizeMismatch, DigestMismatch,
    StorageFailed; a refused part changes nothing.
    """
    require_receiving(task_file)
    require_in_parts(task_file)
    if not 1 <= number <= task_file.total_parts:
        raise PartNumberInvalid(field="chunk_index", total_parts=task_file.total_parts)
    start, size = start_of(task_file, number), task_file.size_of_part(number)
    try:
        with Gathered(source, size=size, with_md5=with_md5 or bool(md5)) as gathered:
            if md5 and md5.lower() != gathered.etag:
                raise DigestMismatch(expected=md5.lower(), actual=gathered.etag, field="chunk")
            # Bytes and row under one lock: of two requests with the same part both are from the later one.
            with blob_storage().staged(task_file.upload_id, start=start, size=size) as file:
                part = place_part(task_file, number, gathered, file)
    except StagingClosed as error:
        raise UploadClosed(status="closed") from error
    except OSError as error:
        # The part was not acknowledged; nothing is lost, and the client sends it again.
        logger.exception("a part of upload file %s was not written", task_file.pk)
        raise StorageFailed(retry_after=5) from error
    tell(task_file.task_id)
    return part


def complete_multipart(*, task_file: TaskFile, actor: User, etags: dict[int, str] | None = None) -> TaskFile:
    """Check that all parts are there, hash the whole and put it into the drive. Idempotent.

    `etags`, where the client sends them, must be those of the parts. Raises UploadClosed, UploadPaused,
    MultipartNotStarted, PartsMissing; StorageFailed, after which it can be completed again; UploadInterrupted, after
    which it is sent again; DigestMismatch and NameTaken, after which the file is failed and can be retried.
    """
    if task_file.status in TaskFile.LANDED_STATUSES:
        return task_file
    require_receiving(task_file)
    require_in_parts(task_file)
    return land_staged(task_file=task_file, actor=actor, etags=etags)


def land_staged(*, task_file: TaskFile, actor: User, etags: dict[int, str] | None = None) -> TaskFile:
    """Hash what lies staged and put it into the drive, once, whoever comes first.

    Raises UploadClosed, PartsMissing; StorageFailed, UploadInterrupted, DigestMismatch and NameTaken as
    `complete_multipart` does.
    """
    try:
        with blob_storage().staged(task_file.upload_id) as file:
            # Under the lock: nobody else has just put the parts together and tidied them away.
            parts = check_parts(task_file, etags or {})
            with counting_our_failures(task_file):
                begun = put_together(task_file, parts, file)
                digests = hash_parts(task_file, parts, file, begun)
            with given_up_when_refused(task_file):
                check_content(task_file, digests)
            with counting_our_failures(task_file):
                # Known from here on, so that a process that dies before the file lands takes nothing with it.
                same = TaskFile.objects.filter(pk=task_file.pk, upload_id=task_file.upload_id)
                same.update(sha256=digests.sha256)
                kept = keep(staging_id=task_file.upload_id, digests=digests)
    except StagingClosed:
        return await_landing(task_file, actor)
    except (PartsMissing, StorageFailed):
        found = reload(task_file)
        if found.status not in TaskFile.LANDED_STATUSES:
            raise
        return found  # by another door, which is still tidying up
    with given_up_when_refused(task_file):
        return finish(task_file, kept, actor, was_stored=not kept.is_new)


@contextmanager
def given_up_when_refused(task_file: TaskFile) -> Iterator[None]:
    """A refusal makes the file fail, with the refusal as its message."""
    try:
        yield
    except DomainError as error:
        fail_file(task_file=task_file, message=str(error))
        raise


def await_landing(task_file: TaskFile, actor: User, seconds: float = 2) -> TaskFile:
    """Another request has taken the same bytes: its result is ours, even if it died before the file landed.

    Raises UploadClosed, UploadInterrupted, StorageFailed.
    """
    deadline = time.monotonic() + seconds
    while (found := reload(task_file)).upload_id == task_file.upload_id and time.monotonic() < deadline:
        told = Digests(found.file_size, found.sha256, crc32=0)
        if found.sha256 and (blob := mark_known([told]).get(found.sha256)):
            return finish(found, Kept(blob, is_new=False), actor, was_stored=False)
        time.sleep(0.05)
    if found.status in TaskFile.LANDED_STATUSES:
        return found
    if found.sha256 and found.upload_id == task_file.upload_id:
        # It died between keeping the bytes and writing that down, or is only slow: then the row is one all the same.
        with counting_our_failures(found):
            blob = find_kept(staging_id=found.upload_id, sha256=found.sha256)
        if blob is not None:
            return finish(found, Kept(blob, is_new=False), actor, was_stored=False)
    # The bytes are gone: our fault, and they must come again.
    if fail_file(task_file=task_file, message=str(UploadInterrupted.text), was_ours=True):
        raise UploadInterrupted
    raise UploadClosed(status=reload(task_file).status)


def abort_multipart(*, task_file: TaskFile, reason: str = "") -> None:
    """Stop a multipart upload at the client's wish. Aborting what is not open is no error."""
    fail_file(task_file=task_file, message=reason or str(_("Aborted.")))


def retry_file(*, task_file: TaskFile) -> TaskFile:
    """Make a failed file pending again, at most three times. Raises UploadClosed."""
    require_open(task_file.task)
    again = TaskFile.objects.filter(
        pk=task_file.pk, status=TaskFile.Status.FAILED, retry_count__lt=TaskFile.MAX_RETRIES
    ).update(
        status=TaskFile.Status.PENDING,
        retry_count=F("retry_count") + 1,
        error_message="",
        updated_at=timezone.now(),
    )
    task_file.refresh_from_db()
    if not again:
        raise UploadClosed(status=task_file.status)
    return task_file
