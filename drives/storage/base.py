"""What every storage of blobs offers, in addition to what Django asks of a storage."""

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from django.core.files.base import File
from django.core.files.storage import Storage

from common.ids import new_id
from drives.storage.staging import Staging, StagingClosed


class StorageError(OSError):
    """The storage refused or did not answer. The text is for operators: it names the cause, never a secret."""


@dataclass(frozen=True)
class StoredObject:
    """What lies in the storage under `key`; size in bytes."""

    key: str
    size: int
    modified_at: datetime


def key_of(staging_id: str) -> str:
    """The key under which staged bytes are kept: `<2 digits>/<id>`."""
    return f"{staging_id[-2:]}/{staging_id}"


def new_key() -> str:
    """A key that nothing has."""
    return key_of(new_id().hex)


class BlobStorage(Staging, Storage, ABC):
    """Blobs under opaque keys. Bytes are staged first and then kept, whole or not at all.

    Whatever a key holds was written in one go: a reader never sees half of it, and of two writers of one key the
    later one stays. Everything raises FileNotFoundError for a key that holds nothing and StorageError where the
    storage fails.
    """

    def keep(self, staging_id: str) -> str:
        """Make staged bytes permanent; returns their storage key. Raises StagingClosed.

        The key follows from the id: if the staged bytes are gone and no row says where to, they can still be found.
        """
        key = key_of(staging_id)
        try:
            self.take_in(self.staging_path(staging_id), key)
        except FileNotFoundError as error:
            raise StagingClosed from error
        return key

    def store(self, content: bytes | memoryview) -> str:
        """Store bytes that are in memory; returns their storage key. Nothing remains if that fails."""
        staging_id = new_id().hex
        try:
            self.staging_path(staging_id).write_bytes(content)
            return self.keep(staging_id)
        except BaseException:
            self.discard(staging_id)
            raise

    @abstractmethod
    def take_in(self, path: Path, key: str) -> None:
        """Turn a local file into the content of `key`; the file is then gone.

        If that fails, the file remains, unless a disk failed to write its bytes.
        """

    @abstractmethod
    def open_blob(self, key: str, start: int = 0, stop: int | None = None) -> BinaryIO:
        """The bytes from `start` up to `stop`, or to the end, as a file to read from."""

    def require_whole(self, key: str, size: int) -> None:
        """Raises StorageError where fewer than `size` bytes lie there. A bucket is not asked: it tells when read."""

    @abstractmethod
    def copy_to(self, key: str, path: Path) -> None:
        """Write the content of `key` to a local file."""

    @abstractmethod
    def local_copy(self, key: str) -> AbstractContextManager[Path]:
        """The content of `key` as a local file to read from."""

    @abstractmethod
    def objects(self, prefix: str = "") -> Generator[StoredObject, None, None]:
        """Everything whose key begins with `prefix`, in the order of the keys' bytes, a page at a time."""

    def link(
        self, key: str, *, seconds: int, content_type: str, disposition: str, method: str = "GET"
    ) -> str | None:
        """A URL by which a browser gets `key` from the storage itself; None where only we can send it."""
        return None

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: File) -> str:
        """Django's way in. The stream is staged, so that one that breaks off leaves nothing."""
        staging_id = new_id().hex
        try:
            with self.staging_path(staging_id).open("wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
            self.take_in(self.staging_path(staging_id), name)
        finally:
            self.discard(staging_id)
        return name


class FileSlice(io.RawIOBase):
    """Bytes `start` to `stop` of an open file, as a file of its own. Any number of slices may be read at once."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self.file, self.start, self.stop, self.position = file, start, stop, start

    def __len__(self) -> int:
        return self.stop - self.start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position - self.start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: self.start, os.SEEK_CUR: self.position, os.SEEK_END: self.stop}[whence]
        self.position = min(max(origin + offset, self.start), self.stop)
        return self.tell()

    def read(self, size: int | None = -1) -> bytes:
        left = self.stop - self.position
        wanted = left if size is None or size < 0 else min(size, left)
        data = os.pread(self.file.fileno(), wanted, self.position)
        self.position += len(data)
        return data
