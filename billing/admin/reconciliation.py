"""What the nightly checks found. Only read; operators write down how a difference was put right."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin import EmptyFieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import ReconciliationDifference, ReconciliationRun
from billing.services import nightly
from common.admin import ReadOnlyAdmin, ReadOnlyInline
from common.deeds import ReasonForm, deed


class DifferenceInline(ReadOnlyInline):
    model = ReconciliationDifference
    fields = ("check_name", "subject", "detail", "resolved_at", "resolved_by", "note")
    readonly_fields = fields
    show_change_link = True


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(ReadOnlyAdmin):
    list_display = ("day", "kind", "status", "checked", "differences_count", "started_at", "finished_at")
    list_filter = ("kind", "status")
    ordering = ("-day", "kind", "-pk")
    inlines = (DifferenceInline,)


@admin.register(ReconciliationDifference)
class ReconciliationDifferenceAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "run",
        "check_name",
        "subject",
        "detail",
        "resolved_at",
        "resolved_by",
        "note",
    )
    list_filter = (("resolved_at", EmptyFieldListFilter), "run__kind")
    list_select_related = ("run", "resolved_by")
    search_fields = ("subject", "detail", "task_id")
    ordering = ("-created_at", "-pk")
    actions = ("resolve",)
    actions_detail = ("resolve",)

    def has_resolve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.resolve_reconciliationdifference")

    @deed(
        description=_("Resolved"),
        permission="resolve",
        form=ReasonForm,
        icon="done_all",
        text=_("Say how it was put right. The difference itself stays written down."),
    )
    def resolve(
        self, request: HttpRequest, rows: QuerySet[ReconciliationDifference], given: dict[str, Any]
    ) -> None:
        actor, now = cast(User, request.user), timezone.now()
        count = sum(
            nightly.resolve(difference=row, actor=actor, note=given["reason"], now=now) for row in rows
        )
        messages.success(request, _("%(count)s differences resolved.") % {"count": count})
