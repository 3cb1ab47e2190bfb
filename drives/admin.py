"""Drives as operators see them. Trees and blobs are only read: sums, paths and digests follow from services."""

import re
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from accounts.models import AuditEvent, User
from accounts.services import audit
from common.admin import AuditedAdmin, ReadOnlyAdmin
from common.deeds import ReasonForm, deed
from common.errors import DomainError
from drives.links import link_to
from drives.messages import ask_storage_check
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
    StorageCheck,
    TrafficSample,
)
from drives.selectors import biggest_folders
from drives.services.drives import meant_of, restore_drive
from drives.services.places import OnClash
from drives.services.trash import restore

OWNER = ("drive__user__username", "drive__team__name")


GONE = re.compile(r"^(?:trash|purge):[0-9a-f-]{36}")
"""What stands before the paths of folders that were deleted."""
BAR = '<span class="job-bar" title="{title}"><span class="{state}" style="width: {width}%"></span></span> {title}'
FULL = 90


class QuotaForm(ReasonForm):
    gigabytes = forms.IntegerField(
        label=_("quota in GiB"),
        min_value=0,
        max_value=2**20,
        required=False,
        help_text=_("Empty: no limit"),
        widget=UnfoldAdminIntegerFieldWidget,
    )
    field_order = ("gigabytes", "reason")


