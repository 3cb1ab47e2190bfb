"""Wallets and what moves them: only read here; services write it."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import EmptyFieldListFilter
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from accounts.models import User
from billing.models import Currency, Gift, Hold, IdempotentRequest, LedgerEntry, Wallet
from billing.services.credits import credit
from billing.services.ledger import FEN, LARGEST_CREDIT
from common.admin import ReadOnlyAdmin
from common.errors import DomainError, Forbidden
from common.ids import new_id

OWNER = ("wallet__user__username", "wallet__user__phone", "wallet__team__name")


class CreditForm(BaseDialogForm):
    amount = forms.DecimalField(
        label=_("amount"),
        min_value=FEN,
        max_value=LARGEST_CREDIT,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(label=_("reason"), max_length=500, widget=UnfoldAdminTextInputWidget)
    # Of the form that is open: sent twice, it credits once.
    key = forms.UUIDField(initial=new_id, widget=forms.HiddenInput)


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = (
        "owner", "currency", "balance", "gift", "held", "available", "sequence", "parked_at", "updated_at",
    )  # fmt: skip
    list_filter = ("currency", ("parked_at", EmptyFieldListFilter))
    list_select_related = ("user", "team")
    search_fields = ("user__username", "user__phone", "team__name")
    ordering = ("-updated_at", "-pk")
    fields = (
        "user", "team", "currency", "balance", "gift", "held", "available", "sequence", "parked_at", "parked_reason",
        "created_at", "updated_at",
    )  # fmt: skip
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
        if wallet is None or wallet.user is None or wallet.currency != Currency.CNY:
            raise Http404
        given = form.cleaned_data
        try:
            if wallet.user == request.user:
                raise Forbidden(_("Nobody credits their own wallet."))
            entry = credit(
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
        "created_at", "wallet", "sequence", "kind", "amount", "held_delta", "gift_delta", "balance_after",
        "held_after", "gift_after", "description", "actor",
    )  # fmt: skip
    list_filter = ("kind", "wallet__currency")
    list_select_related = ("wallet__user", "wallet__team", "actor")
    search_fields = (*OWNER, "key", "task_id", "description")
    ordering = ("-created_at", "-pk")
    date_hierarchy = "created_at"


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "wallet",
        "purpose",
        "amount",
        "captured",
        "released",
        "status",
        "task_id",
        "closed_at",
    )
    list_filter = ("status",)
    list_select_related = ("wallet__user", "wallet__team")
    search_fields = (*OWNER, "key", "task_id")
    ordering = ("-created_at", "-pk")


@admin.register(Gift)
class GiftAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "wallet", "amount", "remaining", "expires_at")
    list_select_related = ("wallet__user", "wallet__team")
    search_fields = OWNER
    ordering = ("-created_at", "-pk")


@admin.register(IdempotentRequest)
class IdempotentRequestAdmin(ReadOnlyAdmin):
    """What a client sent with a key. The answer is left out: it may hold what is its owner's alone."""

    list_display = ("started_at", "user", "key", "status")
    list_select_related = ("user",)
    search_fields = ("key", "user__username")
    fields = ("user", "key", "started_at", "status")
    ordering = ("-started_at", "-pk")
