"""Drives as operators see them. Trees and blobs are only read: sums, paths and digests follow from services."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from common.admin import AuditedAdmin, ReadOnlyAdmin
from drives.models import (
    Archive,
    Blob,
    BlobPreview,
    Drive,
    DriveMember,
    DriveUsageSample,
    Favourite,
    File,
    FileOperation,
    FileVersion,
    Folder,
    ShareLink,
)

OWNER = ("drive__user__username", "drive__user__phone", "drive__team__name")


@admin.register(Drive)
class DriveAdmin(AuditedAdmin):
    """Name, quota and whether it is in use may be changed; an empty quota means no limit."""

    list_display = ("name", "owner", "shown_used", "shown_reserved", "shown_quota", "is_active", "created_at")
    list_filter = ("is_active",)
    list_select_related = ("user", "team")
    search_fields = ("name", "user__username", "user__phone", "team__name")
    ordering = ("-created_at", "-pk")
    fields = (
        "user", "team", "name", "icon", "description", "letter", "total_size", "used_size", "reserved_size",
        "is_active", "created_at", "updated_at",
    )  # fmt: skip
    readonly_fields = ("user", "team", "letter", "used_size", "reserved_size", "created_at", "updated_at")

    @display(description=_("owner"))
    def owner(self, drive: Drive) -> str:
        return str(drive.owner)

    @display(description=_("used"), ordering="used_size")
    def shown_used(self, drive: Drive) -> str:
        return filesizeformat(drive.used_size)

    @display(description=_("reserved by uploads"), ordering="reserved_size")
    def shown_reserved(self, drive: Drive) -> str:
        return filesizeformat(drive.reserved_size)

    @display(description=_("quota"), ordering="total_size")
    def shown_quota(self, drive: Drive) -> str:
        return "∞" if drive.total_size is None else filesizeformat(drive.total_size)

    def save_model(self, request: HttpRequest, obj: Drive, form: Any, change: bool) -> None:
        # Only what was changed: uploads move the sums of the row while the page is open.
        obj.save(update_fields=[*form.changed_data, "updated_at"])

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Folder)
class FolderAdmin(ReadOnlyAdmin):
    list_display = ("path", "drive", "owner", "trashed_at", "created_at")
    list_filter = (("trashed_at", admin.EmptyFieldListFilter),)
    list_select_related = ("drive__user", "drive__team")
    search_fields = ("path", *OWNER)
    ordering = ("-created_at", "-pk")

    @display(description=_("owner"))
    def owner(self, folder: Folder) -> str:
        return str(folder.drive.owner)


@admin.register(File)
class FileAdmin(ReadOnlyAdmin):
    list_display = ("name", "folder", "drive", "owner", "shown_size", "mime_type", "trashed_at", "created_at")
    list_filter = (("trashed_at", admin.EmptyFieldListFilter),)
    list_select_related = ("folder", "drive__user", "drive__team")
    search_fields = ("name", "folder__path", *OWNER)
    ordering = ("-created_at", "-pk")

    @display(description=_("owner"))
    def owner(self, file: File) -> str:
        return str(file.drive.owner)

    @display(description=_("size"), ordering="size")
    def shown_size(self, file: File) -> str:
        return filesizeformat(file.size)


@admin.register(Blob)
class BlobAdmin(ReadOnlyAdmin):
    list_display = ("sha256", "md5", "shown_size", "file_count", "storage_key", "verified_at", "created_at")
    list_filter = (("verified_at", admin.EmptyFieldListFilter),)
    search_fields = ("=sha256", "=md5", "=storage_key")
    ordering = ("-created_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Blob]:
        return super().get_queryset(request).annotate(count=Count("files"))

    @display(description=_("size"), ordering="size")
    def shown_size(self, blob: Blob) -> str:
        return filesizeformat(blob.size)

    @display(description=_("files"), ordering="count")
    def file_count(self, blob: Any) -> int:
        return int(blob.count)


@admin.register(DriveUsageSample)
class DriveUsageSampleAdmin(ReadOnlyAdmin):
    list_display = ("sample_date", "drive", "owner", "shown_used", "shown_reserved", "file_count")
    list_select_related = ("drive__user", "drive__team")
    search_fields = ("drive__name", *OWNER)
    ordering = ("-sample_date", "-pk")

    @display(description=_("owner"))
    def owner(self, sample: DriveUsageSample) -> str:
        return str(sample.drive.owner)

    @display(description=_("used"), ordering="used_size")
    def shown_used(self, sample: DriveUsageSample) -> str:
        return filesizeformat(sample.used_size)

    @display(description=_("reserved by uploads"), ordering="reserved_size")
    def shown_reserved(self, sample: DriveUsageSample) -> str:
        return filesizeformat(sample.reserved_size)


@admin.register(DriveMember)
class DriveMemberAdmin(ReadOnlyAdmin):
    list_display = ("drive", "user", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("drive", "user")
    search_fields = ("user__username", "user__phone", "drive__name")
    ordering = ("-created_at", "-pk")


@admin.register(FileOperation)
class FileOperationAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "drive", "actor", "action", "path", "new_path", "shown_size", "device")
    list_filter = ("action", "is_folder")
    list_select_related = ("drive", "actor")
    search_fields = ("path", "new_path", "target_id", "actor__username", "drive__name")
    ordering = ("-created_at", "-pk")

    @display(description=_("size"), ordering="size")
    def shown_size(self, operation: FileOperation) -> str:
        return filesizeformat(operation.size)


@admin.register(FileVersion)
class FileVersionAdmin(ReadOnlyAdmin):
    list_display = ("file", "shown_size", "modified_at", "uploaded_by", "created_at")
    list_select_related = ("file", "uploaded_by")
    search_fields = ("file__name", "uploaded_by__username")
    ordering = ("-created_at", "-pk")

    @display(description=_("size"), ordering="size")
    def shown_size(self, version: FileVersion) -> str:
        return filesizeformat(version.size)


@admin.register(Favourite)
class FavouriteAdmin(ReadOnlyAdmin):
    list_display = ("user", "file", "folder", "created_at")
    list_select_related = ("user", "file", "folder")
    search_fields = ("user__username", "file__name", "folder__path")
    ordering = ("-created_at", "-pk")


@admin.register(Archive)
class ArchiveAdmin(ReadOnlyAdmin):
    list_display = ("id", "etag", "expires_at", "created_at")
    ordering = ("-created_at", "-pk")


@admin.register(ShareLink)
class ShareLinkAdmin(ReadOnlyAdmin):
    """The digests of token and password are nobody's business."""

    list_display = (
        "created_at", "drive", "file", "folder", "creator", "expires_at", "download_count", "max_downloads",
        "revoked_at",
    )  # fmt: skip
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("drive", "file", "folder", "creator")
    search_fields = ("creator__username", "drive__name", "file__name", "folder__path")
    ordering = ("-created_at", "-pk")
    exclude = ("token_hash", "password")


@admin.register(BlobPreview)
class BlobPreviewAdmin(ReadOnlyAdmin):
    list_display = ("blob", "size", "state", "due_at", "created_at")
    list_filter = ("state", "size")
    list_select_related = ("blob",)
    search_fields = ("=blob__sha256", "=blob__storage_key")
    ordering = ("-created_at", "-pk")
