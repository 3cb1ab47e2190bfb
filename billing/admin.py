"""The operators' view of money. The ledger and what follows from it is only read; services write it."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from accounts.models import User
from billing.models import Bill, BillLine, Currency, Hold, LedgerEntry, PriceRule, Wallet
from billing.services import ledger
from common.admin import AuditedAdmin, ReadOnlyAdmin, ReadOnlyInline
from common.errors import DomainError, Forbidden
from common.ids import new_id

OWNER = ("wallet__user__username", "wallet__user__phone")


class CreditForm(BaseDialogForm):
    amount = forms.DecimalField(
        label=_("amount"),
        min_value=ledger.FEN,
        max_value=ledger.LARGEST_CREDIT,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(label=_("reason"), max_length=500, widget=UnfoldAdminTextInputWidget)
    # Of the form that is open: sent twice, it credits once.
    key = forms.UUIDField(initial=new_id, widget=forms.HiddenInput)


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ("user", "currency", "balance", "held", "available", "sequence", "updated_at")
    list_filter = ("currency",)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__phone")
    ordering = ("-updated_at", "-pk")
    fields = ("user", "currency", "balance", "held", "available", "sequence", "created_at", "updated_at")
    actions_detail = ("credit",)

    def has_credit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.credit_wallet")

    @action(
        description=_("Credit"),
        url_path="credit",
        permissions=["credit"],
        dialog={
            "title": _("Credit"),
            "description": _("Adds yuan to the wallet. An entry of the ledger cannot be taken back."),
            "form_class": CreditForm,
            "form_submit_text": _("Credit"),
        },
    )
    def credit(self, request: HttpRequest, form: CreditForm, object_id: str) -> HttpResponse:
        wallet: Wallet | None = self.get_object(request, object_id)
        if wallet is None or wallet.currency != Currency.CNY:
            raise Http404
        given = form.cleaned_data
        try:
            if wallet.user == request.user:
                raise Forbidden(_("Nobody credits their own wallet."))
            entry = ledger.credit(
                user=wallet.user,
                amount=given["amount"],
                key=f"credit:{given['key']}",
                reason=given["reason"],
                actor=cast(User, request.user),
            )
            self.message_user(
                request, _("Credited: %(amount)s yuan.") % {"amount": entry.amount}, messages.SUCCESS
            )
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
        # The dialog is sent by a script, which then goes where it is told.
        return HttpResponse(headers={"HX-Redirect": reverse("admin:billing_wallet_change", args=[wallet.pk])})


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
