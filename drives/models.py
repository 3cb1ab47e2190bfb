"""Drives, their trees, and the content-addressed blobs behind the files."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from common.models import Row


class Blob(Row):
    """Immutable content, stored once. References are counted by query; an unreferenced blob is swept after a while.

    `sha256` is null until the content was verified by us; only verified blobs are shared. `unreferenced_at` is when
    the collection of garbage first found nothing that points to it.
    """

    size = models.PositiveBigIntegerField(_("size"))
    sha256 = models.CharField("SHA-256", max_length=64, null=True, blank=True)  # null: not verified
    md5 = models.CharField("MD5", max_length=32, blank=True, db_index=True)
    crc32 = models.BigIntegerField("CRC-32", null=True, blank=True)
    storage_key = models.CharField(_("storage key"), max_length=255, unique=True)
    verified_at = models.DateTimeField(_("verified at"), null=True, blank=True)
    unreferenced_at = models.DateTimeField(_("unreferenced since"), null=True, blank=True)

    class Meta:
        verbose_name = _("blob")
        verbose_name_plural = _("blobs")
        indexes = [
            models.Index(
                fields=["unreferenced_at"],
                condition=Q(unreferenced_at__isnull=False),
                name="drives_blob_unreferenced",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["sha256"], name="drives_blob_sha256"),
            models.CheckConstraint(
                condition=Q(sha256__isnull=True, verified_at__isnull=True)
                | Q(sha256__isnull=False, verified_at__isnull=False),
                name="drives_blob_verified_has_sha256",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sha256 or self.storage_key} ({self.size})"


class DriveQuerySet(models.QuerySet["Drive"]):
    def visible_to(self, user: User) -> DriveQuerySet:
        return self.filter(user=user, is_active=True)

    def with_file_count(self) -> DriveQuerySet:
        """With `file_count`, the number of living files."""
        counts = File.objects.living().filter(drive=OuterRef("pk")).order_by().values("drive")
        return self.annotate(file_count=Coalesce(Subquery(counts.values(count=Count("pk"))), 0))


class Drive(Row):
    """A tree of folders and files with a quota. `total_size` null means no limit (operators only)."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="drives", verbose_name=_("owner")
    )
    name = models.CharField(_("name"), max_length=50)
    icon = models.CharField(_("icon"), max_length=50, blank=True)
    description = models.CharField(_("description"), max_length=255, blank=True)
    total_size = models.PositiveBigIntegerField(_("quota"), null=True, blank=True)
    used_size = models.PositiveBigIntegerField(_("used"), default=0)
    reserved_size = models.PositiveBigIntegerField(_("reserved by uploads"), default=0)
    is_active = models.BooleanField(_("active"), default=True)

    objects = DriveQuerySet.as_manager()

    class Meta:
        verbose_name = _("drive")
        verbose_name_plural = _("drives")
        indexes = [models.Index(fields=["user", "created_at"], name="drives_drive_user")]

    def __str__(self) -> str:
        return self.name

    @property
    def available_size(self) -> int | None:
        """Bytes left, or None where there is no limit."""
        if self.total_size is None:
            return None
        return max(self.total_size - self.used_size - self.reserved_size, 0)


class FolderQuerySet(models.QuerySet["Folder"]):
    def visible_to(self, user: User) -> FolderQuerySet:
        return self.living().filter(drive__in=Drive.objects.visible_to(user))

    def living(self) -> FolderQuerySet:
        return self.filter(path__startswith="/")


