"""The operators' view of money. The ledger and what follows from it is only read; services write it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from billing.models import Bill, BillLine, Hold, LedgerEntry, PriceRule, Wallet
from common.admin import AuditedAdmin, ReadOnlyAdmin, ReadOnlyInline

OWNER = ("wallet__user__username", "wallet__user__phone")


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ("user", "currency", "balance", "held", "available", "sequence", "updated_at")
    list_filter = ("currency",)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__phone")
    ordering = ("-updated_at", "-pk")
    fields = ("user", "currency", "balance", "held", "available", "sequence", "created_at", "updated_at")


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at", "wallet", "sequence", "kind", "amount", "held_delta", "balance_after", "held_after",
        "description", "actor",
    )  # fmt: skip
    list_filter = ("kind", "wallet__currency")
    list_select_related = ("wallet__user", "actor")
    search_fields = (*OWNER, "key", "task_id", "description")
    ordering = ("-created_at", "-pk")
    date_hierarchy = "created_at"


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "wallet",
        "amount",
        "captured",
        "released",
        "status",
        "task_id",
        "closed_at",
    )
    list_filter = ("status",)
    list_select_related = ("wallet__user",)
    search_fields = (*OWNER, "key", "task_id")
    ordering = ("-created_at", "-pk")


class BillLineInline(ReadOnlyInline):
    model = BillLine
    fields = ("description", "quantity", "unit_price", "amount")
    readonly_fields = fields


@admin.register(Bill)
class BillAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "wallet", "amount", "description", "task_id")
    list_select_related = ("wallet__user",)
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


@admin.register(PriceRule)
class PriceRuleAdmin(AuditedAdmin):
    """A price is replaced by adding a newer one: bills and running jobs point to the old."""

    list_display = ("engine", "unit", "price", "currency", "valid_from", "valid_to", "created_at")
    list_filter = ("engine", "currency")
    search_fields = ("engine",)
    ordering = ("engine", "-valid_from", "-pk")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
