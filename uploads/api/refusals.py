"""By what the doors of uploads may refuse, told once for what several of them do."""

from common.errors import DomainError
from drives.errors import (
    BadName,
    DigestMismatch,
    DriveReadOnly,
    NameTaken,
    QuotaExceeded,
    SizeMismatch,
)
from uploads.errors import (
    FileTypeNotAllowed,
    ManifestInvalid,
    MultipartNotStarted,
    PartsMissing,
    SentDirectly,
    SentInOrder,
    StorageFailed,
    UploadClosed,
    UploadInterrupted,
    UploadPaused,
)

Refusals = tuple[type[DomainError], ...]
ANNOUNCING: Refusals = (
    ManifestInvalid, BadName, FileTypeNotAllowed, NameTaken, QuotaExceeded, DriveReadOnly,
)  # fmt: skip
TAKING: Refusals = (UploadClosed, UploadPaused, DriveReadOnly)
"""Bytes, or a question whether they are needed."""
IN_PARTS: Refusals = (*TAKING, MultipartNotStarted, SentInOrder, SentDirectly)
LANDING: Refusals = (NameTaken, SizeMismatch, DigestMismatch, StorageFailed)
PUTTING_TOGETHER: Refusals = (*IN_PARTS, *LANDING, PartsMissing, UploadInterrupted)
