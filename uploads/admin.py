"""Uploads as operators see them. Services end tasks; their rows are read-only."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display

from common.admin import ReadOnlyAdmin
from common.columns import choice_column
from common.errors import DomainError
from uploads.models import ClientLog, TaskFile, UploadPart, UploadTask
from uploads.services.tasks import cancel_task

COLOURS = {
    "pending": "info",
    "uploading": "warning",
    "completed": "success",
    "skipped": "success",
    "failed": "danger",
    "cancelled": "danger",
}


@admin.register(UploadTask)
class UploadTaskAdmin(ReadOnlyAdmin):
    list_display = (
        "task_name",
        "user",
        "drive",
        "shown_status",
        "files",
        "sizes",
        "expires_at",
        "created_at",
    )
    list_filter = ("status",)
    list_select_related = ("user", "drive")
    search_fields = ("task_name", "user__username", "user__phone", "id")
    ordering = ("-created_at", "-pk")
    actions = ("cancel",)

    shown_status = choice_column("status", COLOURS)

    @display(description=_("files landed"))
    def files(self, task: UploadTask) -> str:
        return f"{task.uploaded_files}/{task.total_files}"

    @display(description=_("bytes landed"))
    def sizes(self, task: UploadTask) -> str:
        return f"{filesizeformat(task.uploaded_size)}/{filesizeformat(task.total_size)}"

    @action(description=_("Cancel"), permissions=["change_work"])
    def cancel(self, request: HttpRequest, rows: QuerySet[UploadTask]) -> None:
        """Cancel the chosen tasks; what the service refuses is told, the others go on."""
        done = 0
        for task in rows.select_related("drive", "user"):
            try:
                cancel_task(task=task)
                done += 1
            except DomainError as error:
                self.message_user(request, f"{task.task_name}: {error}", messages.WARNING)
        self.message_user(
            request,
            ngettext("%(count)s task changed.", "%(count)s tasks changed.", done) % {"count": done},
            messages.SUCCESS,
        )

    def has_change_work_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("uploads.change_uploadtask")


@admin.register(TaskFile)
class TaskFileAdmin(ReadOnlyAdmin):
    list_display = (
        "shown_path", "task", "owner", "shown_status", "file_size", "parts_received", "is_duplicated",
        "retry_count", "updated_at",
    )  # fmt: skip
    list_filter = ("status", "is_duplicated")
    list_select_related = ("task__user",)
    search_fields = ("file_name", "target_folder_path", "task__task_name", "task__user__username", "task__id")
    ordering = ("-created_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaskFile]:
        return super().get_queryset(request).annotate(part_count=Count("parts"), received=Sum("parts__size"))

    @display(description=_("path"))
    def shown_path(self, row: TaskFile) -> str:
        return row.virtual_path

    @display(description=_("user"))
    def owner(self, row: TaskFile) -> str:
        return str(row.task.user)

    shown_status = choice_column("status", COLOURS)

    @display(description=_("upload parts"))
    def parts_received(self, row: Any) -> str:
        return f"{row.part_count} ({filesizeformat(row.received or 0)})" if row.part_count else ""


@admin.register(UploadPart)
class UploadPartAdmin(ReadOnlyAdmin):
    list_display = ("number", "task_file", "size", "etag", "updated_at")
    list_select_related = ("task_file",)
    search_fields = ("task_file__file_name", "=etag", "task_file__id")
    ordering = ("-created_at", "-pk")


@admin.register(ClientLog)
class ClientLogAdmin(ReadOnlyAdmin):
    list_display = ("file_name", "user", "log_date", "size", "created_at")
    list_select_related = ("user",)
    search_fields = ("file_name", "user__username", "user__phone")
    ordering = ("-created_at", "-pk")
