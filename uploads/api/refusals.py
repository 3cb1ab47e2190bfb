"""The refusals that several doors of uploads share."""

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
"""Of doors that take bytes, or tell which are needed."""
IN_PARTS: Refusals = (*TAKING, MultipartNotStarted, SentInOrder, SentDirectly)
LANDING: Refusals = (NameTaken, SizeMismatch, DigestMismatch, StorageFailed)
PUTTING_TOGETHER: Refusals = (*IN_PARTS, *LANDING, PartsMissing, UploadInterrupted)
