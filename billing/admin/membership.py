"""Plans, who has one, and what members of teams may spend."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from billing.models import MemberLimit, Membership, MembershipPlan
from billing.signals import plan_changed
from common.admin import AuditedAdmin, ReadOnlyAdmin


@admin.register(MembershipPlan)
class MembershipPlanAdmin(AuditedAdmin):
    """What a level gives counts at once; what it costs, from the next month that is bought or renewed."""

    list_display = (
        "level", "price", "discount", "storage_size", "concurrent_frames", "weight", "max_priority",
    )  # fmt: skip
    ordering = ("level",)
    search_fields = ("level",)
    readonly_fields = ("level",)

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
    """Teams set them themselves; here they are looked at and, where somebody cannot, changed."""

    list_display = ("team", "user", "amount", "updated_at")
    list_select_related = ("team", "user")
    search_fields = ("team__name", "user__username", "user__phone")
    ordering = ("team__name", "pk")
    readonly_fields = ("team", "user")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
