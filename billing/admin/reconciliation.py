"""Findings of the nightly checks. Read-only; operators write down how a difference was put right."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin import EmptyFieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from accounts.models import User
from billing.models import ReconciliationDifference, ReconciliationRun
from billing.services import nightly
from common.admin import ReadOnlyAdmin, ReadOnlyInline
from common.columns import choice_column
from common.deeds import ReasonForm, deed

CHECKS = {
    "ledger": _("A wallet is not what its entries say"),
    "cost": _("A task cost something else than was billed"),
    "held": _("Money is held for a task that is over"),
    "frames": _("Frames were rendered and not charged, or charged and not rendered"),
    "orphan": _("A bill of a task that is gone"),
    "unknown_order": _("The channel was paid for an order that there is not"),
    "not_credited": _("Paid, and not credited"),
    "amount": _("Another amount was paid than was ordered"),
    "transaction": _("Paid by another transaction than was credited for"),
    "not_in_file": _("Credited, and not in the channel's file"),
    "unknown_refund": _("The channel paid back what nobody asked for"),
    "refund": _("Another amount was paid back"),
    "invoices": _("More was invoiced than was paid"),
}
"""What the checks of `nightly` and what is registered there are called."""


class ShownCheck:
    @display(description=_("check"))
    def shown_check(self, row: ReconciliationDifference) -> Any:
        return CHECKS.get(row.check_name, row.check_name)


class DifferenceInline(ShownCheck, ReadOnlyInline):
    model = ReconciliationDifference
    fields = readonly_fields = ("shown_check", "subject", "detail", "resolved_at", "resolved_by", "note")
    show_change_link = True


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(ReadOnlyAdmin):
    list_display = (
        "day",
        "kind",
        "shown_status",
        "checked",
        "differences_count",
        "started_at",
        "finished_at",
    )
    list_filter = ("kind", "status")
    ordering = ("-day", "kind", "-pk")
    shown_status = choice_column(
        "status", {"running": "info", "clean": "success", "different": "warning", "failed": "danger"}
    )
    inlines = (DifferenceInline,)


@admin.register(ReconciliationDifference)
class ReconciliationDifferenceAdmin(ShownCheck, ReadOnlyAdmin):
    list_display = (
        "created_at",
        "run",
        "shown_check",
        "subject",
        "detail",
        "resolved_at",
        "resolved_by",
        "note",
    )
    fields = (
        "run", "shown_check", "subject", "wallet", "task_id", "detail", "resolved_at", "resolved_by", "note",
    )  # fmt: skip
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
        fits=lambda row: row.resolved_at is None,
    )
    def resolve(
        self, request: HttpRequest, rows: QuerySet[ReconciliationDifference], given: dict[str, Any]
    ) -> None:
        actor, now = cast(User, request.user), timezone.now()
        count = sum(
            nightly.resolve(difference=row, actor=actor, note=given["reason"], now=now) for row in rows
        )
        messages.success(
            request,
            ngettext("%(count)s difference resolved.", "%(count)s differences resolved.", count)
            % {"count": count},
        )
