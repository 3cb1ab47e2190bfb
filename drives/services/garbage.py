"""What nobody needs any more: content without references, and uploads that nobody will finish."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import CASCADE, Exists, ForeignObjectRel, OuterRef, Q, QuerySet

from drives.models import Blob
from drives.signals import uploads_in_use
from drives.storage import blob_storage
from drives.storage.buckets import SENT, BucketStorage

BATCH = 500
MARKED_AT_ONCE = 20_000
Item = TypeVar("Item")


class Kind(StrEnum):
    BLOB = "blob"
    STAGED = "staged"
    UPLOAD = "upload"
    SENT = "sent"


@dataclass(frozen=True)
class Garbage:
    """A thing that was removed, or in a dry run would be; size in bytes, 0 where nobody knows it."""

    kind: Kind
    key: str
    size: int


def collect_garbage(*, now: datetime, dry_run: bool = False) -> Iterator[Garbage]:
    """Remove what nobody needs, and tell of each thing once it is gone. A dry run changes nothing.

    Raises StorageError; what was told of until then is done.
    """
    if not dry_run:
        mark_unreferenced(now=now)
    yield from collect_blobs(now=now, dry_run=dry_run)
    yield from collect_staged(now=now, dry_run=dry_run)
    yield from collect_uploads(now=now, dry_run=dry_run)
    yield from collect_sent(now=now, dry_run=dry_run)


def pointers() -> list[ForeignObjectRel]:
    """Every relation that holds a blob, also those without a reverse name; new models need no entry anywhere.

    Only a row that falls with its blob (CASCADE: what was found out about the content) does not hold it.
    """
    relations = Blob._meta.get_fields(include_hidden=True)
    return [
        relation
        for relation in relations
        if isinstance(relation, ForeignObjectRel) and relation.on_delete is not CASCADE
    ]


def pointing() -> list[Exists]:
    """For each relation, whether it holds the blob of the row."""
    found = []
    for relation in pointers():
        manager: Any = relation.related_model._base_manager
        found.append(Exists(manager.filter(**{relation.field.name: OuterRef("pk")})))
    return found


def unreferenced() -> QuerySet[Blob]:
    """Blobs that nothing points to. One NOT EXISTS for each relation: PostgreSQL joins them."""
    return Blob.objects.filter(*(~held for held in pointing()))


def mark_unreferenced(*, now: datetime) -> None:
    """Write down since when blobs have been without references, and forget it of those that have one again."""
    held = reduce(or_, (Q(held) for held in pointing()))
    mark(unreferenced().filter(unreferenced_at__isnull=True), now)
    mark(Blob.objects.filter(held, unreferenced_at__isnull=False), None)


def mark(blobs: QuerySet[Blob], since: datetime | None) -> None:
    """A part of them at a time. What somebody has at this moment is left for the next time: whoever holds many, as an
    upload does, is never waited for in a circle."""
    free = blobs.select_for_update(of=("self",), no_key=True, skip_locked=True).values_list("pk", flat=True)
    count = MARKED_AT_ONCE
    while count == MARKED_AT_ONCE:
        with transaction.atomic():
            chosen = list(free[:MARKED_AT_ONCE])
            count = Blob.objects.filter(pk__in=chosen).update(unreferenced_at=since)


def sweepable(now: datetime) -> QuerySet[Blob]:
    """Blobs that nothing points to and nobody has asked for in the grace period."""
    return unreferenced().filter(unreferenced_at__lte=now - settings.BLOB_GRACE)


def collect_blobs(*, now: datetime, dry_run: bool = False) -> Iterator[Garbage]:
    """Delete blobs whose grace is over."""
    rows = sweepable(now).order_by("pk")
    batch = list(rows[:BATCH])
    while batch:
        for blob in batch:
            if dry_run or delete_blob(blob, now):
                yield Garbage(Kind.BLOB, blob.storage_key, blob.size)
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])


def delete_blob(blob: Blob, now: datetime) -> bool:
    """Delete a blob unless somebody has come to need it; whether it is gone.

    The row is locked and looked at again: who brings the content at this moment either finds the row, which then
    stays, or waits, finds none and stores it anew. The row goes first, its object after the commit: an object
    without a row harms nobody, and `fsck_storage` finds it.
    """
    with transaction.atomic():
        locked = Blob.objects.select_for_update(of=("self",), skip_locked=True).filter(pk=blob.pk).first()
        if locked is None or not sweepable(now).filter(pk=blob.pk).exists():
            return False
        locked.delete()
    blob_storage().delete(blob.storage_key)
    return True


def collect_staged(*, now: datetime, dry_run: bool = False) -> Iterator[Garbage]:
    """Discard staged bytes that were last written before the grace period and belong to no open upload."""
    storage = blob_storage()
    found = storage.staged_before((now - settings.BLOB_GRACE).timestamp())
    for staging_id, size in without_use(found, lambda staged: {staged[0]}):
        if not dry_run:
            storage.discard(staging_id)
        yield Garbage(Kind.STAGED, staging_id, size)


def collect_uploads(*, now: datetime, dry_run: bool = False) -> Iterator[Garbage]:
    """Abort multipart uploads into the bucket that began before the grace period and that nobody needs."""
    storage = blob_storage()
    if not isinstance(storage, BucketStorage):
        return
    found = (upload for upload in storage.open_uploads() if upload.started_at < now - settings.BLOB_GRACE)
    for upload in without_use(found, lambda upload: {upload.upload_id, upload.key}):
        if not dry_run:
            storage.abort_parts(upload.key, upload.upload_id)
        yield Garbage(Kind.UPLOAD, upload.key, 0)


def collect_sent(*, now: datetime, dry_run: bool = False) -> Iterator[Garbage]:
    """Delete objects that clients put with temporary keys before the grace period and that no open upload needs."""
    storage = blob_storage()
    if not isinstance(storage, BucketStorage):
        return
    found = (sent for sent in storage.objects(SENT) if sent.modified_at < now - settings.BLOB_GRACE)
    for sent in without_use(found, lambda sent: {sent.key}):
        if not dry_run:
            storage.delete(sent.key)
        yield Garbage(Kind.SENT, sent.key, sent.size)


def without_use(found: Iterable[Item], ids_of: Callable[[Item], set[str]]) -> Iterator[Item]:
    """Those of `found` that no open upload needs by any of their ids, asked about a batch at a time."""
    rest = iter(found)
    while batch := list(islice(rest, BATCH)):
        ids = {name for item in batch for name in ids_of(item)}
        answers = uploads_in_use.send(sender=None, ids=ids)
        used = {needed for _receiver, answer in answers for needed in answer or ()}
        yield from (item for item in batch if not ids_of(item) & used)
