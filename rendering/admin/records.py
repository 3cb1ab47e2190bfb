"""What belongs to jobs: frames, attempts and the rest, all read-only."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from common.admin import ReadOnlyAdmin, ReadOnlyInline
from common.columns import choice_column
from rendering import models

FRAME_COLOURS = {"running": "warning", "done": "success", "failed": "danger", "cancelled": "danger"}
ATTEMPT_COLOURS = {"running": "warning", "succeeded": "success", "failed": "danger", "lost": "danger"}


class FrameAttemptInline(ReadOnlyInline):
    """Every attempt at a frame, and the end of its log."""

    model = models.Attempt.frames.through
    verbose_name_plural = _("attempts")
    fields = readonly_fields = ("begun", "node", "outcome", "log")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = super().get_queryset(request).select_related("attempt__node")
        return rows.order_by("-attempt__pk")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("rendering.view_attempt")

    @display(description=_("created at"))
    def begun(self, link: Any) -> Any:
        return link.attempt.created_at

    @display(description=_("render node"))
    def node(self, link: Any) -> str:
        return str(link.attempt.node or "-")

    @display(description=_("status"))
    def outcome(self, link: Any) -> str:
        attempt = link.attempt
        return " ".join(filter(None, (attempt.get_status_display(), attempt.failure_code, attempt.message)))

    @display(description=_("end of the log"))
    def log(self, link: Any) -> str:
        return "\n".join(link.attempt.log_tail.splitlines()[-20:])


@admin.register(models.Frame)
class FrameAdmin(ReadOnlyAdmin):
    list_display = ("number", "job", "shown_status", "failures", "losses", "failure_code", "seconds")
    list_filter = ("status",)
    search_fields = ("job__task_name", "job__id", "job__user__username")
    list_select_related = ("job",)
    sortable_by = ()
    ordering = ("-pk",)
    fields = (
        "job", "step", "number", "status", "failures", "losses", "failure_code", "seconds", "due_at", "attempt",
    )  # fmt: skip
    inlines = (FrameAttemptInline,)

    shown_status = choice_column("status", FRAME_COLOURS)


@admin.register(models.Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at", "job", "node", "shown_status", "shown_progress", "failure_code", "cpu_seconds", "ended_at",
    )  # fmt: skip
    list_filter = ("status",)
    search_fields = ("job__task_name", "job__id", "job__user__username", "node__name", "=failure_code")
    search_help_text = _("A task, its owner, a node, a failure code")
    list_select_related = ("job", "node")
    sortable_by = ("created_at",)
    ordering = ("-created_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.Attempt]:
        rows: QuerySet[models.Attempt] = super().get_queryset(request)
        return (
            rows.defer("log_tail") if request.resolver_match and not request.resolver_match.kwargs else rows
        )

    shown_status = choice_column("status", ATTEMPT_COLOURS)

    @display(description=_("progress"))
    def shown_progress(self, attempt: models.Attempt) -> str:
        return f"{attempt.progress:.0f} %"


@admin.register(models.JobDependency)
class JobDependencyAdmin(ReadOnlyAdmin):
    list_display = ("job", "on", "kind", "created_at")
    list_select_related = ("job", "on")
    ordering = ("-pk",)


@admin.register(models.NodeBlock)
class NodeBlockAdmin(ReadOnlyAdmin):
    list_display = ("job", "node", "created_at")
    list_select_related = ("job", "node")
    ordering = ("-pk",)


@admin.register(models.WaitingOwner)
class WaitingOwnerAdmin(ReadOnlyAdmin):
    list_display = ("share", "engine", "priority", "since")
    list_select_related = ("share",)
    ordering = ("-pk",)


@admin.register(models.SceneReport)
class SceneReportAdmin(ReadOnlyAdmin):
    list_display = ("id", "engine", "status", "tries", "failure_code", "created_at")
    list_filter = ("status", "engine")
    search_fields = ("=blob__sha256", "failure_code")
    ordering = ("-pk",)


@admin.register(models.FrameOutput)
class FrameOutputAdmin(ReadOnlyAdmin):
    list_display = ("name", "frame", "width", "height", "created_at")
    search_fields = ("=id",)
    list_select_related = ("frame",)
    sortable_by = ()
    ordering = ("-pk",)


@admin.register(models.RenderStep)
class RenderStepAdmin(ReadOnlyAdmin):
    list_display = ("name", "job")
    search_fields = ("job__task_name",)
    list_select_related = ("job",)
    sortable_by = ()
    ordering = ("-pk",)


@admin.register(models.JobFile)
class JobFileAdmin(ReadOnlyAdmin):
    list_display = ("path", "job", "is_scene")
    search_fields = ("job__task_name",)
    list_select_related = ("job",)
    sortable_by = ()
    ordering = ("-pk",)


@admin.register(models.JobLog)
class JobLogAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "job", "log_level", "message")
    list_filter = ("log_level",)
    search_fields = ("job__task_name", "job__user__username")
    list_select_related = ("job",)
    sortable_by = ()
    ordering = ("-pk",)
