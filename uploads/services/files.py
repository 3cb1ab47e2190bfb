"""Bytes of one file: whole, or in parts of any order."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.errors import DomainError, NotVisible
from common.ids import new_id
from common.realtime import publish, take_turn
from drives.errors import DigestMismatch, SizeMismatch
from drives.models import Blob
from drives.services.blobs import Digests, digests_of, store_staged
from drives.services.tree import put_files
from drives.storage import StagingClosed, blob_storage
from uploads.errors import MultipartNotStarted, PartNumberInvalid, PartsMissing, UploadClosed
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.selectors import progress_of
from uploads.services.tasks import announce, land, lock_open_task, lock_task, new_file, require_open

MAX_PARTS = 10_000
MAX_PART_SIZE = 64 * 2**20


def require_receiving(task_file: TaskFile) -> None:
    """Raises UploadClosed where task or file take no more bytes."""
    require_open(task_file.task)
    if task_file.status not in TaskFile.OPEN_STATUSES:
        raise UploadClosed(status=task_file.status)


def reload(task_file: TaskFile) -> TaskFile:
    """The row as it now stands. Raises NotVisible where it is gone."""
    rows = TaskFile.objects.select_related("task__user", "task__drive", "folder", "file__blob")
    found = rows.filter(pk=task_file.pk).first()
    if found is None:
        raise NotVisible
    return found


def check_content(task_file: TaskFile, digests: Digests) -> None:
    """Raises SizeMismatch, DigestMismatch against what the manifest declared."""
    if digests.size != task_file.file_size:
        raise SizeMismatch(expected=task_file.file_size, actual=digests.size, field="file")
    if task_file.md5 and digests.md5 != task_file.md5:
        raise DigestMismatch(expected=task_file.md5, actual=digests.md5, field="file")


def finish(task_file: TaskFile, blob: Blob, actor: User) -> TaskFile:
    """Put the content into the drive and count the file as landed; once, whoever comes first.

    Raises UploadClosed, NameTaken.
    """
    with transaction.atomic():
        lock_task(task_file.task_id)
        task_file = reload(task_file)
        if task_file.status in TaskFile.LANDED_STATUSES:
            return task_file
        require_receiving(task_file)
        task, staged = task_file.task, task_file.upload_id
        new = new_file(task, task_file, blob)
        file = put_files(drive=task.drive, actor=actor, new_files=[new], reserved=task_file.file_size)[0]
        land(task=task, landed=[(task_file, file)], status=TaskFile.Status.COMPLETED)
        if staged:
            task_file.parts.all().delete()
        announce(task)
    if staged:
        blob_storage().discard(staged)
    return task_file


def upload_whole(*, task_file: TaskFile, actor: User, staging_id: str, digests: Digests) -> TaskFile:
    """A file that came in one request and lies staged. Answers the earlier result when it has landed already.

    Raises UploadClosed, SizeMismatch, DigestMismatch, NameTaken; the staged bytes are gone then.
    """
    try:
        if task_file.status in TaskFile.LANDED_STATUSES:
            return task_file
        require_receiving(task_file)
        check_content(task_file, digests)
        return finish(task_file, store_staged(staging_id=staging_id, digests=digests), actor)
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

    Raises UploadClosed, SizeMismatch.
    """
    require_receiving(task_file)
    if task_file.upload_id:
        return task_file
    part_size, upload_id = part_size_for(task_file.file_size), new_id().hex
    blob_storage().open_staging(upload_id)
    started = 0
    try:
        with transaction.atomic():
            task = lock_open_task(task_file.task_id)
            started = TaskFile.objects.filter(
                pk=task_file.pk, upload_id="", status__in=TaskFile.OPEN_STATUSES
            ).update(
                upload_id=upload_id,
                part_size=part_size,
                status=TaskFile.Status.UPLOADING,
                updated_at=timezone.now(),
            )
            if started and task.status == UploadTask.Status.PENDING:
                task.move_to(UploadTask.Status.UPLOADING)
    finally:
        if not started:
            blob_storage().discard(upload_id)
    task_file = reload(task_file)
    require_receiving(task_file)
    return task_file


