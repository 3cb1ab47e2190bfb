"""Where blobs live: the Django storage alias `blobs`, with what uploads and downloads need besides.

A blob is staged first (parts at their offsets, or a stream), then kept under its opaque key by a rename.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from django.core.files.storage import FileSystemStorage, storages

from common.ids import new_id


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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

    @contextmanager
    def staged(self, staging_id: str) -> Iterator[BinaryIO]:
        """The staged bytes, open to write and read, while nobody else has them.

        Raises StagingClosed once they are kept or discarded: a late writer must never reach a finished blob.
        """
        path = self.staging_path(staging_id)
        try:
            file = path.open("r+b")
        except FileNotFoundError as error:
            raise StagingClosed from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever waited for the lock may hold a file that was renamed away in the meantime.
            if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                raise StagingClosed
            yield file

    def keep(self, staging_id: str) -> str:
        """Make staged bytes permanent; returns their storage key. Bytes and name are on the disk then.

        Raises StagingClosed.
        """
        source = self.staging_path(staging_id)
        key = self.new_key()
        target = Path(self.path(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            sync(source)
            source.replace(target)
        except FileNotFoundError as error:
            raise StagingClosed from error
        sync(target.parent)
        return key

    def discard(self, staging_id: str) -> None:
        self.staging_path(staging_id).unlink(missing_ok=True)

    def discard_older(self, timestamp: float) -> int:
        """Discard staged bytes last written before `timestamp` (seconds since 1970); returns how many."""
        discarded = 0
        for path in self.staging_path("").iterdir():
            with suppress(FileNotFoundError):  # kept or discarded meanwhile
                if path.stat().st_mtime < timestamp:
                    path.unlink()
                    discarded += 1
        return discarded

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """The blob as a local file to read from; here it is one already."""
        yield Path(self.path(key))

    def open_blob(self, key: str) -> BinaryIO:
        return Path(self.path(key)).open("rb")


def blob_storage() -> FileSystemBlobStorage:
    """The storage behind the alias `blobs`."""
    return cast(FileSystemBlobStorage, storages["blobs"])
