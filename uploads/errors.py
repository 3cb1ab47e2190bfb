from django.utils.translation import gettext_lazy as _

from common.errors import Conflict, Invalid


class UploadClosed(Conflict):
    """Data: status, of the task or the file."""

    code, text = "upload_closed", _("This upload takes no more bytes (%(status)s).")


class MultipartNotStarted(Conflict):
    code, text = "multipart_not_started", _("Start the multipart upload first.")


class PartsMissing(Conflict):
    """Data: missing, the numbers of at most 1,000 missing parts."""

    code, text = "parts_missing", _("Parts are missing.")


class PartNumberInvalid(Invalid):
    code, text = "part_number_invalid", _("There is no part of this number.")


class ManifestInvalid(Invalid):
    code, text = "manifest_invalid", _("The manifest contradicts itself.")


class FileMissing(Invalid):
    code, text = "file_missing", _("The form holds no file.")
