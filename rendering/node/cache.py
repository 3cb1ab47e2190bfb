"""Input files of a machine: fetched once by content, laid out by hard links, dropped when their room is needed."""

import errno
import fcntl
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from drives.models import Blob
from drives.storage import StorageError, blob_storage
from rendering.node.patience import patiently

BLOCK = 1 << 20
AT_ONCE = 16  # most of the time of a small file is waiting
PARTIAL = ".part"
LOCK_SECONDS = 0.05
FREE_SIZE = 1 << 30  # of the disk, which is not the cache's alone
SCAN_SECONDS = 60  # how long the sizes that other processes of the machine added may go unseen
# No hard link can be made here: another file system, one without links, too many links of one file.
NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK}
Check = Callable[[], None]


class InputGone(Exception):
    """The storage has lost a file, so no node will find it."""


class Cached(NamedTuple):
    """A file of the cache: when it was last wanted (ns), its size, whether the folder of a job holds it."""

    used_at: int
    path: Path
    size: int
    is_in_use: bool


def go_on() -> None:
    """The check of who has no reason to stop."""


class BlobCache:
    """Blobs by sha256 in a folder of the machine, which all its nodes share.

    Files are read-only and have the time of their blob as their own, so that a look shows whether a program has
    written to one; it is then fetched anew. A file in the folder of a job has a second link. It is never dropped,
    since that would free nothing. `size_limit` (bytes, 0 for none) applies to files that no job is using.
    """

    def __init__(self, folder: Path, *, size_limit: int = 0) -> None:
        self.folder, self.size_limit = folder, size_limit
        self.lock = threading.Lock()
        self.wanted: Counter[Path] = Counter()
        self.size, self.scanned_at = 0, float("-inf")

    def path_of(self, blob: Blob) -> Path:
        digest = blob.sha256 or blob.pk.hex
        return self.folder / digest[:2] / digest

    def lay_out(self, files: Iterable[tuple[str, Blob]], root: Path, *, check: Check = go_on) -> None:
        """Put blobs at their drive paths below `root`, fetching what is not here, several at a time.

        `check` is called all along and may raise to stop it. Raises OSError, StorageError, InputGone.
        """
        places = [(blob, root / path.lstrip("/")) for path, blob in files]
        for folder in {place.parent for _blob, place in places}:
            folder.mkdir(parents=True, exist_ok=True)
        with self.holding(self.path_of(blob) for blob, _place in places):
            missing = [(blob, place) for blob, place in places if not self.link(blob, place)]
            self.fetch_all({self.path_of(blob): blob for blob, _place in missing}.values(), check)
            for blob, place in missing:
                while not self.link(blob, place):  # another process of the machine may have made room
                    self.fetch(blob, check)

    @contextmanager
    def holding(self, paths: Iterable[Path]) -> Iterator[None]:
        """Keep files from being dropped until they are linked."""
        held = Counter(paths)
        with self.lock:
            self.wanted.update(held)
        try:
            yield
        finally:
            with self.lock:
                self.wanted -= held

    def link(self, blob: Blob, place: Path) -> bool:
        """Put a cached blob at `place`; False where it is not here, or has been changed."""
        cached = self.path_of(blob)
        try:
            os.link(cached, place)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if not is_whole(cached, blob):
                cached.unlink(missing_ok=True)
                return False
            shutil.copyfile(cached, place)
            place.chmod(0o444)
            os.utime(place, ns=(time.time_ns(), stamp(blob)))
            return True
        if not is_whole(place, blob):
            place.unlink()
            cached.unlink(missing_ok=True)
            return False
        os.utime(place, ns=(time.time_ns(), stamp(blob)))
        return True

    def fetch_all(self, blobs: Iterable[Blob], check: Check) -> None:
        blobs = list(blobs)
        if not blobs:
            return
        self.make_room(sum(blob.size for blob in blobs))
        if len(blobs) == 1:
            self.fetch(blobs[0], check)
            return
        with ThreadPoolExecutor(min(AT_ONCE, len(blobs)), thread_name_prefix="fetch") as pool:
            running = [pool.submit(self.fetch, blob, check) for blob in blobs]
            done, _pending = wait(running, return_when=FIRST_EXCEPTION)
            pool.shutdown(wait=True, cancel_futures=True)
            for each in done:
                each.result()

    def fetch(self, blob: Blob, check: Check = go_on) -> Path:
        """Copy a blob into the cache, whole or not at all, patiently where the storage is away for a moment.

        Of several who want it at once, in whatever process of the machine, one copies and the others wait.
        """
        target = self.path_of(blob)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + PARTIAL)
        with locked(partial, check) as descriptor:
            if is_whole(target, blob):
                partial.unlink()
                return target
            try:
                patiently(lambda: copy(blob, descriptor, check), check=check)
                os.fchmod(descriptor, 0o444)
                os.utime(descriptor, ns=(time.time_ns(), stamp(blob)))
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        return target

    def make_room(self, size: int) -> None:
        """Drop the files that were wanted least recently until `size` more bytes have room; never those of a job at
        work.
        """
        with self.lock:
            if time.monotonic() - self.scanned_at < SCAN_SECONDS and self.lacking(size) <= 0:
                self.size += size
                return
            files = sorted(self.scan())
            self.size = sum(file.size for file in files)
            for file in files:
                if self.lacking(size) <= 0:
                    break
                if not file.is_in_use and file.path not in self.wanted:
                    file.path.unlink(missing_ok=True)
                    self.size -= file.size
            self.size += size
            self.scanned_at = time.monotonic()

    def lacking(self, size: int) -> int:
        """How many bytes have to go before `size` bytes more may come."""
        self.folder.mkdir(parents=True, exist_ok=True)
        disk = size + FREE_SIZE - shutil.disk_usage(self.folder).free
        return max(disk, self.size + size - self.size_limit) if self.size_limit else disk

    def scan(self) -> Iterator[Cached]:
        """The files of the cache. What a process that died was fetching is removed."""
        for folder in self.folder.glob("[0-9a-f][0-9a-f]"):
            for entry in os.scandir(folder):
                with suppress(FileNotFoundError):
                    if entry.name.endswith(PARTIAL):
                        remove_orphan(Path(entry.path))
                        continue
                    found = entry.stat(follow_symlinks=False)
                    yield Cached(found.st_atime_ns, Path(entry.path), found.st_size, found.st_nlink > 1)


