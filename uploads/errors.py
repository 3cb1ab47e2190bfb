from django.utils.translation import gettext_lazy as _

from common.errors import Conflict, DomainError, Invalid, ServiceUnavailable, TooLarge


class UploadClosed(Conflict):
    """Data: status, of the task or the file."""

    code, text = "upload_closed", _("This upload takes no more bytes (%(status)s).")


class MultipartNotStarted(Conflict):
    code, text = "multipart_not_started", _("Start the multipart upload first.")


class PartsMissing(Conflict):
    """Data: missing, the numbers of at most 1,000 missing parts."""

    code, text = "parts_missing", _("Parts are missing.")


class ChunksDisagree(Conflict):
    """Data: total_chunks, as it was said at first."""

    code, text = (
        "total_chunks_changed",
        _("This upload was begun with another number of chunks (%(total_chunks)s)."),
    )


class PartNumberInvalid(Invalid):
    code, text = "part_number_invalid", _("There is no part of this number.")


class ManifestInvalid(Invalid):
    code, text = "manifest_invalid", _("The manifest contradicts itself.")


class FileMissing(Invalid):
    code, text = "file_missing", _("The form holds no file.")


class UploadPaused(Conflict):
    code, text = "upload_paused", _("This upload is paused; resume it first.")


class UploadInterrupted(Conflict):
    """The fault was ours: the file is pending again."""

    code, text = "upload_interrupted", _("The upload was interrupted; send the file again.")


class UploadNotCompleted(Conflict):
    """Data: status of the task."""

    code, text = "upload_not_completed", _("Not all files of this upload have arrived (%(status)s).")


class StorageFailed(ServiceUnavailable):
    """The bytes could not be written or read here. Data: retry_after in seconds."""

    code, text = "storage_unavailable", _("The storage does not take the bytes at the moment.")


class TooLargeAtOnce(TooLarge):
    """Data: limit, in bytes."""

    text = _("A file of more than %(limit)s bytes is sent in parts.")


class TooManyFiles(Invalid):
    """Data: limit."""

    code, text = "too_many_files", _("A request holds at most %(limit)s files.")


class FileTypeNotAllowed(Invalid):
    """Data: extension."""

    code, text = "file_type_not_allowed", _("Files of this type are not taken (%(extension)s).")


class NotSupported(Conflict):
    code, text = "not_supported", _("The storage of this platform does not offer this.")


class SentInOrder(Conflict):
    code, text = (
        "sent_in_order",
        _("This file is being sent from its beginning to its end (tus), not in parts."),
    )


class SentInParts(Conflict):
    code, text = (
        "sent_in_parts",
        _("This file is being sent in parts, not from its beginning to its end (tus)."),
    )


class SentDirectly(Conflict):
    code, text = "sent_directly", _("This file is being sent straight into the bucket.")


class ObjectMissing(Conflict):
    code, text = "object_missing", _("The file is not in the bucket.")


class FileEmpty(Invalid):
    code, text = "file_empty", _("An empty file is not sent straight into the bucket.")


class OffsetMismatch(Conflict):
    """Data: offset, how many bytes are there."""

    code, text = "offset_mismatch", _("The file goes on at another place (%(offset)s).")


class UploadTooLong(TooLarge):
    """Data: limit, the size in bytes that was announced."""

    text = _("These are more bytes than were announced (%(limit)s).")


class UploadGone(DomainError):
    code, status, text = "upload_gone", 410, _("This upload has ended: it was given up or has expired.")


class TusVersionUnknown(DomainError):
    code, status, text = "tus_version_unknown", 412, _("This version of the tus protocol is not spoken here.")


class TusHeaderInvalid(DomainError):
    """Data: header, its name."""

    code, status, text = "tus_header_invalid", 400, _("The header %(header)s is missing or malformed.")