class Folder(Row):
    """A folder below the root (the root has no row). `path` follows from the parents and is kept for look-ups.

    Trashing the top of a subtree puts `trash:<id>` before the paths of all its folders in one UPDATE: the living
    are those whose path begins with a slash, and the place is free for a new folder of that name.
    """

    drive = models.ForeignKey(Drive, models.CASCADE, related_name="folders", verbose_name=_("drive"))
    parent = models.ForeignKey(
        "self",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="children",
        verbose_name=_("parent folder"),
    )
    name = models.CharField(_("name"), max_length=255)
    path = models.CharField(_("path"), max_length=1100)
    trashed_at = models.DateTimeField(_("trashed at"), null=True, blank=True)

    objects = FolderQuerySet.as_manager()

    class Meta:
        verbose_name = _("folder")
        verbose_name_plural = _("folders")
        constraints = [
            models.UniqueConstraint(fields=["drive", "path"], name="drives_folder_path"),
            models.UniqueConstraint(
                fields=["drive", "parent", "name"],
                condition=Q(trashed_at__isnull=True),
                nulls_distinct=False,
                name="drives_folder_name",
            ),
        ]
        indexes = [
            models.Index(
                fields=["drive", "path"],
                name="drives_folder_prefix",
                opclasses=["uuid_ops", "varchar_pattern_ops"],
            ),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def place(self) -> str:
        """Where the folder is, or was before it went into the trash."""
        return self.path[self.path.index("/") :]


class FileQuerySet(models.QuerySet["File"]):
    def visible_to(self, user: User) -> FileQuerySet:
        return self.living().filter(drive__in=Drive.objects.visible_to(user))

    def living(self) -> FileQuerySet:
        return self.filter(trashed_at__isnull=True).filter(
            Q(folder__isnull=True) | Q(folder__path__startswith="/")
        )

    def in_folder(self, drive: Drive, path: str) -> FileQuerySet:
        rows = self.filter(drive=drive, trashed_at__isnull=True)
        return rows.filter(folder__isnull=True) if path == "/" else rows.filter(folder__path=path)


class File(Row):
    """A name in a folder that points to a blob. `size` is the blob's, kept for sums."""

    drive = models.ForeignKey(Drive, models.CASCADE, related_name="files", verbose_name=_("drive"))
    folder = models.ForeignKey(
        Folder, models.CASCADE, null=True, blank=True, related_name="files", verbose_name=_("folder")
    )
    name = models.CharField(_("name"), max_length=255)
    blob = models.ForeignKey(Blob, models.PROTECT, related_name="files", verbose_name=_("blob"))
    size = models.PositiveBigIntegerField(_("size"))
    mime_type = models.CharField(_("type"), max_length=100, blank=True)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("uploaded by"),
    )
    trashed_at = models.DateTimeField(_("trashed at"), null=True, blank=True)

    objects = FileQuerySet.as_manager()

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        constraints = [
            models.UniqueConstraint(
                fields=["drive", "folder", "name"],
                condition=Q(trashed_at__isnull=True),
                nulls_distinct=False,
                name="drives_file_name",
            ),
        ]
        indexes = [models.Index(fields=["folder", "name"], name="drives_file_folder")]

    def __str__(self) -> str:
        return self.name

    @property
    def folder_path(self) -> str:
        """Path of the folder; the caller joins `folder`."""
        return self.folder.path if self.folder else "/"

    @property
    def extension(self) -> str:
        return "." + self.name.rsplit(".", 1)[1].lower() if "." in self.name else ""


class DriveUsageSample(Row):
    """How full a drive was on a day (UTC), as the day's sample found it; sizes in bytes."""

    drive = models.ForeignKey(Drive, models.CASCADE, related_name="usage_samples", verbose_name=_("drive"))
    sample_date = models.DateField(_("day"))
    used_size = models.PositiveBigIntegerField(_("used"))
    reserved_size = models.PositiveBigIntegerField(_("reserved by uploads"))
    file_count = models.PositiveBigIntegerField(_("files"))

    class Meta:
        verbose_name = _("usage sample")
        verbose_name_plural = _("usage samples")
        constraints = [
            models.UniqueConstraint(fields=["drive", "sample_date"], name="drives_usagesample_day"),
        ]

    def __str__(self) -> str:
        return f"{self.sample_date}: {self.used_size}"
