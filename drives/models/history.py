"""Who did what in a drive."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.models import Row
from drives.models.drives import Drive


class FileOperationQuerySet(models.QuerySet["FileOperation"]):
    def visible_to(self, user: User) -> FileOperationQuerySet:
        return self.filter(drive__in=Drive.objects.visible_to(user))


class FileOperation(Row):
    """One change or download, a row each, however much lies below the folder it was done to.

    `target_id` is the file's or folder's, which may be gone by now; `path` where it was, `new_path` where it went;
    `size` in bytes of the content that was moved about, 0 for folders. Who acted is null for the platform itself and
    for strangers with a link.
    """

    class Action(models.TextChoices):
        CREATE = "create", _("Created")
        UPLOAD = "upload", _("Uploaded")
        RENAME = "rename", _("Renamed")
        MOVE = "move", _("Moved")
        COPY = "copy", _("Copied")
        TRASH = "trash", _("Put into the trash")
        RESTORE = "restore", _("Restored")
        PURGE = "purge", _("Deleted for good")
        REVERT = "revert", _("Brought back to an earlier version")
        DOWNLOAD = "download", _("Downloaded")

    # The indexes below begin with drive and actor, so that neither needs one of its own.
    drive = models.ForeignKey(
        Drive, models.CASCADE, related_name="operations", db_index=False, verbose_name=_("drive")
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("actor"),
    )
    action = models.CharField(_("action"), max_length=10, choices=Action.choices)
    target_id = models.UUIDField(_("ID"))
    is_folder = models.BooleanField(_("folder"))
    path = models.CharField(_("path"), max_length=1400)
    new_path = models.CharField(_("new path"), max_length=1400, blank=True)
    size = models.PositiveBigIntegerField(_("size"), default=0)
    device = models.CharField(_("device"), max_length=200, blank=True)

    objects = FileOperationQuerySet.as_manager()

    class Meta:
        verbose_name = _("file operation")
        verbose_name_plural = _("file operations")
        indexes = [
            models.Index(fields=["drive", "-created_at"], name="drives_operation_drive"),
            models.Index(fields=["target_id", "-created_at"], name="drives_operation_target"),
            models.Index(fields=["actor", "-created_at"], name="drives_operation_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.path}"
