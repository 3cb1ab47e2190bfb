from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from common.errors import Conflict, DomainError, Forbidden, Invalid


class QuotaExceeded(DomainError):
    """Data: required and available, in bytes; scope: drive or owner (all drives together)."""

    code, status = "quota_exceeded", 413
    text = _("The drive is full: %(required)s needed, %(available)s available.")

    def __str__(self) -> str:
        """Sizes as people read them; the data has the bytes."""
        return str(self.message) % {
            name: filesizeformat(self.data[name]) for name in ("required", "available")
        }


class BadName(Invalid):
    code, text = "bad_name", _("This is not a usable file or folder name.")


class NameTaken(Conflict):
    code, text = "name_taken", _("There is already an item of this name.")


class IntoItself(Conflict):
    code, text = "into_itself", _("A folder cannot go into itself.")


class PlaceGone(Conflict):
    code, text = "place_gone", _("The folder it lay in is gone. Choose another one.")


class TooManyItems(Conflict):
    """Data: limit."""

    code, text = "too_many_items", _("More than %(limit)s items at once.")


class NotVerifiedYet(Conflict):
    code, text = "not_verified_yet", _("Some of these files are still being checked.")


class TooManyDrives(Conflict):
    code, text = "too_many_drives", _("You have as many drives as allowed.")


class LetterTaken(Conflict):
    code, text = "letter_taken", _("Another drive of yours has this letter.")


class AlreadyMember(Conflict):
    code, text = "already_member", _("This person may use the drive already.")


class DriveReadOnly(Forbidden):
    code, text = "drive_read_only", _("You may not write to this drive.")


class LinkInvalid(DomainError):
    code, status, text = "link_invalid", 403, _("The link is not valid or has expired.")


class RangeNotSatisfiable(DomainError):
    """Data: size, in bytes."""

    code, status = "range_not_satisfiable", 416
    text = _("The range lies beyond the end: there are %(size)s bytes.")


class ShareRevoked(DomainError):
    code, status, text = "share_revoked", 410, _("This link was withdrawn.")


class ShareExpired(DomainError):
    code, status, text = "share_expired", 410, _("This link has expired.")


class ShareExhausted(DomainError):
    code, status = "share_exhausted", 410
    text = _("This link was good for so many downloads, and all of them were made.")


class SharePasswordRequired(Forbidden):
    code, text = "share_password_required", _("This link asks for a password.")


class SharePasswordWrong(Forbidden):
    code, text = "share_password_wrong", _("The password is wrong.")


class CallbackForged(Forbidden):
    code, text = "callback_forged", _("This callback does not carry the signature of OSS.")


class DigestMismatch(Invalid):
    """Data: expected and actual."""

    code, text = "digest_mismatch", _("The content does not have the digest that was declared.")


class SizeMismatch(Invalid):
    """Data: expected and actual, in bytes."""

    code, text = "size_mismatch", _("The content does not have the size that was declared.")
