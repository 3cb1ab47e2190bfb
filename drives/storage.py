"""Where blobs live: the Django storage alias `blobs`, with what uploads and downloads need besides.

A blob is staged first (parts at their offsets, or a stream), then kept under its opaque key by a rename.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from django.core.files.storage import FileSystemStorage, storages

from common.ids import new_id


class StagingClosed(Exception):
    """The staged bytes are gone: kept as a blob or discarded."""


class FileSystemBlobStorage(FileSystemStorage):
    """Blobs in a folder: `staging/<id>` while they arrive, `<2 digits>/<id>` for good."""

    def new_key(self) -> str:
        name = new_id().hex
        return f"{name[-2:]}/{name}"

    def staging_path(self, staging_id: str) -> Path:
        """Path of the staged bytes; its folder exists."""
        folder = Path(self.location) / "staging"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / staging_id

    def open_staging(self, staging_id: str) -> None:
        """Make room for bytes that come in parts."""
        self.staging_path(staging_id).touch(mode=0o600)

    def write_at(self, staging_id: str, offset: int, chunks: Iterable[bytes]) -> None:
        """Write a part at its place. Parts never overlap, so they may come in any order and side by side.

        Raises StagingClosed once the bytes are kept or discarded: a late writer must never reach a finished blob.
        """
        with self.locked(staging_id, fcntl.LOCK_SH) as descriptor:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    written = os.pwrite(descriptor, view, offset)
                    view, offset = view[written:], offset + written

    @contextmanager
    def sealed(self, staging_id: str) -> Iterator[Path]:
        """The staged bytes with no writer left and none let in, for hashing and keeping. Raises StagingClosed."""
        with self.locked(staging_id, fcntl.LOCK_EX):
            yield self.staging_path(staging_id)

    @contextmanager
    def locked(self, staging_id: str, mode: int) -> Iterator[int]:
        path = self.staging_path(staging_id)
        try:
            descriptor = os.open(path, os.O_WRONLY)
        except FileNotFoundError as error:
            raise StagingClosed from error
        try:
            fcntl.flock(descriptor, mode)
            # Whoever waited for the lock may hold a file that was renamed away in the meantime.
            if not path.exists() or path.stat().st_ino != os.fstat(descriptor).st_ino:
                raise StagingClosed
            yield descriptor
        finally:
            os.close(descriptor)

    def keep(self, staging_id: str) -> str:
        """Make staged bytes permanent; returns their storage key. The bytes are on the disk before the name is."""
        source = self.staging_path(staging_id)
        key = self.new_key()
        target = Path(self.path(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.replace(target)
        return key

    def discard(self, staging_id: str) -> None:
        self.staging_path(staging_id).unlink(missing_ok=True)

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """The blob as a local file to read from; here it is one already."""
        yield Path(self.path(key))

    def open_blob(self, key: str) -> BinaryIO:
        return Path(self.path(key)).open("rb")


def blob_storage() -> FileSystemBlobStorage:
    """The storage behind the alias `blobs`."""
    return cast(FileSystemBlobStorage, storages["blobs"])
