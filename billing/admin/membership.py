"""Plans, who has one, and what members of teams may spend."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from billing.models import MemberLimit, Membership, MembershipPlan
from billing.signals import plan_changed
from common.admin import AuditedAdmin, ReadOnlyAdmin

GIB = 2**30


class GibibytesField(forms.IntegerField):
    """Bytes, which people give in GiB."""

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, int):  # what was typed
            return value
        return value / GIB if value % GIB else value // GIB

    def to_python(self, value: Any) -> int | None:
        size = super().to_python(value)
        return None if size is None else size * GIB


class PlanForm(forms.ModelForm):
    storage_size = GibibytesField(
        label=_("storage in GiB"), min_value=0, required=False, help_text=_("Empty: no limit"),
        widget=UnfoldAdminIntegerFieldWidget,
    )  # fmt: skip


@admin.register(MembershipPlan)
class MembershipPlanAdmin(AuditedAdmin):
    """A changed plan applies at once; a changed price applies from the next month that is bought or renewed."""

    form = PlanForm
    list_display = (
        "level", "price", "discount", "shown_storage", "concurrent_frames", "weight", "max_priority",
    )  # fmt: skip
    ordering = ("level",)
    search_fields = ("level",)
    readonly_fields = ("level",)

    @display(description=_("storage"))
    def shown_storage(self, plan: MembershipPlan) -> str:
        return "∞" if plan.storage_size is None else filesizeformat(plan.storage_size)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: MembershipPlan, form: Any, change: bool) -> None:
        before = MembershipPlan.objects.get(pk=obj.pk)
        super().save_model(request, obj, form, change)
        plan_changed.send(sender=MembershipPlan, plan=obj, before=before)


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    list_display = (
        "user", "plan", "status", "price", "period_start", "period_end", "cancel_at_period_end", "next_plan",
    )  # fmt: skip
    list_filter = ("status", "plan")
    list_select_related = ("user", "plan", "next_plan")
    search_fields = ("user__username", "user__phone")
    ordering = ("-period_end", "-pk")


@admin.register(MemberLimit)
class MemberLimitAdmin(AuditedAdmin):
    """Teams set these themselves. Operators look at them, and change one where its team cannot."""

    list_display = ("team", "user", "amount", "updated_at")
    list_select_related = ("team", "user")
    search_fields = ("team__name", "user__username", "user__phone")
    ordering = ("team__name", "pk")
    readonly_fields = ("team", "user")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
