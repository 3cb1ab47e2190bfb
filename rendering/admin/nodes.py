"""Render nodes, and what they do at the moment."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display
from unfold.enums import ActionVariant

from common.admin import ReadOnlyAdmin, ReadOnlyInline
from common.columns import choice_column
from common.deeds import deed
from rendering.models import Attempt, RenderNode
from rendering.services.nodes import set_state

State = RenderNode.State
STATE_COLOURS = {"enabled": "success", "draining": "warning", "disabled": "danger"}


class LifeFilter(admin.SimpleListFilter):
    title = _("life")
    parameter_name = "life"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("online", _("online")), ("lost", _("lost"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RenderNode]) -> QuerySet[RenderNode]:
        living = RenderNode.objects.living().values("pk")
        if self.value() == "online":
            return queryset.filter(pk__in=living)
        if self.value() == "lost":
            return queryset.exclude(pk__in=living).exclude(state=State.DISABLED)
        return queryset


class RunningInline(ReadOnlyInline):
    """What the node renders now."""

    model = Attempt
    verbose_name_plural = _("renders now")
    fields = readonly_fields = ("job", "frames_shown", "progress", "created_at")
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        rows: QuerySet[Attempt] = super().get_queryset(request).filter(status=Attempt.Status.RUNNING)
        return rows.select_related("job").prefetch_related("frames").defer("log_tail").order_by("pk")

    @display(description=_("frames"))
    def frames_shown(self, attempt: Attempt) -> str:
        return ", ".join(str(number) for number in sorted(frame.number for frame in attempt.frames.all()))


@admin.register(RenderNode)
class RenderNodeAdmin(ReadOnlyAdmin):
    """Operators take nodes in and out of service by deeds; everything else is reported by the node itself."""

    list_display = (
        "name", "host", "shown_life", "shown_state", "shown_running", "slots", "cores", "shown_load", "shown_memory",
        "shown_engines", "heartbeat_at",
    )  # fmt: skip
    list_filter = ("state", LifeFilter)
    search_fields = ("name", "host")
    ordering = ("name", "pk")
    fields = (
        "name", "host", "state", "life", "shown_engines", "tags", "slots", "cores", "shown_load",
        "shown_memory", "version", "pid", "rests_until", "heartbeat_at",
    )  # fmt: skip
    inlines = (RunningInline,)
    actions = ("drain", "disable", "enable")
    actions_detail = ("enable", "drain", "disable")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RenderNode]:
        running = Q(attempts__status=Attempt.Status.RUNNING)
        return super().get_queryset(request).annotate(running_attempts=Count("attempts", filter=running))

    @display(description=_("renders now"), ordering="running_attempts")
    def shown_running(self, node: Any) -> int:
        return int(node.running_attempts)

    @display(description=_("life"), label={"online": "success", "lost": "danger"})
    def shown_life(self, node: RenderNode) -> tuple[str, Any]:
        return ("lost", _("lost")) if node.is_lost(timezone.now()) else ("online", _("online"))

    @display(description=_("life"))
    def life(self, node: RenderNode) -> Any:
        return self.shown_life(node)[1]

    shown_state = choice_column("state", STATE_COLOURS, description=_("state"))

    @display(description=_("load"), ordering="load")
    def shown_load(self, node: RenderNode) -> str:
        return f"{node.load:.1f}"

    @display(description=_("free memory"), ordering="free_memory_size")
    def shown_memory(self, node: RenderNode) -> str:
        return f"{filesizeformat(node.free_memory_size)} / {filesizeformat(node.memory_size)}"

    @display(description=_("engines"))
    def shown_engines(self, node: RenderNode) -> str:
        named = ((name, ", ".join(versions)) for name, versions in sorted(node.engines.items()))
        return format_html_join(" · ", "{} {}", named)

    @deed(
        description=_("Drain: finish what runs, take nothing new"),
        permission="change_work",
        icon="hourglass_bottom",
        fits=lambda node: node.state != State.DRAINING,
    )
    def drain(self, request: HttpRequest, rows: QuerySet[RenderNode], given: dict[str, Any]) -> None:
        self.put_into(request, rows, State.DRAINING)

    @deed(
        description=_("Disable: give back at once what runs"),
        permission="change_work",
        icon="block",
        variant=ActionVariant.DANGER,
        fits=lambda node: node.state != State.DISABLED,
    )
    def disable(self, request: HttpRequest, rows: QuerySet[RenderNode], given: dict[str, Any]) -> None:
        self.put_into(request, rows, State.DISABLED)

    @deed(
        description=_("Enable"),
        permission="change_work",
        icon="check_circle",
        fits=lambda node: node.state != State.ENABLED,
    )
    def enable(self, request: HttpRequest, rows: QuerySet[RenderNode], given: dict[str, Any]) -> None:
        self.put_into(request, rows, State.ENABLED)

    def put_into(self, request: HttpRequest, rows: QuerySet[RenderNode], state: RenderNode.State) -> None:
        count = set_state(nodes=rows, state=state)
        self.message_user(
            request,
            ngettext("%(count)s node changed.", "%(count)s nodes changed.", count) % {"count": count},
            messages.SUCCESS,
        )

    def has_change_work_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("rendering.change_rendernode")

    def has_delete_permission(self, request: HttpRequest, obj: RenderNode | None = None) -> bool:
        """Machines that are gone for good; one that lives would only announce itself anew."""
        may: bool = request.user.has_perm("rendering.delete_rendernode")
        return may and (obj is None or obj.is_lost(timezone.now()))
