"""Do database and storage agree? Both are read once, side by side in order of keys, page by page."""

import hashlib
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Collate

from drives.models import Blob
from drives.services.blobs import BLOCK
from drives.services.garbage import without_use
from drives.storage import StoredObject, blob_storage

BATCH = 500
ROWS = 2000


class Kind(StrEnum):
    MISSING = "missing"  # a row without its object
    ORPHANED = "orphaned"  # an object without a row, older than the grace period
    ALTERED = "altered"  # an object that is not what its row says


@dataclass(frozen=True)
class Finding:
    """`size` is the object's, in bytes, or what the row says of one that is missing; `blob_id` None for an orphan."""

    kind: Kind
    key: str
    size: int
    blob_id: UUID | None = None
    detail: str = ""


@dataclass
class Tally:
    """How much was looked at, and what was found."""

    blobs: int = 0
    objects: int = 0
    found: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class BlobRow:
    id: UUID
    key: str
    size: int
    sha256: str | None


def check_storage(*, now: datetime, deep: bool = False, tally: Tally | None = None) -> Iterator[Finding]:
    """Every disagreement, in the order of the keys. `deep` reads all content and compares its SHA-256.

    Both sides change meanwhile, so each finding is looked at again before it is told. Raises StorageError.
    """
    tally = tally or Tally()
    suspected = suspicions(now, deep, tally)
    while batch := list(islice(suspected, BATCH)):
        for finding in confirmed(batch):
            tally.found[finding.kind] += 1
            yield finding


def suspicions(now: datetime, deep: bool, tally: Tally) -> Iterator[Finding]:
    for row, stored in side_by_side():
        tally.blobs += row is not None
        tally.objects += stored is not None
        if row is None:
            if stored is not None and stored.modified_at < now - settings.BLOB_GRACE:
                yield Finding(Kind.ORPHANED, stored.key, stored.size)
        elif stored is None:
            yield Finding(Kind.MISSING, row.key, row.size, row.id)
        elif difference := difference_of(row, stored, deep):
            yield Finding(Kind.ALTERED, row.key, stored.size, row.id, difference)


def side_by_side() -> Iterator[tuple[BlobRow | None, StoredObject | None]]:
    """Rows and objects, those of one key together."""
    with closing(blob_rows()) as rows, closing(blob_storage().objects()) as objects:
        row, stored = next(rows, None), next(objects, None)
        while row is not None or stored is not None:
            if stored is None or (row is not None and row.key < stored.key):
                yield row, None
                row = next(rows, None)
            elif row is None or stored.key < row.key:
                yield None, stored
                stored = next(objects, None)
            else:
                yield row, stored
                row, stored = next(rows, None), next(objects, None)


def blob_rows() -> Generator[BlobRow, None, None]:
    """All blobs in the order of their keys' bytes, which is that of every storage."""
    rows: QuerySet[Blob] = Blob.objects.order_by(Collate("storage_key", "C"))
    fields = rows.values_list("pk", "storage_key", "size", "sha256")
    for values in fields.iterator(ROWS):
        yield BlobRow(*values)


def difference_of(row: BlobRow, stored: StoredObject, deep: bool) -> str:
    """What is wrong with an object; empty where nothing is."""
    if stored.size != row.size:
        return f"{row.size} bytes expected"
    if deep and row.sha256:
        try:
            sha256 = sha256_of(row.key)
        except FileNotFoundError:  # deleted meanwhile, with its row
            return ""
        if sha256 != row.sha256:
            return f"SHA-256 {row.sha256} expected, {sha256} found"
    return ""


def sha256_of(key: str) -> str:
    digest = hashlib.sha256()
    with blob_storage().open_blob(key) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def confirmed(batch: list[Finding]) -> Iterator[Finding]:
    """Those findings that are still true."""
    keys = {finding.key for finding in batch}
    rows = set(Blob.objects.filter(storage_key__in=keys).values_list("storage_key", flat=True))
    # Known by its key what went straight to the bucket; by the end of it what was kept and not written down yet.
    waiting = without_use(batch, lambda finding: {finding.key, finding.key.rpartition("/")[2]})
    unused = {finding.key for finding in waiting}
    for finding in batch:
        if finding.kind is Kind.ORPHANED:
            stands = finding.key not in rows and finding.key in unused
        else:
            stands = finding.key in rows
        if finding.kind is Kind.MISSING:
            stands = stands and not blob_storage().exists(finding.key)
        if stands:
            yield finding


def delete_orphan(finding: Finding) -> bool:
    """Delete an object that no row has, looked at once more; whether it is gone. Nothing else is ever repaired."""
    if finding.kind is not Kind.ORPHANED or Blob.objects.filter(storage_key=finding.key).exists():
        return False
    blob_storage().delete(finding.key)
    return True
