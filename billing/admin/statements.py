"""Monthly statements, read-only."""

from decimal import Decimal

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from billing.admin.ledger import OWNER
from billing.models import LedgerEntry, Statement
from billing.tables import number
from common.admin import ReadOnlyAdmin


@admin.register(Statement)
class StatementAdmin(ReadOnlyAdmin):
    list_display = (
        "shown_month",
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
    fields = (
        "wallet", "shown_month", "first_sequence", "last_sequence", "opening", "moved", "closing", "opening_gift",
        "closing_gift", "closing_held", "mailed_at", "shown_sums",
    )  # fmt: skip

    @display(description=_("month"), ordering="month")
    def shown_month(self, statement: Statement) -> str:
        return str(statement)

    @display(description=_("sums by kind"))
    def shown_sums(self, statement: Statement) -> str:
        kinds = ((LedgerEntry.Kind(kind).label, Decimal(amount)) for kind, amount in statement.sums.items())
        return format_html_join(mark_safe("<br>"), "{} {}", ((k, number(a)) for k, a in kinds if a))
