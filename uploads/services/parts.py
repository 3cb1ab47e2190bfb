"""Parts of a file: collected and checked first, then written to their place, and never half overwritten.

Bytes that a row vouches for do not change: the place of a part that has been recorded is never written to again. A
part that comes again with other content is staged apart, and its row then names that; the parts are put together when
the file is completed. So row and bytes agree whenever the server dies.
"""

import errno
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from mmap import mmap
from typing import IO, BinaryIO

from fastcrc import crc32

from common.ids import new_id
from drives.errors import DigestMismatch, SizeMismatch
from drives.services import hashing_ahead
from drives.services.blobs import BLOCK, Digests, Hasher, digests_of
from drives.services.hashing_ahead import Ahead
from drives.storage import blob_storage, memory
from drives.storage.kernel_writes import begin_to_write
from drives.storage.staging import WRITTEN, in_writes, whole_pages, write_at, write_past_cache
from uploads.errors import PartsMissing, UploadClosed
from uploads.models import TaskFile, UploadPart

logger = logging.getLogger(__name__)
Source = Callable[[memoryview], Iterator[memoryview]]
"""Delivers bytes: consecutive pieces in the memory that it is given, starting over where that is full."""


class Etag:
    """Identifies the bytes of a part: by their MD5, or by their CRC-32 where no MD5 is wanted."""

    def __init__(self, *, with_md5: bool) -> None:
        self.crc32 = 0
        self.md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None

    def update(self, piece: bytes | memoryview) -> None:
        if self.md5:
            self.md5.update(piece)
        else:
            self.crc32 = crc32.iso_hdlc(piece, self.crc32)

    @property
    def value(self) -> str:
        return self.md5.hexdigest() if self.md5 else f"{self.crc32:08x}"

    @classmethod
    def like(cls, value: str) -> "Etag":
        """An ETag of the same kind as `value`."""
        return cls(with_md5=len(value) > 8)


class Gathered:
    """All bytes of a part, in memory where it is small, and their ETag. A context manager.

    Raises SizeMismatch for more or fewer bytes than `size`.
    """

    def __init__(self, source: Source, *, size: int, with_md5: bool) -> None:
        self.spilled: IO[bytes] | None = None
        self.size, self.told = 0, Etag(with_md5=with_md5)
        self.buffer = memory.lend()
        self.is_given_away = False
        self.writing: Future[None] | None = None
        try:
            if size > memory.SIZE:
                self.spilled = tempfile.TemporaryFile(dir=blob_storage().staging_path(""))  # noqa: SIM115 (see close)
            for piece in source(memoryview(self.buffer)):
                self.add(piece, size)
            self.require(size)
        except BaseException:
            self.close()
            raise

    def add(self, piece: memoryview, size: int) -> None:
        self.size += len(piece)
        if self.size > size:
            self.require(size)
        self.told.update(piece)
        if self.spilled:
            self.spilled.write(piece)

    def require(self, size: int) -> None:
        if self.size != size:
            raise SizeMismatch(expected=size, actual=self.size, field="chunk")

    @property
    def etag(self) -> str:
        return self.told.value

    def write_to(self, file: BinaryIO, start: int) -> Future[None]:
        """Write straight to `file`, past its buffer and if possible past the page cache.

        The kernel may go on writing, whatever becomes of this process; the future that is returned tells when it is
        done.
        """
        written = 0
        if self.spilled is None:
            whole = memoryview(self.buffer)[: self.size]
            written = len(whole_pages(whole, start))
            self.writing = begin_to_write(file.fileno(), self.buffer, written, start)
            if self.writing is None:
                written = write_past_cache(file.fileno(), whole, start)
        for block in self.blocks(written):
            write_at(file.fileno(), block, start + written)
            written += len(block)
        return self.writing or done()

    def lies_in(self, file: BinaryIO, start: int) -> bool:
        """Whether exactly these bytes are there."""
        for block in self.blocks():
            if os.pread(file.fileno(), len(block), start) != bytes(block):
                return False
            start += len(block)
        return True

    def blocks(self, start: int = 0) -> Iterator[memoryview]:
        """The bytes from `start` on."""
        if self.spilled is None:
            yield from in_writes(memoryview(self.buffer)[start : self.size])
            return
        self.spilled.seek(start)
        while block := self.spilled.read(WRITTEN):
            yield memoryview(block)

    def give_away(self) -> mmap | None:
        """Hand the memory with the whole part over to the caller; None where the part is not in memory."""
        if self.spilled is not None:
            return None
        self.is_given_away = True
        return self.buffer

    def close(self) -> None:
        if not self.is_given_away:
            if self.writing:
                wait([self.writing])
            memory.give_back(self.buffer)
        if self.spilled is not None:
            self.spilled.close()

    def __enter__(self) -> "Gathered":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def done() -> Future[None]:
    """A future that is done already."""
    future = Future[None]()
    future.set_result(None)
    return future


