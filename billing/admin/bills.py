"""Bills, read-only; operators can refund them."""

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.admin.ledger import OWNER
from billing.admin.refunds import RefundForm
from billing.admin.trail import Trail
from billing.models import Bill, BillLine, Refund
from billing.services.bill_refunds import refund_bill
from common.admin import ReadOnlyAdmin, ReadOnlyInline
from common.deeds import deed
from common.errors import DomainError


class RefundInline(ReadOnlyInline):
    model = Refund
    fields = ("created_at", "amount", "reason", "actor")
    readonly_fields = fields


class BillLineInline(ReadOnlyInline):
    model = BillLine
    fields = ("description", "quantity", "unit_price", "amount")
    readonly_fields = fields


@admin.register(Bill)
class BillAdmin(Trail, ReadOnlyAdmin):
    list_display = ("created_at", "wallet", "kind", "amount", "description", "task_id")
    list_filter = ("kind",)
    list_select_related = ("wallet__user", "wallet__team")
    search_fields = (*OWNER, "task_id")
    ordering = ("-created_at", "-pk")
    readonly_fields = ("shown_trail",)
    inlines = (BillLineInline, RefundInline)
    actions = actions_detail = ("refund",)

    def has_refund_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.refund_bill")

    @deed(
        description=_("Give back"),
        permission="refund",
        form=RefundForm,
        icon="undo",
        text=_("Paid money comes back first, then what was burnt of gifts, as a gift for 30 days."),
    )
    def refund(self, request: HttpRequest, rows: QuerySet[Bill], given: dict[str, Any]) -> None:
        for bill in rows:
            try:
                refund_bill(
                    bill=bill,
                    amount=given["amount"],
                    reason=given["reason"],
                    key=f"{given['key']}:{bill.pk}",
                    actor=cast(User, request.user),
                )
            except DomainError as error:
                self.message_user(request, f"{bill}: {error}", messages.ERROR)
            else:
                self.message_user(
                    request, _("Given back: %(amount)s yuan.") % {"amount": given["amount"]}, messages.SUCCESS
                )


@admin.register(BillLine)
class BillLineAdmin(ReadOnlyAdmin):
    list_display = ("bill", "description", "quantity", "unit_price", "amount")
    list_select_related = ("bill",)
    search_fields = ("description", "bill__task_id", "bill__wallet__user__username")
    ordering = ("-created_at", "-pk")
