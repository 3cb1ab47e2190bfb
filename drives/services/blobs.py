"""Content in, content out: hashing, storing once."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from django.db import connection
from django.utils import timezone
from fastcrc import crc32

from common.compiled import planned_cursor
from common.ids import new_id
from common.models import as_written
from common.postgresql.arrays import array_of
from drives.errors import DigestMismatch
from drives.models import Blob
from drives.storage import blob_storage, key_of
from drives.storage.staging import write_ahead

BLOCK = 1 << 20
AT_ONCE = 8


@dataclass(frozen=True)
class Digests:
    """Size in bytes and digests of a content; hex in lower case, `md5` empty where nobody asked for it."""

    size: int
    sha256: str
    crc32: int
    md5: str = ""


@dataclass(frozen=True)
class Declared:
    """A digest that a client told beforehand: `algorithm` is md5, sha1 or sha256, `value` hex in lower case."""

    algorithm: str
    value: str


class Hasher:
    """Digests of bytes as they pass, with the one that was `declared` among them."""

    def __init__(self, *, with_md5: bool = True, declared: Declared | None = None) -> None:
        self.size, self.crc32, self.declared = 0, 0, declared
        self.sha256 = hashlib.sha256()
        with_md5 = with_md5 or (declared is not None and declared.algorithm == "md5")
        self.md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None
        self.sha1 = hashlib.sha1(usedforsecurity=False) if declared and declared.algorithm == "sha1" else None

    def update(self, chunk: bytes | memoryview, *, beside: Executor | None = None) -> None:
        """`beside` takes the MD5, which costs twice the rest, and SHA-1 (hashlib lets go of the GIL)."""
        others = [digest for digest in (self.md5, self.sha1) if digest]
        pending = [beside.submit(digest.update, chunk) for digest in others] if beside else []
        self.size += len(chunk)
        self.crc32 = crc32.iso_hdlc(chunk, self.crc32)
        self.sha256.update(chunk)
        for update in pending:
            update.result()
        if beside is None:
            for digest in others:
                digest.update(chunk)

    def require_declared(self) -> None:
        """Raises DigestMismatch."""
        if self.declared is None:
            return
        found = getattr(self, self.declared.algorithm).hexdigest()
        if found != self.declared.value:
            raise DigestMismatch(expected=self.declared.value, actual=found)

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


def digests_in_memory(content: bytes | memoryview) -> Digests:
    hasher = Hasher()
    hasher.update(content)
    return hasher.digests()


BLOB = [field.attname for field in Blob._meta.concrete_fields]
# In the order of their ids: two who mark the same contents do not wait for each other in a circle.
MARK_KNOWN = """
    UPDATE drives_blob
    SET unreferenced_at = NULL, updated_at = %s, md5 = coalesce(nullif(drives_blob.md5, ''), known.md5)
    FROM (
        SELECT blob.id, sent.md5
        FROM unnest(%s::text[], %s::bigint[], %s::text[]) AS sent (sha256, size, md5)
        JOIN drives_blob blob ON blob.sha256 = sent.sha256 AND blob.size = sent.size
        ORDER BY blob.id
        FOR NO KEY UPDATE OF blob
    ) known
    WHERE drives_blob.id = known.id
    RETURNING {columns}
"""
MARK_KNOWN = MARK_KNOWN.format(columns=", ".join(f"drives_blob.{name}" for name in BLOB))
# The function is in drives/migrations/0018_put_files.py.
WRITE_DOWN = """
    SELECT id, blob_id FROM drives_write_blobs(
        %s, %s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[]
    )
