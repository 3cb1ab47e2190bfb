"""Refunds of bills by operators."""

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from billing.admin.ledger import OWNER
from billing.models import Refund
from billing.services.ledger import FEN
from common.admin import ReadOnlyAdmin
from common.deeds import ReasonForm
from common.ids import new_id


class RefundForm(ReasonForm):
    amount = forms.DecimalField(
        label=_("amount"), min_value=FEN, decimal_places=2, widget=UnfoldAdminDecimalFieldWidget
    )
    # Of the form that is open: sent twice, it gives back once.
    key = forms.UUIDField(initial=new_id, widget=forms.HiddenInput)


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "bill", "amount", "reason", "actor")
    list_select_related = ("bill", "actor")
    search_fields = (*(f"bill__{name}" for name in OWNER), "bill__task_id", "reason")
    ordering = ("-created_at", "-pk")