def laid_out(chunks: Iterable[bytes]) -> Source:
    """A source of bytes that have arrived already."""

    def source(memory: memoryview) -> Iterator[memoryview]:
        start = 0
        for chunk in chunks:
            for at in range(0, len(chunk), BLOCK):
                piece = chunk[at : at + BLOCK]
                if start + len(piece) > len(memory):
                    start = 0
                memory[start : start + len(piece)] = piece
                yield memory[start : start + len(piece)]
                start += len(piece)

    return source


def start_of(task_file: TaskFile, number: int) -> int:
    """Where part `number` (from 1) begins in the file."""
    return (number - 1) * task_file.part_size


@dataclass(frozen=True)
class Received:
    """A part that is kept, and how many parts of the file now are."""

    etag: str
    count: int


def place_part(task_file: TaskFile, number: int, gathered: Gathered, file: BinaryIO) -> Received:
    """Store a part and record it. Call with the staged bytes as `file`, under the lock of those of the part.

    Raises UploadClosed, OSError; the part is then what it was before.
    """
    start, storage = start_of(task_file, number), blob_storage()
    if is_untouched(file, start, gathered.size):
        there = None
    else:
        there = task_file.parts.filter(number=number).only("staging_id").first()
        if there is None:  # a crash of the database may have taken the row
            hashing_ahead.forget(task_file.upload_id, start)
    if there is None:
        writing = gathered.write_to(file, start)
        part = note_part(task_file, number=number, size=gathered.size, etag=gathered.etag)
        lock, copy = os.dup(file.fileno()), gathered.give_away()
        ahead = hash_ahead(task_file, start, start + gathered.size, copy, writing if copy else None)
        writing.add_done_callback(partial(end_of_write, task_file, number, ahead, lock))
        hashing_ahead.let_catch_up(task_file.upload_id, start)
        return part
    if is_same(there, gathered, file, start):
        apart = there.staging_id
    else:
        apart = new_id().hex
        try:
            with storage.staging_path(apart).open("xb") as other:
                gathered.write_to(other, 0).result()
        except OSError:
            storage.discard(apart)
            raise
    try:
        part = note_part(task_file, number=number, size=gathered.size, etag=gathered.etag, staging_id=apart)
    except UploadClosed:
        if apart != there.staging_id:
            storage.discard(apart)
        raise
    if there.staging_id not in ("", apart):
        storage.discard(there.staging_id)
    return part


def end_of_write(task_file: TaskFile, number: int, ahead: Ahead, lock: int, writing: Future[None]) -> None:
    """The part is in its place: its memory goes on, and `lock` on the place is released.

    If the disk failed, that is only logged: the hash of the file is forgotten, so the completion reads all, and finds
    out.
    """
    try:
        error = writing.exception()
        if error:
            logger.error("part %s of upload file %s was not written: %s", number, task_file.pk, error)
        hashing_ahead.end_of_write(ahead, start_of(task_file, number), failed=error is not None)
    finally:
        os.close(lock)


def is_untouched(file: BinaryIO, start: int, size: int) -> bool:
    """Whether nothing was ever written there, so that no row can vouch for it: files begin as one hole (lseek(2)).

    A file system without holes reports data everywhere; the row is then looked for.
    """
    try:
        return os.lseek(file.fileno(), start, os.SEEK_DATA) >= start + size
    except OSError as error:
        if error.errno == errno.ENXIO:  # no data from there on
            return True
        raise


def is_same(part: UploadPart, gathered: Gathered, file: BinaryIO, start: int) -> bool:
    """Whether the stored part has exactly the bytes of the one that has arrived."""
    if not part.staging_id:
        return gathered.lies_in(file, start)
    with blob_storage().staging_path(part.staging_id).open("rb") as other:
        return gathered.lies_in(other, 0)