def stamp(blob: Blob) -> int:
    """The time of change that a blob's file carries (ns): programs may cache what they made of a texture by it."""
    return int(blob.created_at.timestamp()) * 10**9


def is_whole(path: Path, blob: Blob) -> bool:
    """Whether a file is here as it was fetched."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return (found.st_size, found.st_mtime_ns) == (blob.size, stamp(blob))


def copy(blob: Blob, descriptor: int, check: Check) -> None:
    """Write a blob into an open file, from its beginning. Raises StorageError where it is not all there, InputGone."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.ftruncate(descriptor, 0)
    size = 0
    try:
        source = blob_storage().open_blob(blob.storage_key)
    except FileNotFoundError as error:
        raise InputGone(blob.storage_key) from error
    with source:
        while block := source.read(BLOCK):
            check()
            size += len(block)
            while block:
                block = block[os.write(descriptor, block) :]
    if size != blob.size:
        raise StorageError(f"{blob.storage_key} has {size} bytes, not {blob.size}")


@contextmanager
def locked(path: Path, check: Check) -> Iterator[int]:
    """The file at `path`, made where there is none, while no other process or thread has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not take(descriptor):
                time.sleep(LOCK_SECONDS)
                check()
            # Whoever waited may hold a file that has its final name by now.
            if inode_of(path) == os.fstat(descriptor).st_ino:
                yield descriptor
                return
        finally:
            os.close(descriptor)


def inode_of(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def take(descriptor: int) -> bool:
    """Take the lock of an open file, unless somebody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_orphan(partial: Path) -> None:
    descriptor = os.open(partial, os.O_RDWR | os.O_CLOEXEC)
    try:
        if take(descriptor):
            partial.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