def receive_part(*, task_file: TaskFile, number: int, chunks: Iterable[bytes], md5: str = "") -> UploadPart:
    """Check a part and write it at its place; the same part again replaces it.

    `number` counts from 1. Raises UploadClosed, MultipartNotStarted, PartNumberInvalid, SizeMismatch,
    DigestMismatch; a refused part changes nothing.
    """
    require_receiving(task_file)
    if not task_file.upload_id:
        raise MultipartNotStarted
    if not 1 <= number <= task_file.total_parts:
        raise PartNumberInvalid(field="chunk_index", total_parts=task_file.total_parts)
    content = b"".join(chunks)
    expected = task_file.size_of_part(number)
    if len(content) != expected:
        raise SizeMismatch(expected=expected, actual=len(content), field="chunk")
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 and md5.lower() != etag:
        raise DigestMismatch(expected=md5.lower(), actual=etag, field="chunk")
    try:
        # Bytes and row under one lock: of two requests with the same part both are from the later one.
        with blob_storage().staged(task_file.upload_id) as file:
            file.seek((number - 1) * task_file.part_size)
            file.write(content)
            file.flush()
            part = note_part(task_file, number=number, size=expected, etag=etag)
    except StagingClosed as error:
        raise UploadClosed(status="closed") from error
    if take_turn(f"upload:{task_file.task_id}"):
        task_file.task.refresh_from_db()
        publish(task_file.task.user_id, "upload:progress", progress_of(task_file.task))
    return part


def note_part(task_file: TaskFile, *, number: int, size: int, etag: str) -> UploadPart:
    """Write down a part of the upload that is open now, never one for an earlier upload of the file.

    Raises UploadClosed.
    """
    with transaction.atomic():
        same = TaskFile.objects.filter(
            pk=task_file.pk, upload_id=task_file.upload_id, status=TaskFile.Status.UPLOADING
        )
        if same.select_for_update(of=("self",), no_key=True).first() is None:
            raise UploadClosed(status="closed")
        part, _created = UploadPart.objects.update_or_create(
            task_file=task_file, number=number, defaults={"size": size, "etag": etag}
        )
    return part


def check_parts(task_file: TaskFile, etags: dict[int, str]) -> None:
    """Raises PartsMissing; DigestMismatch for an ETag that is not that of the part."""
    received = dict(task_file.parts.values_list("number", "etag"))
    missing = [number for number in range(1, task_file.total_parts + 1) if number not in received]
    if missing and task_file.file_size:
        raise PartsMissing(missing=missing[:1000])
    for number, etag in etags.items():
        expected, actual = etag.strip('"').lower(), received.get(number, "")
        if etag and expected != actual:
            raise DigestMismatch(expected=expected, actual=actual, field=f"chunk_etags.{number}")


def complete_multipart(*, task_file: TaskFile, actor: User, etags: dict[int, str] | None = None) -> TaskFile:
    """Check that all parts are there, hash the whole and put it into the drive. Idempotent.

    `etags`, where the client sends them, must be those of the parts. Raises UploadClosed, MultipartNotStarted,
    PartsMissing; DigestMismatch and NameTaken, after which the file is failed and can be retried.
    """
    if task_file.status in TaskFile.LANDED_STATUSES:
        return task_file
    require_receiving(task_file)
    if not task_file.upload_id:
        raise MultipartNotStarted
    try:
        with blob_storage().staged(task_file.upload_id) as file:
            # Under the lock: nobody else has just put the parts together and tidied them away.
            check_parts(task_file, etags or {})
            with given_up_when_refused(task_file):
                digests = digests_of(file, with_md5=bool(task_file.md5))
                check_content(task_file, digests)
                blob = store_staged(staging_id=task_file.upload_id, digests=digests)
    except StagingClosed:
        return await_landing(task_file)
    with given_up_when_refused(task_file):
        return finish(task_file, blob, actor)


@contextmanager
def given_up_when_refused(task_file: TaskFile) -> Iterator[None]:
    """A refusal fails the file, with the refusal as its message."""
    try:
        yield
    except DomainError as error:
        fail_file(task_file=task_file, message=str(error))
        raise


def await_landing(task_file: TaskFile, seconds: float = 10) -> TaskFile:
    """Another request has taken the same bytes: its result is ours. Raises UploadClosed if there is none."""
    deadline = time.monotonic() + seconds
    while (found := reload(task_file)).upload_id == task_file.upload_id and time.monotonic() < deadline:
        time.sleep(0.05)
    if found.status in TaskFile.LANDED_STATUSES:
        return found
    # Whoever took them died before the file landed, or they were given up: the bytes must come again.
    fail_file(task_file=task_file, message=str(_("The upload was interrupted.")))
    raise UploadClosed(status=TaskFile.Status.FAILED)


def fail_file(*, task_file: TaskFile, message: str) -> None:
    """Give up the upload of a file as the caller knows it, not a later one: its parts are discarded.

    `retry_file` makes the file pending again.
    """
    with transaction.atomic():
        failed = TaskFile.objects.filter(
            pk=task_file.pk, upload_id=task_file.upload_id, status__in=TaskFile.OPEN_STATUSES
        ).update(
            status=TaskFile.Status.FAILED,
            upload_id="",
            error_message=message[:500],
            updated_at=timezone.now(),
        )
        if failed:
            task_file.parts.all().delete()
    if failed and task_file.upload_id:
        blob_storage().discard(task_file.upload_id)


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
