"""Content in, content out: hashing, storing once."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.db import IntegrityError, transaction
from django.utils import timezone
from fastcrc import crc32

from common.ids import new_id
from drives.models import Blob
from drives.storage import blob_storage, key_of

BLOCK = 1 << 20


@dataclass(frozen=True)
class Digests:
    """Size in bytes and digests of a content; hex in lower case, `md5` empty where nobody asked for it."""

    size: int
    sha256: str
    crc32: int
    md5: str = ""


class Hasher:
    """Digests of bytes as they pass."""

    def __init__(self, *, with_md5: bool = True) -> None:
        self.size, self.crc32 = 0, 0
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None

    def update(self, chunk: bytes, *, beside: Executor | None = None) -> None:
        """`beside` takes the MD5, which costs twice the rest (hashlib lets go of the GIL)."""
        pending = beside.submit(self.md5.update, chunk) if beside and self.md5 else None
        self.size += len(chunk)
        self.crc32 = crc32.iso_hdlc(chunk, self.crc32)
        self.sha256.update(chunk)
        if pending:
            pending.result()
        elif self.md5:
            self.md5.update(chunk)

    def digests(self) -> Digests:
        md5 = self.md5.hexdigest() if self.md5 else ""
        return Digests(self.size, self.sha256.hexdigest(), self.crc32, md5)


def digests_of(file: BinaryIO, *, with_md5: bool, begun: Hasher | None = None) -> Digests:
    """Digests of a file in one sequential read, which goes on where `begun` has stopped."""
    hasher = begun or Hasher(with_md5=with_md5)
    if hasher.size:
        file.seek(hasher.size)
    with ThreadPoolExecutor(1) as side:
        while block := file.read(BLOCK):
            hasher.update(block, beside=side)
    return hasher.digests()


def known_blob(digests: Digests) -> Blob | None:
    """A verified blob of this content, marked as in use so that the sweep leaves it alone."""
    same = Blob.objects.filter(sha256=digests.sha256, size=digests.size)
    blob = same.first() if same.update(unreferenced_at=None, updated_at=timezone.now()) else None
    if blob and digests.md5 and not blob.md5:
        same.update(md5=digests.md5)
        blob.md5 = digests.md5
    return blob


def store_staged(*, staging_id: str, digests: Digests) -> Blob:
    """The blob of staged bytes whose digests we computed ourselves: stored once, however many bring it."""
    storage = blob_storage()
    blob = known_blob(digests)
    if blob is not None:
        storage.discard(staging_id)
        return blob
    return write_down(storage.keep(staging_id), digests)


def find_kept(*, staging_id: str, sha256: str) -> Blob | None:
    """The blob of bytes that were kept by a process that died before it wrote that down.

    None where they were not, or are none of this digest. Raises StorageError.
    """
    key = key_of(staging_id)
    try:
        with blob_storage().open_blob(key) as file:
            digests = digests_of(file, with_md5=True)
    except FileNotFoundError:
        return None
    return write_down(key, digests) if digests.sha256 == sha256 else None


def write_down(key: str, digests: Digests) -> Blob:
    """The blob of what lies under `key`."""
    try:
        with transaction.atomic():
            return Blob.objects.create(
                size=digests.size,
                sha256=digests.sha256,
                md5=digests.md5,
                crc32=digests.crc32,
                storage_key=key,
                verified_at=timezone.now(),
            )
    except IntegrityError:
        # Somebody stored the same content in between, and theirs stays; or found these very bytes (`find_kept`).
        blob = Blob.objects.get(sha256=digests.sha256)
        if blob.storage_key != key:
            blob_storage().delete(key)
        return blob


def store_chunks(chunks: Iterable[bytes]) -> Blob:
    """Store a stream of bytes as a blob."""
    staging_id, hasher = new_id().hex, Hasher()
    try:
        with blob_storage().staging_path(staging_id).open("wb") as file:
            for chunk in chunks:
                hasher.update(chunk)
                file.write(chunk)
        return store_staged(staging_id=staging_id, digests=hasher.digests())
    except BaseException:
        blob_storage().discard(staging_id)
        raise


def store_file(path: Path) -> Blob:
    """Store a copy of a local file as a blob."""
    with path.open("rb") as file:
        return store_chunks(iter(lambda: file.read(BLOCK), b""))
