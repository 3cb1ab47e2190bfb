"""Monthly statements: only read."""

from django.contrib import admin

from billing.admin.ledger import OWNER
from billing.models import Statement
from common.admin import ReadOnlyAdmin


@admin.register(Statement)
class StatementAdmin(ReadOnlyAdmin):
    list_display = (
        "month",
        "wallet",
        "opening",
        "moved",
        "closing",
        "closing_gift",
        "closing_held",
        "mailed_at",
    )
    list_filter = ("wallet__currency",)
    list_select_related = ("wallet__user", "wallet__team")
    search_fields = OWNER
    ordering = ("-month", "-pk")
