"""What all buckets share, whatever protocol they speak."""

import io
import os
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from django.core.files.base import File

from drives.storage.base import BlobStorage, FileSlice, StorageError

BLOCK = 2**20
MAX_PARTS = 10_000
SENT = "direct/"
"""Where clients put objects with temporary keys; no blob ever lies below it."""


class UploadGone(StorageError):
    """There is no such multipart upload: completed, aborted, or never begun."""


class BrokenOff(Exception):
    """The connection broke before the last byte."""


@dataclass(frozen=True)
class StoredPart:
    """A part as the bucket has it; size in bytes, the CRC-64 where we sent it ourselves and the bucket knows one."""

    number: int
    etag: str
    size: int
    crc64: int | None = None


@dataclass(frozen=True)
class OpenUpload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    started_at: datetime


@dataclass(frozen=True)
class SignedUpload:
    """The URL to which a client sends bytes: with exactly these headers, and no other content type."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)


class Body(Protocol):
    """Bytes on their way from the bucket. `read` raises BrokenOff where the connection breaks."""

    def read(self, size: int) -> bytes: ...
    def close(self) -> None: ...


class RangeReader(io.RawIOBase):
    """Bytes of an object as a file. Where the connection breaks, it is opened again from there, a few times."""

    def __init__(self, storage: "BucketStorage", key: str, start: int, stop: int | None) -> None:
        self.storage, self.key, self.position, self.breaks = storage, key, start, 0
        self.body: Body | None = None
        self.body, length = storage.open_range(key, start, stop)
        self.stop = start + length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self.position < self.stop:
            assert self.body is not None  # noqa: S101  (open until `close`)
            try:
                data = self.body.read(min(len(buffer), self.stop - self.position))
                if not data:
                    raise BrokenOff("it ended before its last byte")
            except BrokenOff as error:
                self.reopen(error)
                continue
            buffer[: len(data)] = data
            self.position += len(data)
            self.passed(data)
            return len(data)
        return 0

    def passed(self, data: bytes) -> None:
        """Bytes as they go by."""

    def reopen(self, error: BrokenOff) -> None:
        self.breaks += 1
        if self.breaks == self.storage.attempts:
            raise StorageError(f"{self.key} broke off at byte {self.position}: {error}") from error
        self.close_body()
        self.body, _length = self.storage.open_range(self.key, self.position, self.stop)

    def close_body(self) -> None:
        if self.body is not None:
            self.body.close()
            self.body = None

    def close(self) -> None:
        self.close_body()
        super().close()


class BucketStorage(BlobStorage):
    """Blobs as objects below `location` in a bucket.

    Clients may send their bytes to it themselves: a multipart upload is begun here, its parts are put to signed
    addresses, and it is completed here with the parts that the bucket lists.
    """

    reader: type[RangeReader] = RangeReader
    location: str
    attempts: int
    part_size: int
    parallel_parts: int
    min_part_size: int
    """Of parts but the last one, in bytes."""

    def name_of(self, key: str) -> str:
        """The object's name in the bucket."""
        return f"{self.location.strip('/')}/{key}".lstrip("/")

    def key_of(self, name: str) -> str:
        return name.removeprefix(self.name_of(""))

    # --- What each protocol says in its own words ---

    @abstractmethod
    def put(self, key: str, body: FileSlice) -> None:
        """Store an object in one request."""

    @abstractmethod
    def open_range(self, key: str, start: int, stop: int | None) -> tuple[Body, int]:
        """The bytes and how many there are; a range that ends behind the object ends with it."""

    @abstractmethod
    def start_parts(self, key: str) -> str:
        """Begin a multipart upload; returns its id."""

    @abstractmethod
    def write_part(self, key: str, upload_id: str, number: int, body: FileSlice) -> StoredPart:
        """Send a part; numbers count from 1, and the same number again replaces it. Raises UploadGone."""

    @abstractmethod
    def parts(self, key: str, upload_id: str) -> list[StoredPart]:
        """The parts that are there, by number. Raises UploadGone."""

    @abstractmethod
    def complete_parts(self, key: str, upload_id: str, parts: list[StoredPart]) -> None:
        """Make the parts an object. Raises UploadGone."""

    @abstractmethod
    def abort_parts(self, key: str, upload_id: str) -> None:
        """Forget a multipart upload with its parts. One that is gone already is no error."""

    @abstractmethod
    def open_uploads(self) -> Iterator[OpenUpload]:
        """Multipart uploads under way."""

    @abstractmethod
    def upload_link(self, key: str, *, seconds: int) -> SignedUpload:
        """An address that takes the whole of an object by PUT, once: what lies there cannot be changed by it."""

    @abstractmethod
    def part_link(self, key: str, upload_id: str, number: int, *, seconds: int) -> SignedUpload:
        """An address that takes a part by PUT; its answer carries the part's ETag."""

    # --- What follows from it ---

    def take_in(self, path: Path, key: str) -> None:
        with path.open("rb") as file:
            self.write(key, file)
        path.unlink(missing_ok=True)

    def write(self, key: str, file: BinaryIO) -> None:
        """Store a local file: large ones in parts side by side, read as they are sent, whole or not at all."""
        size = os.fstat(file.fileno()).st_size
        part_size = max(self.part_size, -(-size // MAX_PARTS))
        if size <= part_size:
            self.put(key, FileSlice(file, 0, size))
            return
        upload_id = self.start_parts(key)

        def send(start: int) -> StoredPart:
            body = FileSlice(file, start, min(start + part_size, size))
            return self.write_part(key, upload_id, start // part_size + 1, body)

        try:
            with ThreadPoolExecutor(self.parallel_parts) as pool:
                parts = list(pool.map(send, range(0, size, part_size)))
            self.finish(key, upload_id, parts)
        except BaseException:
            with suppress(StorageError):  # then it is swept later
                self.abort_parts(key, upload_id)
            raise

    def finish(self, key: str, upload_id: str, parts: list[StoredPart]) -> None:
        """Complete an upload of our own. Of a completion whose answer got lost the second try finds no upload."""
        try:
            self.complete_parts(key, upload_id, parts)
        except UploadGone:
            if not self.exists(key) or self.size(key) != sum(part.size for part in parts):
                raise

    def open_blob(self, key: str, start: int = 0, stop: int | None = None) -> BinaryIO:
        return io.BufferedReader(self.reader(self, key, start, stop), 65536)

    def _open(self, name: str, mode: str = "rb") -> File:
        """Django's way to read."""
        if mode != "rb":
            raise ValueError("What lies in a bucket is read, and written as a whole by `save`.")
        return File(self.open_blob(name), name)

    def copy_to(self, key: str, path: Path) -> None:
        with self.open_blob(key) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, BLOCK)

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """A file of its own, gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="yuntu-blob-") as folder:
            path = Path(folder, "blob")
            self.copy_to(key, path)
            yield path
