"""What lies in the bucket of the stand-in for OSS: contents in files of their own, everything else in memory."""

import base64
import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from uuid import uuid4

import fastcrc

from tests.standins.oss_signature import Refused

MIN_PART_SIZE = 100 * 1024
SSE = "x-oss-server-side-encryption"


@dataclass
class Stored:
    """An object or a part."""

    path: Path
    size: int
    etag: str
    crc64: int
    encryption: dict[str, str]
    content_type: str = "application/octet-stream"
    modified_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def headers(self) -> dict[str, object]:
        return {
            "ETag": f'"{self.etag}"',
            "x-oss-hash-crc64ecma": self.crc64,
            "Last-Modified": format_datetime(self.modified_at, usegmt=True),
            **self.encryption,
        }

    def blocks(self, start: int, stop: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(start)
            while block := file.read(min(65536, stop - file.tell())):
                yield block


@dataclass
class Upload:
    key: str
    encryption: dict[str, str]
    parts: dict[int, Stored] = field(default_factory=dict)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def put(self, number: int, part: Stored) -> None:
        """The same number again replaces the part."""
        old = self.parts.get(number)
        self.parts[number] = part
        if old:
            old.path.unlink()


def receive(folder: Path, read_block: Callable[[], bytes], headers: dict[str, str]) -> Stored:
    """The body of a request, written down as it comes. Raises Refused; then nothing is left of it."""
    path, md5, size, crc64 = folder / uuid4().hex, hashlib.md5(usedforsecurity=False), 0, 0
    try:
        with path.open("wb") as file:
            while block := read_block():
                file.write(block)
                md5.update(block)
                crc64 = fastcrc.crc64.xz(block, crc64)
                size += len(block)
        declared = headers.get("content-md5")
        if declared and base64.b64decode(declared) != md5.digest():
            raise Refused(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    content_type = headers.get("content-type", "application/octet-stream")
    return Stored(path, size, md5.hexdigest().upper(), crc64, encryption_of(headers), content_type)


def encryption_of(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith(SSE)}


class Bucket:
    """Objects by name. Every change is whole: a reader has the old object or the new one."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        folder.mkdir(parents=True, exist_ok=True)
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self.lock = threading.Lock()

    def store(self, key: str, stored: Stored) -> None:
        with self.lock:
            old = self.objects.get(key)
            self.objects[key] = stored
        if old:
            old.path.unlink()

    def require_free(self, key: str, headers: dict[str, str]) -> None:
        """Raises Refused where the request must not overwrite what is there."""
        if headers.get("x-oss-forbid-overwrite") == "true" and key in self.objects:
            raise Refused(409, "FileAlreadyExists", "The object you specified already exists.")

    def find(self, key: str) -> Stored:
        stored = self.objects.get(key)
        if stored is None:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        return stored

    def delete(self, key: str) -> None:
        with self.lock:
            stored = self.objects.pop(key, None)
        if stored:
            stored.path.unlink()

    def listed(self, prefix: str, after: str) -> list[tuple[str, Stored]]:
        with self.lock:
            found = [item for item in self.objects.items() if item[0].startswith(prefix) and item[0] > after]
        return sorted(found, key=lambda item: item[0].encode())

    def begin(self, key: str, headers: dict[str, str]) -> str:
        upload_id = uuid4().hex.upper()
        self.uploads[upload_id] = Upload(key, encryption_of(headers))
        return upload_id

    def upload(self, key: str, upload_id: str) -> Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise Refused(404, "NoSuchUpload", "The specified upload does not exist.")
        return upload

    def complete(self, key: str, upload_id: str, numbers: list[int]) -> Stored:
        with self.lock:
            upload = self.upload(key, upload_id)
            del self.uploads[upload_id]
        path, crc64, size = self.folder / uuid4().hex, 0, 0
        with path.open("wb") as target:
            for number in numbers:
                with upload.parts[number].path.open("rb") as source:
                    shutil.copyfileobj(source, target, 2**20)
        with path.open("rb") as file:
            while block := file.read(2**20):
                crc64, size = fastcrc.crc64.xz(block, crc64), size + len(block)
        tags = b"".join(bytes.fromhex(upload.parts[number].etag) for number in numbers)
        etag = f"{hashlib.md5(tags, usedforsecurity=False).hexdigest().upper()}-{len(numbers)}"
        stored = Stored(path, size, etag, crc64, upload.encryption)
        self.store(key, stored)
        self.drop(upload)
        return stored

    def abort(self, key: str, upload_id: str) -> None:
        with self.lock:
            upload = self.upload(key, upload_id)
            del self.uploads[upload_id]
        self.drop(upload)

    def drop(self, upload: Upload) -> None:
        for part in upload.parts.values():
            part.path.unlink()
