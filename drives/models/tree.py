"""Folders and files, and what is kept about them."""

from __future__ import annotations

from typing import Self, TypeVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Exists, Func, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.models import User
from common.models import Row
from drives.models.blobs import Blob
from drives.models.drives import Drive

Entry = TypeVar("Entry", bound=models.Model)


class NameGrams(Func):
    """The terms by which a search finds a name, whatever the language: `NameGrams("drive", "name")`.

    Pairs of neighbouring characters in lower case, and single characters beyond ASCII, each prefixed by its drive.
    """

    function = "drives_name_grams"
    output_field = ArrayField(models.TextField())


class EntryQuerySet(models.QuerySet[Entry]):
    """What querysets of folders and of files share."""

    def part(self, first: int, count: int) -> Self:
        """`count` rows from `first` on. Only keys are sorted and skipped; what is shown is joined for the rows of the
        page.
        """
        return self.filter(pk__in=self.values("pk")[first : first + count]) if count > 0 else self.none()

    def living(self) -> Self:
        raise NotImplementedError

    def visible_to(self, user: User) -> Self:
        return self.in_reach_of(user).living()

    def in_reach_of(self, user: User) -> Self:
        """Living or in the trash, in drives that the user may read."""
        return self.filter(drive__in=Drive.objects.visible_to(user))

    def with_favourite(self, user: User) -> Self:
        """With `is_favourite`, whether the user marked it."""
        column = str(self.model._meta.model_name)  # Favourite has one for each kind
        marks = Favourite.objects.filter(user=user, **{column: OuterRef("pk")})
        return self.annotate(is_favourite=Exists(marks))


class FolderQuerySet(EntryQuerySet["Folder"]):
    def living(self) -> Self:
        return self.filter(path__startswith="/")

    def in_trash(self) -> FolderQuerySet:
        """The tops of subtrees in the trash."""
        return self.filter(trashed_at__isnull=False, path__startswith="trash:")


class Folder(Row):
    """A folder below the root (the root has no row). `path` follows from the parents and is kept for look-ups.

    Trashing the top of a subtree puts `trash:<id>` before the paths of all its folders in one UPDATE: the living
    are those whose path begins with a slash, and the place is free for a new folder of that name. What is to go for
    good begins with `purge:<id>`.
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
            models.Index(
                fields=["trashed_at"], condition=Q(trashed_at__isnull=False), name="drives_folder_in_trash"
            ),
            GinIndex(NameGrams("drive", "name"), name="drives_folder_grams"),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def place(self) -> str:
        """Where the folder is, or where it was before it went into the trash."""
        return self.path[self.path.index("/") :]


class FileQuerySet(EntryQuerySet["File"]):
    def for_lists(self) -> FileQuerySet:
        """With the columns that a list shows, its own and those of folder and content, and no others."""
        return self.select_related("folder", "blob").only(
            "drive", "folder__path", "name", "size", "mime_type", "created_at", "updated_at", "modified_at",
            "trashed_at", "blob__md5", "blob__sha256",
        )  # fmt: skip

    def living(self) -> Self:
        return self.filter(trashed_at__isnull=True).filter(
            Q(folder__isnull=True) | Q(folder__path__startswith="/")
        )

    def in_trash(self) -> FileQuerySet:
        """Files that went into the trash on their own."""
        return self.filter(trashed_at__isnull=False).exclude(folder__path__startswith="purge:")

    def in_folder(self, drive: Drive, path: str) -> FileQuerySet:
        rows = self.filter(drive=drive, trashed_at__isnull=True)
        return rows.filter(folder__isnull=True) if path == "/" else rows.filter(folder__path=path)


class File(Row):
    """A name in a folder that points to a blob. `size` is the blob's, kept for sums.

    `modified_at` is when its content last changed where it came from, as far as the client told us.
    """

    drive = models.ForeignKey(Drive, models.CASCADE, related_name="files", verbose_name=_("drive"))
    folder = models.ForeignKey(
        Folder,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="files",
        db_index=False,  # drives_file_in_folder begins with it
        verbose_name=_("folder"),
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
    modified_at = models.DateTimeField(_("modified at"), default=timezone.now)
    trashed_at = models.DateTimeField(_("trashed at"), null=True, blank=True)

    objects = FileQuerySet.as_manager()

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        permissions = [
            ("open_file", gettext_noop("Can open the files of users")),
            ("restore_file", gettext_noop("Can restore files from the trash")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["drive", "folder", "name"],
                condition=Q(trashed_at__isnull=True),
                nulls_distinct=False,
                name="drives_file_name",
            ),
        ]
        indexes = [
            # With what sums over a large subtree need, so that they read nothing else.
            models.Index(
                fields=["folder", "name"], include=["size", "trashed_at"], name="drives_file_in_folder"
            ),
            models.Index(
                fields=["drive", "name"], condition=Q(trashed_at__isnull=True), name="drives_file_by_name"
            ),
            models.Index(
                fields=["trashed_at"], condition=Q(trashed_at__isnull=False), name="drives_file_in_trash"
            ),
            GinIndex(NameGrams("drive", "name"), name="drives_file_grams"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def folder_path(self) -> str:
        """Path of the folder; the caller joins `folder`."""
        return self.folder.path if self.folder else "/"

    @property
    def extension(self) -> str:
        return "." + self.name.rsplit(".", 1)[1].lower() if "." in self.name else ""


class FileVersion(Row):
    """Content that a file had before it was replaced; `created_at` is when that happened."""

    file = models.ForeignKey(File, models.CASCADE, related_name="versions", verbose_name=_("file"))
    blob = models.ForeignKey(Blob, models.PROTECT, related_name="+", verbose_name=_("blob"))
    size = models.PositiveBigIntegerField(_("size"))
    modified_at = models.DateTimeField(_("modified at"))
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("uploaded by"),
    )

    class Meta:
        verbose_name = _("file version")
        verbose_name_plural = _("file versions")
        indexes = [
            models.Index(fields=["file", "-created_at"], name="drives_version_file"),
            models.Index(fields=["created_at"], name="drives_version_age"),
        ]

    def __str__(self) -> str:
        return f"{self.file_id} {self.created_at}"


class Favourite(Row):
    """A file or folder that a person marked."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user")
    )
    file = models.ForeignKey(
        File, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("file")
    )
    folder = models.ForeignKey(
        Folder, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("folder")
    )

    class Meta:
        verbose_name = _("favourite")
        verbose_name_plural = _("favourites")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "file", "folder"], nulls_distinct=False, name="drives_favourite_once"
            ),
            models.CheckConstraint(
                condition=Q(file__isnull=False, folder__isnull=True)
                | Q(file__isnull=True, folder__isnull=False),
                name="drives_favourite_of_one",
            ),
        ]

    def __str__(self) -> str:
        return str(self.file_id or self.folder_id)