"""


@dataclass(frozen=True)
class Kept:
    """Content that is in the storage; its blob is still to be written down where it `is_new`."""

    blob: Blob
    is_new: bool


def mark_known(contents: Collection[Digests]) -> dict[str, Blob]:
    """Verified blobs of these contents, by SHA-256, marked as in use so that the sweep leaves them alone.

    One that came in parts may have no MD5 yet; where it is told here, it is kept.
    """
    columns = [[getattr(digests, name) for digests in contents] for name in ("sha256", "size", "md5")]
    with planned_cursor() as cursor:
        cursor.execute(MARK_KNOWN, [timezone.now(), *map(array_of, columns)])
        blobs = [Blob.from_db(connection.alias, BLOB, row) for row in cursor.fetchall()]
    return {str(blob.sha256): blob for blob in blobs}


def keep(*, staging_id: str, digests: Digests) -> Kept:
    """Staged bytes whose digests we computed ourselves, in the storage.

    Raises OSError; the bytes stay staged then, where `BlobStorage.take_in` leaves them.
    """
    [kept] = keep_all(staged=[(staging_id, digests)])
    if isinstance(kept, OSError):
        raise kept
    return kept


def keep_all(*, staged: Sequence[tuple[str, Digests]]) -> list[Kept | OSError]:
    """Staged contents (id and digests), in the order given; each content is stored once, however many bring it.

    Where the storage fails for one, its error stands in its place.
    """
    first = {digests.sha256: (staging_id, digests) for staging_id, digests in reversed(staged)}
    known = mark_known([digests for _staging_id, digests in first.values()])
    found: dict[str, Kept | OSError] = {sha256: Kept(blob, is_new=False) for sha256, blob in known.items()}
    fresh = [item for sha256, item in first.items() if sha256 not in known]
    keys = move_all([staging_id for staging_id, _digests in fresh])
    for (_staging_id, digests), key in zip(fresh, keys, strict=True):
        found[digests.sha256] = Kept(new_blob(key, digests), is_new=True) if isinstance(key, str) else key
    for staging_id, digests in staged:
        moved = first[digests.sha256][0] == staging_id and digests.sha256 not in known
        if not moved and isinstance(found[digests.sha256], Kept):
            blob_storage().discard(staging_id)
    return [found[digests.sha256] for _staging_id, digests in staged]


def move_all(staging_ids: Sequence[str]) -> list[str | OSError]:
    """Keys of staged bytes, kept side by side: each waits for the disk, or for a bucket, most of the time."""

    def move(staging_id: str) -> str | OSError:
        try:
            return blob_storage().keep(staging_id)
        except OSError as error:
            return error

    if len(staging_ids) < 2:
        return [move(staging_id) for staging_id in staging_ids]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(move, staging_ids))


def store_staged(*, staging_id: str, digests: Digests) -> Blob:
    """The blob of staged bytes. Raises OSError."""
    return blob_of(keep(staging_id=staging_id, digests=digests))


def blob_of(kept: Kept) -> Blob:
    """The blob of kept content, written down."""
    return write_down(kept.blob) if kept.is_new else kept.blob


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
    return write_down(new_blob(key, digests)) if digests.sha256 == sha256 else None


def new_blob(key: str, digests: Digests) -> Blob:
    """What lies under `key`, not written down yet."""
    now = timezone.now()
    return as_written(
        Blob(
            size=digests.size,
            sha256=digests.sha256,
            md5=digests.md5,
            crc32=digests.crc32,
            storage_key=key,
            verified_at=now,
            created_at=now,
            updated_at=now,
        )
    )


def columns_of(blobs: Sequence[Blob]) -> list[list[Any]]:
    """What the function that writes them down is given."""
    names = ("pk", "size", "sha256", "md5", "crc32", "storage_key")
    return [[getattr(blob, name) for blob in blobs] for name in names]


def write_down(blob: Blob) -> Blob:
    """The blob, or the one of the same content that somebody else has written down in between."""
    return write_down_all([blob])[0]


def write_down_all(blobs: Sequence[Blob]) -> list[Blob]:
    """`write_down` for several in one statement, in their order."""
    with planned_cursor() as cursor:
        cursor.execute(WRITE_DOWN, [timezone.now(), *map(array_of, columns_of(blobs))])
        ids = dict(cursor.fetchall())
    return [the_one_that_stays(blob, ids[blob.pk]) for blob in blobs]


def the_one_that_stays(blob: Blob, blob_id: UUID) -> Blob:
    """Of the content of `blob` the database has `blob_id`: where that is another one, our bytes go."""
    if blob_id == blob.pk:
        return blob
    other = Blob.objects.get(pk=blob_id)
    if (
        other.storage_key != blob.storage_key
    ):  # the same where these very bytes were found again (`find_kept`)
        blob_storage().delete(blob.storage_key)
    return other


def keep_chunks(chunks: Iterable[bytes | memoryview], hasher: Hasher | None = None) -> Kept:
    """A stream of bytes in the storage, hashed and written as it passes (ADR 26).

    Raises what `chunks` raises, DigestMismatch (`Hasher.declared`); OSError. Nothing stays then.
    """
    staging_id, hasher = new_id().hex, hasher or Hasher()
    try:
        path = blob_storage().staging_path(staging_id)
        with path.open("wb", buffering=0) as file, ThreadPoolExecutor(1) as side:
            for chunk in chunks:
                write_ahead(file.fileno(), memoryview(chunk), hasher.size)
                # A thread is worth its start for what is large.
                hasher.update(chunk, beside=side if len(chunk) == BLOCK else None)
        hasher.require_declared()
        return keep(staging_id=staging_id, digests=hasher.digests())
    except BaseException:
        blob_storage().discard(staging_id)
        raise


def store_chunks(chunks: Iterable[bytes]) -> Blob:
    """Store a stream of bytes as a blob."""
    return blob_of(keep_chunks(chunks))


def store_file(path: Path) -> Blob:
    """Store a copy of a local file as a blob."""
    with path.open("rb") as file:
        return store_chunks(iter(lambda: file.read(BLOCK), b""))
