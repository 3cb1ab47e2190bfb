"""The MD5 of content that was stored without one: instant upload needs it."""

import logging

from django.utils import timezone

from drives.models import Blob
from drives.services.blobs import digests_of
from drives.storage import StorageError, blob_storage

logger = logging.getLogger(__name__)
AT_ONCE = 100
SIZE_AT_ONCE = 20 * 2**30
"""Bytes that are read in one run, a minute or two from a disk."""


def add_late_md5() -> int:
    """Read verified content that has no MD5 yet, those first that were looked at longest ago; returns how many have
    got one. A single content may be larger than what is read at once.
    """
    waiting = Blob.objects.filter(md5="", verified_at__isnull=False).order_by("updated_at", "pk")
    count, left = 0, SIZE_AT_ONCE
    for blob in waiting[:AT_ONCE]:
        if left <= 0:
            break
        left -= blob.size
        # One that cannot be read goes to the end of the line; `fsck_storage` names it.
        Blob.objects.filter(pk=blob.pk).update(updated_at=timezone.now())
        try:
            count += Blob.objects.filter(pk=blob.pk, md5="").update(md5=md5_of(blob))
        except OSError:
            logger.exception("the MD5 of blob %s could not be computed", blob.pk)
    return count


def md5_of(blob: Blob) -> str:
    """Raises StorageError, also where the content is not what it was; FileNotFoundError."""
    with blob_storage().open_blob(blob.storage_key) as file:
        digests = digests_of(file, with_md5=True)
    if digests.sha256 != blob.sha256:
        raise StorageError(f"{blob.storage_key} has been altered.")
    return digests.md5
