"""The folder where bytes wait until they are a blob: a local one, whatever the storage behind."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from django.conf import settings


class StagingClosed(Exception):
    """The staged bytes are gone: kept as a blob or discarded."""


class Staging:
    """Bytes on their way, a file each. All web processes see the folder, on a file system that honours `flock`."""

    def staging_path(self, staging_id: str) -> Path:
        """Path of the staged bytes; its folder exists."""
        folder: Path = settings.STAGING_FOLDER
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

    def discard(self, staging_id: str) -> None:
        self.staging_path(staging_id).unlink(missing_ok=True)

    def staged_before(self, timestamp: float) -> Iterator[tuple[str, int]]:
        """Ids and sizes of staged bytes last written before `timestamp` (seconds since 1970)."""
        for path in self.staging_path("").iterdir():
            with suppress(FileNotFoundError):  # kept or discarded meanwhile
                found = path.stat()
                if found.st_mtime < timestamp:
                    yield path.name, found.st_size
