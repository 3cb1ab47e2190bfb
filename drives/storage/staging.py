"""The folder where bytes wait until they are a blob: a local one, whatever the storage behind."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from mmap import PAGESIZE
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from django.conf import settings

FLOCK = Struct("hhqqi4x")
"""`struct flock` of Linux on 64 bits: type, whence, start, length, pid."""


# sync_file_range(2), which Python lacks.
libc = ctypes.CDLL(None)
libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
SYNC_FILE_RANGE_WRITE = 2
WRITTEN = 1 << 15
"""Bytes at a time through the page cache: for larger pieces the kernel looks for more than eight pages in a row, which
it seldom has at hand (PAGE_ALLOC_COSTLY_ORDER).
"""
CACHED = 1 << 28
"""Bytes of a stream that go through the page cache."""


def in_writes(block: bytes | memoryview) -> Iterator[memoryview]:
    """A block in pieces of WRITTEN bytes, the last one shorter."""
    whole = memoryview(block)
    return (whole[start : start + WRITTEN] for start in range(0, len(whole), WRITTEN))


def begin_to_sync(descriptor: int, start: int, size: int) -> None:
    """Have the kernel begin to write these bytes to the disk: who syncs the file later has little to wait for.

    Where it fails it costs time only.
    """
    libc.sync_file_range(descriptor, start, size, SYNC_FILE_RANGE_WRITE)


def write_at(descriptor: int, block: memoryview, start: int) -> None:
    """All of a block to its place in a file."""
    while block:
        written = os.pwrite(descriptor, block, start)
        block, start = block[written:], start + written


def read_at(descriptor: int, memory: memoryview, start: int) -> int:
    """Read into `memory` from `start` on; how many bytes, none at the end of the file."""
    return os.preadv(descriptor, [memory], start)


@contextmanager
def past_cache(descriptor: int) -> Iterator[bool]:
    """Whole pages of memory go straight to their place on the disk, or come from there (open(2), "O_DIRECT").

    Where the file system cannot, they go through the page cache (False), or what is done meanwhile is not done.
    """
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    with suppress(OSError):  # some refuse to be asked, others do so at the first page
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
    try:
        yield bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def whole_pages(memory: memoryview, start: int) -> memoryview:
    """Those of `memory`, which begins where a page does; none where their place at `start` does not."""
    return memory[: 0 if start % PAGESIZE else len(memory) // PAGESIZE * PAGESIZE]


def write_past_cache(descriptor: int, memory: memoryview, start: int) -> int:
    """Write what can be written past the page cache; how many bytes are written."""
    pages, written = whole_pages(memory, start), 0
    with past_cache(descriptor):
        while written < len(pages):
            written += os.pwrite(descriptor, pages[written:], start + written)
    return written


def write_through_cache(descriptor: int, block: memoryview, start: int) -> None:
    """All of a block to its place, by the page cache."""
    for piece in in_writes(block):
        write_at(descriptor, piece, start)
        start += len(piece)


def write_ahead(descriptor: int, block: memoryview, start: int) -> None:
    """All of a block to its place, and on its way to the disk: who syncs the file later has little to wait for.

    Through the page cache, since who has just sent a file reads it next; of one that is larger than CACHED the rest
    goes past it, so that what others read stays there.
    """
    written = write_past_cache(descriptor, block, start) if start >= CACHED else 0
    if rest := block[written:]:
        write_through_cache(descriptor, rest, start + written)
        begin_to_sync(descriptor, start + written, len(rest))


def read_past_cache(descriptor: int, memory: memoryview, start: int) -> int:
    """`read_at`, past the page cache where that can be."""
    if pages := whole_pages(memory, start):
        with past_cache(descriptor):
            return os.preadv(descriptor, [pages], start)
    return read_at(descriptor, memory, start)


class StagingClosed(Exception):
    """The staged bytes are gone: kept as a blob or discarded."""


class Staging:
    """Bytes on their way, a file each. All web processes see the folder, on a file system that honours locks."""

    def staging_path(self, staging_id: str) -> Path:
        """Path of the staged bytes; its folder exists."""
        folder: Path = settings.STAGING_FOLDER
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
        return folder / staging_id

    def open_staging(self, staging_id: str, *, size: int = 0) -> None:
        """Make room for bytes that come: those to be appended, or parts of a file of `size`.

        The room is a hole: the kernel need not let the file grow by each part, for which it waits. Where a file system
        has none, it does.
        """
        path = self.staging_path(staging_id)
        path.touch(mode=0o600)
        if size:
            with suppress(OSError):
                os.truncate(path, size)

    @contextmanager
    def staged(self, staging_id: str, *, start: int = 0, size: int = 0) -> Iterator[BinaryIO]:
        """The staged bytes, open to write and read, while nobody else has those from `start` on, `size` of them.

        All of them where that is 0. Raises StagingClosed once they are kept or discarded: a late writer must never
        reach a finished blob.
        """
        path = self.staging_path(staging_id)
        try:
            file = path.open("r+b")
        except FileNotFoundError as error:
            raise StagingClosed from error
        with file:
            # Of the open file, not of the process: threads wait for each other, too (fcntl(2), "Open file description
            # locks").
            fcntl.fcntl(file, fcntl.F_OFD_SETLKW, FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, size, 0))
            # Whoever waited for the lock may hold a file that was renamed away in the meantime.
            if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                raise StagingClosed
            yield file

    def discard(self, staging_id: str) -> None:
        self.staging_path(staging_id).unlink(missing_ok=True)

    def staged_before(self, timestamp: float) -> Iterator[tuple[str, int]]:
        """Ids and sizes of staged bytes last written before `timestamp` (seconds since 1970)."""
        for path in self.staging_path("").iterdir():
            with suppress(FileNotFoundError):  # kept or discarded meanwhile
                found = path.stat()
                if found.st_mtime < timestamp:
                    yield path.name, found.st_size
