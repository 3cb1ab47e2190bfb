"""Money as operators see it: to look at, never to change by hand. Only prices are made here, and never rewritten."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from billing import models
from common.admin import ReadOnlyAdmin


@admin.register(models.Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ("user", "currency", "balance", "held", "sequence", "updated_at")
    list_filter = ("currency",)
    search_fields = ("user__username", "user__phone", "user__email")
    list_select_related = ("user",)


@admin.register(models.LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "wallet",
        "sequence",
        "kind",
        "amount",
        "held_delta",
        "balance_after",
        "held_after",
    )
    list_filter = ("kind",)
    search_fields = ("wallet__user__username", "wallet__user__phone", "task_id", "key", "description")
    list_select_related = ("wallet",)


@admin.register(models.Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "wallet", "amount", "captured", "released", "status", "task_id")
    list_filter = ("status",)
    search_fields = ("wallet__user__username", "task_id", "key")
    list_select_related = ("wallet",)


class BillLineInline(TabularInline):
    model = models.BillLine
    fields = readonly_fields = ("description", "quantity", "unit_price", "amount")
    extra = max_num = 0
    can_delete = False


@admin.register(models.Bill)
class BillAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "wallet", "amount", "description", "task_id")
    search_fields = ("wallet__user__username", "task_id", "description")
    list_select_related = ("wallet",)
    inlines = (BillLineInline,)


@admin.register(models.BillLine)
class BillLineAdmin(ReadOnlyAdmin):
    list_display = ("bill", "description", "quantity", "unit_price", "amount")
    search_fields = ("description", "bill__task_id")
    list_select_related = ("bill",)


@admin.register(models.PriceRule)
class PriceRuleAdmin(ModelAdmin):
    """A price changes by adding a rule that is valid from then on; what jobs were priced by stays as it was."""

    list_display = ("engine", "unit", "price", "currency", "valid_from", "valid_to")
    list_filter = ("engine", "currency")
    search_fields = ("engine",)
    ordering = ("-valid_from",)

    def has_change_permission(self, request: HttpRequest, obj: models.PriceRule | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.PriceRule | None = None) -> bool:
        return False
