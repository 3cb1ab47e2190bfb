"""A file that its client sends straight into the bucket, in parts to signed URLs.

The multipart upload is started and completed here: the bucket says which parts exist and how large the object is, and
the client is not trusted on that. Once the upload is completed, none of its URLs reaches the object any more.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from accounts.models import User
from drives.errors import DigestMismatch, SizeMismatch
from drives.messages import ask_verification
from drives.services.blobs import Kept
from drives.services.direct import abandon_object, register_object
from drives.storage import StorageError, blob_storage, new_key
from drives.storage.buckets import BucketStorage, SignedUpload, StoredPart, UploadGone
from uploads.errors import (
    FileEmpty,
    MultipartNotStarted,
    NotSupported,
    PartNumberInvalid,
    PartsMissing,
    SentInOrder,
    SentInParts,
    StorageFailed,
    UploadClosed,
    UploadInterrupted,
)
from uploads.models import TaskFile
from uploads.selectors import MAX_PART_SIZE
from uploads.services.files import (
    counting_our_failures,
    finish,
    given_up_when_refused,
    note_upload,
    part_size_for,
    reload,
    require_receiving,
)
from uploads.services.landing import fail_file

logger = logging.getLogger(__name__)
AWAIT_SECONDS = 10.0


def bucket() -> BucketStorage:
    """The storage, if clients can reach it directly. Raises NotSupported."""
    storage = blob_storage()
    if not isinstance(storage, BucketStorage):
        raise NotSupported
    return storage


@contextmanager
def asking_the_bucket() -> Iterator[None]:
    """Raises StorageFailed where the bucket fails; nothing has been changed then."""
    try:
        yield
    except StorageError as error:
        logger.exception("the bucket did not answer about a direct upload")
        raise StorageFailed(retry_after=5) from error


def require_direct(task_file: TaskFile) -> None:
    """Raises MultipartNotStarted; SentInOrder, SentInParts where the open upload comes to us."""
    if not task_file.upload_id:
        raise MultipartNotStarted
    if not task_file.storage_key:
        raise SentInParts if task_file.part_size else SentInOrder


def start_direct(*, task_file: TaskFile) -> TaskFile:
    """Open a multipart upload into the bucket, or answer the open one.

    Raises NotSupported, UploadClosed, UploadPaused, FileEmpty, SizeMismatch (too large), SentInParts, SentInOrder,
    StorageFailed.
    """
    storage = bucket()
    require_receiving(task_file)
    if not task_file.file_size:
        raise FileEmpty
    if not task_file.upload_id:
        part_size = min(max(part_size_for(task_file.file_size), storage.min_part_size), MAX_PART_SIZE)
        key = new_key()
        with asking_the_bucket():
            upload_id = storage.start_parts(key)
        started = False
        try:
            started = note_upload(task_file, upload_id=upload_id, part_size=part_size, storage_key=key)
        finally:
            if not started:
                with suppress(StorageError):  # then it is swept later
                    abandon_object(key=key, upload_id=upload_id)
        task_file = reload(task_file)
        require_receiving(task_file)
    require_direct(task_file)
    return task_file


def part_links(*, task_file: TaskFile, numbers: list[int], seconds: int) -> list[tuple[int, SignedUpload]]:
    """Addresses that take the parts of these numbers (from 1) for `seconds`, in the order asked for.

    They work until they end or the upload does, whatever happens to the task meanwhile. Raises NotSupported,
    UploadClosed, UploadPaused, MultipartNotStarted, SentInParts, SentInOrder, PartNumberInvalid.
    """
    storage = bucket()
    require_receiving(task_file)
    require_direct(task_file)
    total = task_file.total_parts
    for place, number in enumerate(numbers):
        if not 1 <= number <= total:
            raise PartNumberInvalid(field=f"part_numbers.{place}", total_parts=total)
    key, upload_id = task_file.storage_key, task_file.upload_id
    return [(number, storage.part_link(key, upload_id, number, seconds=seconds)) for number in numbers]


def sent_parts(*, task_file: TaskFile) -> list[StoredPart]:
    """The parts of an open direct upload that the bucket has, by number.

    Raises NotSupported, UploadClosed, MultipartNotStarted, SentInParts, SentInOrder, StorageFailed; UploadInterrupted
    where the bucket has lost them, after which the file begins anew.
    """
    storage = bucket()
    if task_file.status not in TaskFile.OPEN_STATUSES:
        raise UploadClosed(status=task_file.status)
    require_direct(task_file)
    with asking_the_bucket():
        try:
            return storage.parts(task_file.storage_key, task_file.upload_id)
        except UploadGone:
            is_whole = await_object(storage, task_file)
    if not is_whole:
        raise interrupted(task_file)
    sizes = {number: task_file.size_of_part(number) for number in range(1, task_file.total_parts + 1)}
    return [StoredPart(number, "", size) for number, size in sizes.items()]


def complete_direct(*, task_file: TaskFile, actor: User, etags: dict[int, str] | None = None) -> TaskFile:
    """Have the bucket put the parts together and put the file into the drive; once, whoever comes first.

    `etags`, where the client sends them, must be those of the parts. The content is the owner's from then on, and is
    shared once it was read. Raises NotSupported, UploadClosed, UploadPaused, MultipartNotStarted, SentInParts,
    SentInOrder; PartsMissing, SizeMismatch and DigestMismatch, after which parts can be sent again; StorageFailed,
    after which it can be completed again; UploadInterrupted, after which the file begins anew; NameTaken, after which
    the file is failed and can be retried.
    """
    storage = bucket()
    if task_file.status in TaskFile.LANDED_STATUSES:
        return task_file
    require_receiving(task_file)
    require_direct(task_file)
    with counting_our_failures(task_file):
        is_whole = put_together(storage, task_file, etags or {}) or await_object(storage, task_file)
    if not is_whole:
        found = reload(task_file)
        if found.status in TaskFile.LANDED_STATUSES:
            return found
        raise interrupted(task_file)
    return land_object(task_file=task_file, actor=actor)


def put_together(storage: BucketStorage, task_file: TaskFile, etags: dict[int, str]) -> bool:
    """Complete the multipart upload; False where there is none any more."""
    try:
        parts = storage.parts(task_file.storage_key, task_file.upload_id)
        check_sent_parts(task_file, parts, etags)
        storage.finish(task_file.storage_key, task_file.upload_id, parts)
    except UploadGone:
        return False
    return True


def check_sent_parts(task_file: TaskFile, parts: list[StoredPart], etags: dict[int, str]) -> None:
    """Raises PartsMissing, SizeMismatch, DigestMismatch against what the bucket has."""
    sent = {part.number: part for part in parts}
    expected = range(1, task_file.total_parts + 1)
    if missing := [number for number in expected if number not in sent]:
        raise PartsMissing(missing=missing[:1000])
    for number, part in sent.items():
        size = task_file.size_of_part(number) if number in expected else 0
        if part.size != size:
            raise SizeMismatch(expected=size, actual=part.size, field=f"chunk_etags.{number}")
        declared, actual = etags.get(number, "").strip('"').lower(), part.etag.strip('"').lower()
        if declared and declared != actual:
            raise DigestMismatch(expected=declared, actual=actual, field=f"chunk_etags.{number}")


def await_object(storage: BucketStorage, task_file: TaskFile) -> bool:
    """Whether the object is there, whole, though its multipart upload is gone: another request is completing it.

    Waits for that as long as the file is open. Raises StorageError.
    """
    deadline = time.monotonic() + AWAIT_SECONDS
    while True:
        if storage.exists(task_file.storage_key):
            return storage.size(task_file.storage_key) == task_file.file_size
        if reload(task_file).upload_id != task_file.upload_id or time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def interrupted(task_file: TaskFile) -> UploadInterrupted | UploadClosed:
    """The bucket has nothing of the upload any more, which is our fault if it was still open."""
    if fail_file(task_file=task_file, message=str(UploadInterrupted.text), was_ours=True):
        return UploadInterrupted()
    return UploadClosed(status=reload(task_file).status)


def land_object(*, task_file: TaskFile, actor: User) -> TaskFile:
    """Put the object under the file's key into the drive, unverified.

    Raises StorageFailed; SizeMismatch, UploadClosed and NameTaken, after which the file is failed.
    """
    with counting_our_failures(task_file), given_up_when_refused(task_file):
        blob = register_object(key=task_file.storage_key, size=task_file.file_size)
    with given_up_when_refused(task_file):
        row = finish(task_file, Kept(blob, is_new=False), actor, was_stored=False)
    if row.file is not None and row.file.blob_id == blob.pk:
        ask_verification(blob.pk)
    return row