@admin.register(Drive)
class DriveAdmin(AuditedAdmin):
    """Name and whether it is in use may be changed, and by a deed of its own the quota."""

    list_display = (
        "name", "owner", "shown_default", "shown_used", "shown_reserved", "shown_quota", "shown_bar", "is_active",
        "created_at",
    )  # fmt: skip
    list_filter = ("is_active",)
    list_select_related = ("user", "team")
    actions_detail = ("change_quota",)
    change_form_outer_before_template = "admin/drives/drive.html"
    search_fields = ("name", "user__username", "team__name")
    ordering = ("-created_at", "-pk")
    fields = (
        "user", "team", "name", "icon", "description", "letter", "shown_default", "shown_quota", "shown_used",
        "shown_reserved", "is_active", "created_at", "updated_at",
    )  # fmt: skip
    readonly_fields = (
        "user", "team", "letter", "shown_default", "shown_quota", "shown_used", "shown_reserved", "created_at",
        "updated_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Drive]:
        return (
            super()
            .get_queryset(request)
            .annotate(default_id=Subquery(meant_of(OuterRef("user")).values("pk")[:1]))
        )

    @display(description=_("owner"))
    def owner(self, drive: Drive) -> str:
        return str(drive.owner)

    @display(description=_("default drive"))
    def shown_default(self, drive: Drive) -> str:
        """Of those that are its owner's, the one that they chose, else the oldest."""
        return "★" if drive.pk == drive.default_id else ""  # type: ignore[attr-defined]

    @display(description=_("used"), ordering="used_size")
    def shown_used(self, drive: Drive) -> str:
        return filesizeformat(drive.used_size)

    @display(description=_("reserved by uploads"), ordering="reserved_size")
    def shown_reserved(self, drive: Drive) -> str:
        return filesizeformat(drive.reserved_size)

    @display(description=_("quota"), ordering="total_size")
    def shown_quota(self, drive: Drive) -> str:
        return "∞" if drive.total_size is None else filesizeformat(drive.total_size)

    @display(description=_("usage"))
    def shown_bar(self, drive: Drive) -> str:
        if not drive.total_size:
            return ""
        used = min(100 * drive.used_size // drive.total_size, 100)
        return format_html(BAR, title=f"{used} %", width=used, state="failed" if used > FULL else "done")

    def get_urls(self) -> list[URLPattern]:
        folders = path(
            "<uuid:object_id>/folders/", self.admin_site.admin_view(self.folders_view), name="drive-folders"
        )
        return [folders, *super().get_urls()]

    def folders_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """The biggest folders, which the page of a drive asks for by itself: with many files they take a while."""
        drive = self.get_object(request, str(object_id))
        if drive is None or not self.has_view_permission(request, drive):
            raise Http404
        return render(request, "admin/drives/folders.html", {"folders": biggest_folders(drive)})

    def has_quota_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("drives.change_quota")

    @deed(description=_("Change the quota"), permission="quota", form=QuotaForm, icon="hard_drive")
    def change_quota(self, request: HttpRequest, rows: QuerySet[Drive], given: dict[str, Any]) -> None:
        size = given["gigabytes"]
        rows.update(total_size=None if size is None else size * 2**30, updated_at=timezone.now())
        messages.success(request, _("The quota was changed."))

    def save_model(self, request: HttpRequest, obj: Drive, form: Any, change: bool) -> None:
        # Only what was changed: uploads move the sums of the row while the page is open.
        changed = set(form.changed_data)
        if obj.is_active and "is_active" in changed:
            restore_drive(drive=obj)
            changed.remove("is_active")
        obj.save(update_fields=[*changed, "updated_at"])

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RestoringAdmin(ReadOnlyAdmin):
    """Files and folders, which operators bring back from the trash."""

    actions = ("restore",)
    actions_detail: tuple[str, ...] = ("restore",)

    def has_restore_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("drives.restore_file")

    @deed(
        description=_("Restore from the trash"),
        permission="restore",
        form=ReasonForm,
        icon="restore_from_trash",
        fits=lambda entry: entry.trashed_at is not None,
    )
    def restore(self, request: HttpRequest, rows: QuerySet, given: dict[str, Any]) -> None:
        done = 0
        for entry in rows.select_related("drive"):
            try:
                restore(
                    entry=entry,
                    actor=cast(User, request.user),
                    on_clash=OnClash.KEEP_BOTH,
                    by_operator=True,
                )
                done += 1
            except DomainError as error:
                messages.warning(request, f"{entry}: {error}")
        messages.success(request, _("%(count)s restored.") % {"count": done})


@admin.register(Folder)
class FolderAdmin(RestoringAdmin):
    list_display = ("shown_path", "drive", "owner", "trashed_at", "created_at")
    fields = ("drive", "parent", "name", "shown_path", "trashed_at", "created_at", "updated_at")
    list_filter = (("trashed_at", admin.EmptyFieldListFilter),)
    list_select_related = ("drive__user", "drive__team")
    search_fields = ("path", "=id", *OWNER)
    ordering = ("-created_at", "-pk")

    @display(description=_("path"))
    def shown_path(self, folder: Folder) -> str:
        return GONE.sub("", folder.path)

    @display(description=_("owner"))
    def owner(self, folder: Folder) -> str:
        return str(folder.drive.owner)


@admin.register(File)
class FileAdmin(RestoringAdmin):
    list_display = ("name", "folder", "drive", "owner", "size", "mime_type", "trashed_at", "created_at")
    list_filter = (("trashed_at", admin.EmptyFieldListFilter),)
    list_select_related = ("folder", "drive__user", "drive__team")
    search_fields = ("^name", "=id", *OWNER)
    search_help_text = _("Beginning of the name, id; owner or team")
    sortable_by = ("created_at",)
    ordering = ("-created_at", "-pk")
    actions_detail = ("open_file", "restore")

    def has_open_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("drives.open_file")

    @deed(
        description=_("Open the file"),
        permission="open",
        form=ReasonForm,
        icon="visibility",
        text=_("The content is its owner's. That you opened it, and why, is in the owner's security log."),
    )
    def open_file(self, request: HttpRequest, rows: QuerySet[File], given: dict[str, Any]) -> str:
        file = rows.select_related("drive__user").get()
        audit.record(
            AuditEvent.Action.FILE_OPENED,
            user=file.drive.user,
            actor=cast(User, request.user),
            target=file,
            after={"name": file.name, "reason": given["reason"]},
        )
        return link_to(file.blob_id, file.name, request=request, seconds=60)

    @display(description=_("owner"))
    def owner(self, file: File) -> str:
        return str(file.drive.owner)


@admin.register(Blob)
class BlobAdmin(ReadOnlyAdmin):
    list_display = ("sha256", "md5", "size", "file_count", "storage_key", "verified_at", "created_at")
    list_filter = (("verified_at", admin.EmptyFieldListFilter),)
    search_fields = ("=sha256", "=md5", "=storage_key")
    ordering = ("-created_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Blob]:
        return super().get_queryset(request).annotate(count=Count("files"))

    @display(description=_("files"), ordering="count")
    def file_count(self, blob: Any) -> int:
        return int(blob.count)


@admin.register(DriveUsageSample)
class DriveUsageSampleAdmin(ReadOnlyAdmin):
    list_display = ("sample_date", "drive", "owner", "used_size", "reserved_size", "file_count")
    list_select_related = ("drive__user", "drive__team")
    search_fields = OWNER
    sortable_by = ()
    ordering = ("-sample_date", "-pk")

    @display(description=_("owner"))
    def owner(self, sample: DriveUsageSample) -> str:
        return str(sample.drive.owner)


@admin.register(DriveMember)
class DriveMemberAdmin(ReadOnlyAdmin):
    list_display = ("drive", "user", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("drive", "user")
    search_fields = ("user__username", "user__phone", "drive__name")
    ordering = ("-created_at", "-pk")


@admin.register(FileOperation)
class FileOperationAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "drive", "actor", "action", "path", "new_path", "size", "device")
    list_filter = ("action", "is_folder")
    list_select_related = ("drive", "actor")
    search_fields = ("^path", "=target_id", "actor__username", "drive__user__username")
    search_help_text = _("Beginning of the path, id of the file; who did it, or whose drive")
    sortable_by = ("created_at",)
    ordering = ("-created_at", "-pk")


@admin.register(FileVersion)
class FileVersionAdmin(ReadOnlyAdmin):
    list_display = ("file", "size", "modified_at", "uploaded_by", "created_at")
    list_select_related = ("file", "uploaded_by")
    search_fields = ("file__name", "uploaded_by__username")
    ordering = ("-created_at", "-pk")


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


@admin.register(StorageCheck)
class StorageCheckAdmin(ReadOnlyAdmin):
    """Whether database and storage agree. Adding one has it done; nothing is repaired from here."""

    list_display = (
        "created_at", "finished_at", "blobs", "objects_seen", "missing", "orphaned", "altered", "error",
    )  # fmt: skip
    ordering = ("-created_at", "-pk")
    fields = (
        "created_at", "begun_at", "finished_at", "blobs", "objects_seen", "missing", "orphaned", "altered", "error",
        "findings",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("drives.add_storagecheck")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None:
            return ((None, {"fields": self.fields}),)
        text = _("Saving has database and storage compared, which may take long. Nothing is changed by it.")
        return ((None, {"fields": (), "description": text}),)

    def save_model(self, request: HttpRequest, obj: StorageCheck, form: Any, change: bool) -> None:
        obj.save()
        ask_storage_check(obj.pk)


@admin.register(TrafficSample)
class TrafficSampleAdmin(ReadOnlyAdmin):
    list_display = ("sample_date", "drive", "owner", "size")
    list_select_related = ("drive__user", "drive__team")
    search_fields = OWNER
    sortable_by = ()
    ordering = ("-sample_date", "-pk")

    @display(description=_("owner"))
    def owner(self, sample: TrafficSample) -> str:
        return str(sample.drive.owner)
