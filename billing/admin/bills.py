"""Bills, only read."""

from django.contrib import admin

from billing.admin.ledger import OWNER
from billing.models import Bill, BillLine
from common.admin import ReadOnlyAdmin, ReadOnlyInline


class BillLineInline(ReadOnlyInline):
    model = BillLine
    fields = ("description", "quantity", "unit_price", "amount")
    readonly_fields = fields


@admin.register(Bill)
class BillAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "wallet", "kind", "amount", "description", "task_id")
    list_filter = ("kind",)
    list_select_related = ("wallet__user", "wallet__team")
    search_fields = (*OWNER, "task_id", "description")
    ordering = ("-created_at", "-pk")
    date_hierarchy = "created_at"
    inlines = (BillLineInline,)


@admin.register(BillLine)
class BillLineAdmin(ReadOnlyAdmin):
    list_display = ("bill", "description", "quantity", "unit_price", "amount")
    list_select_related = ("bill",)
    search_fields = ("description", "bill__task_id", "bill__wallet__user__username")
    ordering = ("-created_at", "-pk")
