"""Drives, their trees, and the content-addressed blobs behind the files."""

from drives.models.archives import Archive
from drives.models.blobs import Blob
from drives.models.drives import Drive, DriveMember, DriveQuerySet, DriveUsageSample, TrafficSample
from drives.models.history import FileOperation
from drives.models.previews import BlobPreview
from drives.models.shares import ShareLink
from drives.models.storage_checks import StorageCheck
from drives.models.tree import (
    Favourite,
    File,
    FileQuerySet,
    FileVersion,
    Folder,
    FolderQuerySet,
    NameGrams,
)

__all__ = [
    "Archive",
    "Blob",
    "BlobPreview",
    "Drive",
    "DriveMember",
    "DriveQuerySet",
    "DriveUsageSample",
    "Favourite",
    "File",
    "FileOperation",
    "FileQuerySet",
    "FileVersion",
    "Folder",
    "FolderQuerySet",
    "NameGrams",
    "ShareLink",
    "StorageCheck",
    "TrafficSample",
]
