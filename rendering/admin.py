"""The farm as operators see it. Work is changed by actions that call the services, never by editing rows."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.decorators import action, display

from common.admin import AuditedAdmin, ReadOnlyAdmin
from common.errors import DomainError
from rendering import models
from rendering.engines import ENGINES
from rendering.services import jobs, limits
from rendering.services.reopening import retry_frames

Status = models.RenderJob.Status
State = models.RenderNode.State
COLOURS = {
    "draft": "info",
    "pending": "info",
    "queued": "warning",
    "rendering": "warning",
    "paused": "info",
    "completed": "success",
    "failed": "danger",
    "cancelled": "danger",
}


class JobLogInline(TabularInline):
    model = models.JobLog
    fields = readonly_fields = ("created_at", "log_level", "message")
    ordering = ("-id",)
    extra = 0
    can_delete = False
    max_num = 0
    per_page = 20
    verbose_name_plural = _("task log")


@admin.register(models.RenderJob)
class RenderJobAdmin(ReadOnlyAdmin):
    list_display = (
        "task_name", "user", "shown_status", "shown_progress", "engine", "priority", "actual_cost", "created_at",
    )  # fmt: skip
    list_filter = (
        "status", "pause_reason", "engine", "priority", "failure_code", "has_test_frames",
        ("created_at", admin.DateFieldListFilter),
    )  # fmt: skip
    search_fields = ("task_name", "user__username", "user__phone", "id")
    list_select_related = ("user",)
    inlines = (JobLogInline,)
    actions = ("pause", "resume", "cancel", "retry_failed", "raise_priority")

    @display(description=_("status"), label=COLOURS)
    def shown_status(self, job: models.RenderJob) -> tuple[str, Any]:
        return job.status_name, Status(job.status).label

    @display(description=_("progress"))
    def shown_progress(self, job: models.RenderJob) -> str:
        return f"{job.progress} % ({job.done_frames}/{job.total_frames})"

    def each(self, request: HttpRequest, rows: QuerySet, call: Any) -> None:
        """Call a service for each selected job; what it refuses is told, the others go on."""
        done = 0
        for job in rows.select_related("user", "drive", "hold"):
            try:
                call(job)
                done += 1
            except DomainError as error:
                self.message_user(request, f"{job.task_name}: {error}", messages.WARNING)
        self.message_user(request, _("%(count)s tasks changed.") % {"count": done}, messages.SUCCESS)

    @action(description=_("Pause"), permissions=["change_work"])
    def pause(self, request: HttpRequest, rows: QuerySet) -> None:
        self.each(
            request, rows, lambda job: jobs.pause_job(job=job, reason=models.RenderJob.PauseReason.OPERATOR)
        )

    @action(description=_("Resume"), permissions=["change_work"])
    def resume(self, request: HttpRequest, rows: QuerySet) -> None:
        self.each(request, rows, lambda job: jobs.resume_job(job=job, by_operator=True))

    @action(description=_("Cancel"), permissions=["change_work"])
    def cancel(self, request: HttpRequest, rows: QuerySet) -> None:
        self.each(request, rows, lambda job: jobs.cancel_job(job=job))

    @action(description=_("Retry failed frames"), permissions=["change_work"])
    def retry_failed(self, request: HttpRequest, rows: QuerySet) -> None:
        self.each(request, rows, lambda job: retry_frames(job=job))

    @action(description=_("Raise priority"), permissions=["change_work"])
    def raise_priority(self, request: HttpRequest, rows: QuerySet) -> None:
        self.each(request, rows, lambda job: jobs.set_priority(job=job, priority=min(job.priority + 1, 3)))

    def has_change_work_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("rendering.change_renderjob")


@admin.register(models.Frame)
class FrameAdmin(ReadOnlyAdmin):
    list_display = ("number", "job", "status", "failures", "losses", "failure_code", "seconds")
    list_filter = ("status",)
    search_fields = ("job__task_name", "job__id")
    list_select_related = ("job",)


@admin.register(models.Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "job",
        "node",
        "status",
        "progress",
        "failure_code",
        "cpu_seconds",
        "created_at",
        "ended_at",
    )
    list_filter = ("status", "node")
    search_fields = ("job__task_name", "job__id", "failure_code")
    list_select_related = ("job", "node")


@admin.register(models.RenderNode)
class RenderNodeAdmin(AuditedAdmin):
    """Operators may take a node out of service; everything else the node says itself."""

    list_display = (
        "name", "host", "shown_life", "state", "shown_running", "slots", "cores", "load", "engines", "heartbeat_at",
    )  # fmt: skip
    list_filter = ("state",)
    search_fields = ("name", "host")
    readonly_fields = (
        "name", "host", "pid", "version", "cores", "memory_size", "free_memory_size", "load", "slots",
        "shown_running", "engines", "tags", "rests_until", "heartbeat_at",
    )  # fmt: skip
    actions = ("drain", "disable", "enable")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        running = Q(attempts__status=models.Attempt.Status.RUNNING)
        return super().get_queryset(request).annotate(running_attempts=Count("attempts", filter=running))

    @display(description=_("renders now"), ordering="running_attempts")
    def shown_running(self, node: Any) -> int:
        return int(node.running_attempts)

    @action(description=_("Drain: finish what runs, take nothing new"), permissions=["change"])
    def drain(self, request: HttpRequest, rows: QuerySet) -> None:
        self.put_into(request, rows, State.DRAINING)

    @action(description=_("Disable: give back at once what runs"), permissions=["change"])
    def disable(self, request: HttpRequest, rows: QuerySet) -> None:
        self.put_into(request, rows, State.DISABLED)

    @action(description=_("Enable"), permissions=["change"])
    def enable(self, request: HttpRequest, rows: QuerySet) -> None:
        self.put_into(request, rows, State.ENABLED)

    def put_into(self, request: HttpRequest, rows: QuerySet, state: str) -> None:
        changed = models.RenderNode.objects.filter(pk__in=rows.values("pk")).exclude(state=state)
        count = changed.update(state=state, updated_at=timezone.now())
        self.message_user(request, _("%(count)s nodes changed.") % {"count": count}, messages.SUCCESS)

    @display(description=_("life"), label={"online": "success", "lost": "danger"})
    def shown_life(self, node: models.RenderNode) -> tuple[str, Any]:
        return ("lost", _("lost")) if node.is_lost(timezone.now()) else ("online", _("online"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


class LicenceForm(forms.ModelForm):
    """A licence that is limited: an engine, or a renderer in it."""

    class Meta:
        model = models.ConcurrencyLimit
        fields = ("key", "maximum")
        labels = {"key": _("engine, or engine/renderer")}

    def clean_key(self) -> str:
        engine, _slash, renderer = self.cleaned_data["key"].strip().lower().partition("/")
        key = limits.licence_key(engine, renderer)
        if engine not in ENGINES:
            raise forms.ValidationError(
                _("There is no such engine; there are %(engines)s.") % {"engines": ", ".join(ENGINES)}
            )
        if models.ConcurrencyLimit.objects.filter(
            kind=models.ConcurrencyLimit.Kind.LICENCE, key=key
        ).exists():
            raise forms.ValidationError(_("This licence is limited already."))
        return key


@admin.register(models.ConcurrencyLimit)
class ConcurrencyLimitAdmin(AuditedAdmin):
    """How many attempts of a user, a team or a licence run at once.

    Rows of users and teams come with their first job; what an operator sets there stays. A licence is limited here.
    """

    list_display = ("kind", "key", "maximum", "weight", "running", "is_custom")
    list_filter = ("kind", "is_custom")
    search_fields = ("key",)
    readonly_fields = ("kind", "key", "running")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("kind", "key", "maximum", "weight", "running", "is_custom") if obj else ("key", "maximum")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **(kwargs if obj else {**kwargs, "form": LicenceForm}))

    def save_model(self, request: HttpRequest, obj: models.ConcurrencyLimit, form: Any, change: bool) -> None:
        if not change:
            made = limits.limit_licence(key=obj.key, maximum=obj.maximum)
            vars(obj).update(vars(made))
            return
        if {"maximum", "weight"} & set(form.changed_data) and "is_custom" not in form.changed_data:
            obj.is_custom = True
        # `running` is the database's: it has counted on since the form was loaded.
        obj.save(update_fields=["maximum", "weight", "is_custom", "updated_at"])

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.JobDependency)
class JobDependencyAdmin(ReadOnlyAdmin):
    list_display = ("job", "on", "kind", "created_at")
    list_select_related = ("job", "on")


@admin.register(models.NodeBlock)
class NodeBlockAdmin(ReadOnlyAdmin):
    list_display = ("job", "node", "created_at")
    list_select_related = ("job", "node")


@admin.register(models.SceneReport)
class SceneReportAdmin(ReadOnlyAdmin):
    list_display = ("id", "engine", "status", "tries", "failure_code", "created_at")
    list_filter = ("status", "engine")
    search_fields = ("blob__sha256", "failure_code")


@admin.register(models.FrameOutput)
class FrameOutputAdmin(ReadOnlyAdmin):
    list_display = ("name", "frame", "width", "height", "created_at")
    search_fields = ("name", "frame__job__task_name")
    list_select_related = ("frame",)


@admin.register(models.RenderStep)
class RenderStepAdmin(ReadOnlyAdmin):
    list_display = ("name", "job")
    search_fields = ("job__task_name",)
    list_select_related = ("job",)


@admin.register(models.JobFile)
class JobFileAdmin(ReadOnlyAdmin):
    list_display = ("path", "job", "is_scene")
    search_fields = ("path", "job__task_name")
    list_select_related = ("job",)


@admin.register(models.JobLog)
class JobLogAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "job", "log_level", "message")
    list_filter = ("log_level",)
    search_fields = ("message", "job__task_name")
    list_select_related = ("job",)
