"""Jobs: the list, a job's page with its frames, attempts and pre-flight, and the deeds of operators."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display
from unfold.enums import ActionVariant

from accounts.models import User
from billing.admin.refunds import RefundForm
from billing.services.bill_refunds import refund_task
from common.admin import ReadOnlyAdmin, ReadOnlyInline
from common.columns import choice_column
from common.deeds import ReasonForm, deed
from common.errors import DomainError
from rendering.admin.job_page import live_facts, report_of
from rendering.models import JobFile, JobLog, RenderJob
from rendering.services import jobs, moving
from rendering.services.reopening import retry_frames

Status = RenderJob.Status
COLOURS = {
    Status.DRAFT: "info",
    Status.PENDING: "info",
    Status.QUEUED: "warning",
    Status.RENDERING: "warning",
    Status.PAUSED: "info",
    Status.COMPLETED: "success",
    Status.FAILED: "danger",
}
FIRST = (
    "team", "drive", "scene_file", "engine", "renderer", "frame_range", "priority", "output_folder", "submitted_at",
    "started_at", "completed_at",
)  # fmt: skip
BAR = (
    '<span class="job-bar" title="{title}"><span class="done" style="width: {done}%"></span>'
    '<span class="failed" style="width: {failed}%"></span></span> {title}'
)


def allows(action: str) -> Callable[[RenderJob], bool]:
    return lambda job: job.status in RenderJob.ACTIONS[action]


class JobLogInline(ReadOnlyInline):
    model = JobLog
    fields = readonly_fields = ("created_at", "log_level", "message")
    ordering = ("-id",)
    per_page = 20
    tab = True
    verbose_name_plural = _("task log")


class JobFileInline(ReadOnlyInline):
    model = JobFile
    fields = readonly_fields = ("path", "is_scene")
    ordering = ("-is_scene", "path")
    per_page = 20
    tab = True


@admin.register(RenderJob)
class RenderJobAdmin(ReadOnlyAdmin):
    list_display = (
        "task_name", "user", "shown_status", "shown_progress", "engine", "priority", "cost", "failure_code",
        "created_at",
    )  # fmt: skip
    list_filter = ("status", "pause_reason", "engine", "priority", "failure_code", "has_test_frames")
    search_fields = ("task_name", "user__username", "=id")
    search_help_text = _("Name or id of the task; its owner")
    list_select_related = ("user",)
    sortable_by = ("created_at",)
    ordering = ("-created_at", "-pk")
    inlines = (JobLogInline, JobFileInline)
    actions = ("pause", "resume", "cancel", "retry_failed", "raise_priority", "refund", "move")
    actions_detail = (
        "pause",
        "resume",
        "retry_failed",
        {
            "title": _("More"),
            "icon": "more_horiz",
            "items": ["raise_priority", "refund", "move", "unblock_nodes", "cancel"],
        },
    )  # fmt: skip
    change_form_outer_before_template = "admin/rendering/job.html"

    class Media:
        js = ("rendering/office.js",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What one looks for first; the rest folds away."""
        names = super().get_fieldsets(request, obj)[0][1]["fields"]
        rest = [name for name in names if name not in FIRST]
        return [(None, {"fields": FIRST}), (_("All columns"), {"fields": rest, "classes": ["collapse"]})]

    shown_status = choice_column("status", COLOURS)

    @display(description=_("progress"))
    def shown_progress(self, job: RenderJob) -> str:
        total = max(job.total_frames, 1)
        return format_html(
            BAR,
            title=f"{job.progress} % ({job.done_frames}/{job.total_frames})",
            done=100 * job.done_frames // total,
            failed=100 * job.failed_frames // total,
        )

    @display(description=_("actual cost"))
    def cost(self, job: RenderJob) -> str:
        return "" if job.actual_cost is None else f"{job.actual_cost:.2f}"

    # --- The page of a job

    def get_urls(self) -> list[URLPattern]:
        live = path("<uuid:object_id>/live/", self.admin_site.admin_view(self.live_view), name="job-live")
        return [live, *super().get_urls()]

    def live_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """What changes while a job renders: its state, frames and attempts, for the page to show anew."""
        job = self.get_object(request, str(object_id))
        if job is None or not self.has_view_permission(request, job):
            raise Http404
        return render(request, "admin/rendering/job_live.html", {"live": live_facts(request, job)})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        job = self.get_object(request, object_id)
        shown = {}
        if job is not None and self.has_view_permission(request, job):
            shown = {"live": live_facts(request, job), "report": report_of(job)}
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})

    # --- What is done to jobs

    def each(self, request: HttpRequest, rows: QuerySet[RenderJob], call: Any) -> None:
        """Call a service for each job; what it refuses is told, the others go on."""
        done = 0
        for job in rows.select_related("user", "drive", "hold"):
            try:
                call(job)
                done += 1
            except DomainError as error:
                self.message_user(request, f"{job.task_name}: {error}", messages.WARNING)
        self.message_user(
            request,
            ngettext("%(count)s task changed.", "%(count)s tasks changed.", done) % {"count": done},
            messages.SUCCESS,
        )

    @deed(description=_("Pause"), permission="change_work", icon="pause", fits=allows("pause"))
    def pause(self, request: HttpRequest, rows: QuerySet[RenderJob], given: dict[str, Any]) -> None:
        self.each(request, rows, lambda job: jobs.pause_job(job=job, reason=RenderJob.PauseReason.OPERATOR))

    @deed(description=_("Resume"), permission="change_work", icon="play_arrow", fits=allows("resume"))
    def resume(self, request: HttpRequest, rows: QuerySet[RenderJob], given: dict[str, Any]) -> None:
        self.each(request, rows, lambda job: jobs.resume_job(job=job, by_operator=True))

    @deed(
        description=_("Cancel the task"),
        permission="change_work",
        form=ReasonForm,
        icon="cancel",
        text=_("Ends it for good: what is rendered is charged, the rest of the money is released."),
        variant=ActionVariant.DANGER,
        fits=allows("cancel"),
    )
    def cancel(self, request: HttpRequest, rows: QuerySet[RenderJob], given: dict[str, Any]) -> None:
        self.each(request, rows, lambda job: jobs.cancel_job(job=job))

    @deed(
        description=_("Retry failed frames"),
        permission="change_work",
        icon="replay",
        fits=lambda job: job.failed_frames and allows("retry")(job),
    )
    def retry_failed(self, request: HttpRequest, rows: QuerySet[RenderJob], given: dict[str, Any]) -> None:
        self.each(request, rows, lambda job: retry_frames(job=job))

    @deed(
        description=_("Raise priority"),
        permission="change_work",
        icon="keyboard_double_arrow_up",
        fits=allows("set_priority"),
    )
    def raise_priority(self, request: HttpRequest, rows: QuerySet[RenderJob], given: dict[str, Any]) -> None:
        def raised(job: RenderJob) -> Any:
            return jobs.set_priority(job=job, priority=min(job.priority + 1, 3), by_operator=True)

        self.each(request, rows, raised)

    def has_refund_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.refund_bill")

    @deed(
        description=_("Give back"),
        permission="refund",
        form=RefundForm,
        icon="undo",
        text=_("Of each task, the newest bill first; paid money before what was burnt of gifts."),
        fits=lambda job: job.actual_cost,
    )
    def refund(self, request: HttpRequest, rows: QuerySet[RenderJob], given: dict[str, Any]) -> None:
        self.each(
            request,
            rows,
            lambda job: refund_task(
                task_id=job.pk,
                amount=given["amount"],
                reason=given["reason"],
                key=f"{given['key']}:{job.pk}",
                actor=cast(User, request.user),
            ),
        )

    @deed(
        description=_("Move to other nodes"),
        permission="change_work",
        icon="move_up",
        text=_("Frames under way start anew on other nodes; those that had them get no more of this task."),
        fits=lambda job: job.status in RenderJob.CLAIMABLE_STATUSES,
    )
    def move(self, request: HttpRequest, rows: QuerySet[RenderJob], given: dict[str, Any]) -> None:
        self.each(request, rows, lambda job: moving.move_job(job=job))

    @deed(
        description=_("Let all nodes render it again"),
        permission="change_work",
        icon="lock_open",
        text=_("Nodes that failed this task, or that it was moved away from, may take its frames again."),
        fits=lambda job: job.status not in RenderJob.FINAL_STATUSES,
    )
    def unblock_nodes(self, request: HttpRequest, rows: QuerySet[RenderJob], given: dict[str, Any]) -> None:
        self.each(request, rows, lambda job: moving.unblock_nodes(job=job))

    def has_change_work_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("rendering.change_renderjob")