def note_part(task_file: TaskFile, *, number: int, size: int, etag: str, staging_id: str = "") -> Received:
    """Record a part of the upload that is open now, never one of an earlier upload of the file. Raises UploadClosed."""
    count = UploadPart.objects.note(task_file, number=number, size=size, etag=etag, staging_id=staging_id)
    if count is None:
        raise UploadClosed(status="closed")
    return Received(etag, count)


def hash_ahead(
    task_file: TaskFile,
    start: int,
    stop: int,
    copy: mmap | None = None,
    writing: Future[None] | None = None,
) -> Ahead:
    """Have bytes that will not change any more hashed while the rest is still arriving (`hashing_ahead.note`)."""
    return hashing_ahead.note(
        task_file.upload_id,
        blob_storage().staging_path(task_file.upload_id),
        start=start,
        stop=stop,
        with_md5=bool(task_file.md5),
        copy=copy,
        writing=writing,
    )


def check_parts(task_file: TaskFile, etags: dict[int, str]) -> list[UploadPart]:
    """All parts. Raises PartsMissing; DigestMismatch for an ETag that is not that of the part."""
    parts = list(task_file.parts.order_by("number"))
    received = {part.number: part.etag for part in parts}
    missing = [number for number in range(1, task_file.total_parts + 1) if number not in received]
    if missing and task_file.file_size:
        raise PartsMissing(missing=missing[:1000])
    for number, etag in etags.items():
        expected, actual = etag.strip('"').lower(), received.get(number, "")
        if etag and expected != actual:
            raise DigestMismatch(expected=expected, actual=actual, field=f"chunk_etags.{number}")
    return parts


def put_together(task_file: TaskFile, parts: list[UploadPart], file: BinaryIO) -> Hasher | None:
    """Move what was staged apart to its place; returns a hasher of the beginning of the file, if there is one.

    The rows go on naming the staged copies, so that this can be repeated.
    """
    begun = hashing_ahead.take(task_file.upload_id)
    for part in parts:
        if part.staging_id:
            start = start_of(task_file, part.number)
            if begun and begun.size > start:
                begun = None  # it has hashed what was there before
            path = blob_storage().staging_path(part.staging_id)
            with suppress(FileNotFoundError), path.open("rb") as other:  # lost: `hash_parts` finds out
                file.seek(start)
                shutil.copyfileobj(other, file, BLOCK)
    if begun and begun.size > task_file.file_size:
        begun = None  # the last part was longer at first
    file.flush()
    if os.fstat(file.fileno()).st_size > task_file.file_size:
        file.truncate(task_file.file_size)
    file.seek(0)
    return begun


def hash_parts(task_file: TaskFile, parts: list[UploadPart], file: BinaryIO, begun: Hasher | None) -> Digests:
    """Digests of the file that was put together; `begun` has hashed its beginning.

    Whatever is read here is compared with the ETags of its parts. Neither the bytes nor the rows of parts are flushed
    to the disk before they are acknowledged, so after a power failure one may be there without the other
    (docs/adr/0022-parts-go-past-the-cache.md). Raises PartsMissing for parts that are not what was acknowledged, and
    deletes their rows, so that they can be sent again.
    """
    if not task_file.part_size:
        return digests_of(file, with_md5=bool(task_file.md5), begun=begun)
    hasher = begun or Hasher(with_md5=bool(task_file.md5))
    lost: list[UploadPart] = []
    with ThreadPoolExecutor(1) as side:
        for part in parts:
            if (start := start_of(task_file, part.number)) < hasher.size:
                continue
            found = Etag.like(part.etag)
            file.seek(start)
            for at in range(start, start + part.size, BLOCK):
                block = file.read(min(BLOCK, start + part.size - at))
                hasher.update(block, beside=side)
                found.update(block)
            if found.value != part.etag:
                lost.append(part)
    if lost:
        UploadPart.objects.filter(pk__in=[part.pk for part in lost]).delete()
        for part in lost:
            if part.staging_id:
                blob_storage().discard(part.staging_id)
        raise PartsMissing(missing=[part.number for part in lost][:1000])
    return hasher.digests()
