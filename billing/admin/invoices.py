"""Invoices: who asked for what, and what operators do about it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget

from billing.admin.documents import WithDocument
from billing.admin.ledger import OWNER
from billing.admin.orders import actor_of, each
from billing.models import InvoiceLine, InvoiceRequest
from billing.periods import day_of
from billing.services import invoices
from common.admin import ReadOnlyAdmin, ReadOnlyInline
from common.columns import choice_column
from common.deeds import ReasonForm, deed

Status = InvoiceRequest.Status


def can_become(status: InvoiceRequest.Status) -> Callable[[InvoiceRequest], bool]:
    return lambda invoice: status in InvoiceRequest.TRANSITIONS[Status(invoice.status)]


class IssueForm(BaseDialogForm):
    number = forms.CharField(
        label=_("invoice number"),
        max_length=20,
        help_text=_("20 digits; of an invoice of before its code and number in one."),
        widget=UnfoldAdminTextInputWidget,
    )
    issued_on = forms.DateField(
        label=_("issued on"),
        initial=lambda: day_of(timezone.now()),
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
    )
    file = forms.FileField(
        label=_("document"),
        help_text=_("The invoice as PDF, at most 5 MB."),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "application/pdf"}),
    )


class RedFlushForm(ReasonForm):
    number = forms.CharField(
        label=_("number of the red invoice"), max_length=20, widget=UnfoldAdminTextInputWidget
    )


class InvoiceLineInline(ReadOnlyInline):
    model = InvoiceLine
    fields = ("bill", "amount")
    readonly_fields = fields


@admin.register(InvoiceRequest)
class InvoiceRequestAdmin(WithDocument):
    list_display = (
        "created_at", "wallet", "kind", "title", "tax_number", "amount", "shown_status", "number", "issued_on",
        "operator",
    )  # fmt: skip
    list_filter = ("status", "kind", "title_kind")
    list_select_related = ("wallet__user", "wallet__team", "operator")
    search_fields = (*OWNER, "title", "tax_number", "number")
    ordering = ("-created_at", "-pk")
    exclude = ("document", "key")
    readonly_fields = ("shown_document",)
    inlines = (InvoiceLineInline,)
    shown_status = choice_column(
        "status", {"requested": "warning", "issuing": "info", "issued": "success", "rejected": "danger"}
    )
    actions = ("start", "reject")
    actions_detail = ("start", "issue", "reject", "red_flush")

    def has_issue_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.issue_invoicerequest")

    @deed(
        description=_("Take up"),
        permission="issue",
        icon="play_arrow",
        text=_("From now on whoever asked for it cannot take it back."),
        fits=can_become(Status.ISSUING),
    )
    def start(self, request: HttpRequest, rows: QuerySet[InvoiceRequest], given: dict[str, Any]) -> None:
        each(request, rows, lambda row: invoices.start_invoice(invoice=row, operator=actor_of(request)))

    @deed(
        description=_("Record as issued"),
        permission="issue",
        form=IssueForm,
        icon="task",
        text=_("The invoice that was made at the tax office's platform: it is told and mailed to the payer."),
        variant=ActionVariant.PRIMARY,
        fits=can_become(Status.ISSUED),
    )
    def issue(self, request: HttpRequest, rows: QuerySet[InvoiceRequest], given: dict[str, Any]) -> None:
        each(
            request,
            rows,
            lambda row: invoices.issue_invoice(
                invoice=row,
                operator=actor_of(request),
                number=given["number"],
                issued_on=given["issued_on"],
                file=given["file"],
            ),
        )

    @deed(
        description=_("Reject"),
        permission="issue",
        form=ReasonForm,
        icon="close",
        text=_("The payer reads the reason, and can ask anew."),
        fits=can_become(Status.REJECTED),
    )
    def reject(self, request: HttpRequest, rows: QuerySet[InvoiceRequest], given: dict[str, Any]) -> None:
        why = given["reason"]
        each(
            request,
            rows,
            lambda row: invoices.reject_invoice(invoice=row, operator=actor_of(request), reason=why),
        )

    @deed(
        description=_("Red-flushed"),
        permission="issue",
        form=RedFlushForm,
        icon="undo",
        text=_(
            "The invoice was made void by a red one, as after a refund. What it was of can be invoiced anew."
        ),
        variant=ActionVariant.DANGER,
        fits=can_become(Status.RED_FLUSHED),
    )
    def red_flush(self, request: HttpRequest, rows: QuerySet[InvoiceRequest], given: dict[str, Any]) -> None:
        each(
            request,
            rows,
            lambda row: invoices.red_flush_invoice(
                invoice=row, operator=actor_of(request), number=given["number"], reason=given["reason"]
            ),
        )


@admin.register(InvoiceLine)
class InvoiceLineAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "invoice", "bill", "amount")
    list_select_related = ("invoice", "bill")
    search_fields = ("invoice__number", "invoice__title", "bill__task_id")
    ordering = ("-created_at", "-pk")
