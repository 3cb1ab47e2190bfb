"""What things cost."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from billing.models import PriceRule
from common.admin import AuditedAdmin


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
