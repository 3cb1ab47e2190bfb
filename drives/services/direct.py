"""Content that clients put into the bucket themselves: first known by its size only, shared once it was read."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from drives.errors import SizeMismatch
from drives.models import Blob
from drives.services.blobs import Digests, digests_of
from drives.services.garbage import pointers
from drives.signals import content_read
from drives.storage import StorageError, blob_storage
from drives.storage.buckets import BucketStorage


def register_object(*, key: str, size: int) -> Blob:
    """The blob of an object that lies under `key`, not verified: its owner may use it, nobody else may share it.

    The object must be out of its sender's reach by now: one put together here from parts, or one that was written
    once (`upload_link`), not one below a prefix whose temporary keys still live. A second call finds the same blob.
    Raises FileNotFoundError; SizeMismatch, where the object is not what was announced; StorageError.
    """
    found = blob_storage().size(key)
    if found != size:
        raise SizeMismatch(expected=size, actual=found, field="file_size")
    blob, _created = Blob.objects.get_or_create(storage_key=key, defaults={"size": size})
    return blob


def abandon_object(*, key: str, upload_id: str) -> None:
    """Remove the parts that a client has sent to `key` and nobody wants. Raises StorageError.

    If they are an object by now, whoever put them together may still register it: it is left to the sweep, as a blob
    that nothing points to.
    """
    storage = blob_storage()
    if isinstance(storage, BucketStorage):
        storage.abort_parts(key, upload_id)
        if storage.exists(key):
            Blob.objects.get_or_create(storage_key=key, defaults={"size": storage.size(key)})


def verify_blob(*, blob_id: UUID) -> Blob | None:
    """Read an unverified blob once, and write down what it is; the blob that now stands for its content.

    Where the content is known already, everything that points to this blob points to the known one afterwards, and
    this one is garbage. None where the blob is gone. Raises FileNotFoundError, StorageError.
    """
    blob = Blob.objects.filter(pk=blob_id).first()
    if blob is None or blob.verified_at:
        return blob
    with blob_storage().open_blob(blob.storage_key) as file:
        digests = digests_of(file, with_md5=True)
    if digests.size != blob.size:
        raise StorageError(f"{blob.storage_key} has {digests.size} bytes, {blob.size} were announced.")
    content_read.send(sender=Blob, blob=blob, md5=digests.md5)
    return write_down(blob, digests) or merge(blob, digests) or write_down(blob, digests)


def write_down(blob: Blob, digests: Digests) -> Blob | None:
    """The blob with what was found out about it; None where another one has this content."""
    now = timezone.now()
    try:
        with transaction.atomic():
            Blob.objects.filter(pk=blob.pk, sha256__isnull=True).update(
                sha256=digests.sha256,
                md5=digests.md5,
                crc32=digests.crc32,
                verified_at=now,
                updated_at=now,
            )
    except IntegrityError:
        return None
    blob.refresh_from_db()
    return blob


def merge(blob: Blob, digests: Digests) -> Blob | None:
    """Let the known blob of this content stand for `blob`, too; None where it was swept at this moment."""
    with transaction.atomic():
        # Both rows are held, so that neither is swept meanwhile.
        rows = Blob.objects.select_for_update(of=("self",)).order_by("pk")
        held = list(rows.filter(Q(pk=blob.pk) | Q(sha256=digests.sha256)))
        target = next((row for row in held if row.sha256), None)
        if target is None:
            return None
        for relation in pointers():
            manager: Any = relation.related_model._base_manager
            manager.filter(**{relation.field.name: blob}).update(**{relation.field.name: target})
        Blob.objects.filter(pk=target.pk).update(unreferenced_at=None, updated_at=timezone.now())
    return target
