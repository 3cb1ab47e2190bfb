"""Where blobs live: the Django storage alias `blobs`, on the file system or in a bucket (docs/storage.md)."""

from typing import cast

from django.core.files.storage import storages

from drives.storage.base import BlobStorage, StorageError, StoredObject, key_of, new_key
from drives.storage.staging import StagingClosed

__all__ = [
    "BlobStorage",
    "StagingClosed",
    "StorageError",
    "StoredObject",
    "blob_storage",
    "key_of",
    "new_key",
]


def blob_storage() -> BlobStorage:
    """The storage behind the alias `blobs`."""
    return cast(BlobStorage, storages["blobs"])
