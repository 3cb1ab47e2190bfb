"""Forms of operators for moving money by hand."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from billing.models import RechargeOrder
from billing.services.ledger import FEN, LARGEST_CREDIT
from billing.services.receivables import free_to_pay_back, refundable
from common.ids import new_id


class PayBackForm(BaseDialogForm):
    amount = forms.DecimalField(
        label=_("amount"),
        min_value=FEN,
        max_value=LARGEST_CREDIT,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(label=_("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)
    # Of the form that is open: sent twice, it has one effect.
    key = forms.UUIDField(initial=new_id, widget=forms.HiddenInput)

    def __init__(self, *args: Any, object_id: str = "", **kwargs: Any) -> None:
        super().__init__(*args, object_id=object_id, **kwargs)
        if not object_id:
            return
        order = RechargeOrder.objects.select_related("wallet").get(pk=object_id)
        told = {"left": f"{refundable(order):.2f}", "free": f"{free_to_pay_back(order.wallet):.2f}"}
        text = _(
            "Of this order %(left)s CNY can go back; the wallet has %(free)s CNY of paid money that is free."
        )
        self.fields["amount"].help_text = text % told


class CreditForm(BaseDialogForm):
    amount = forms.DecimalField(
        label=_("amount"),
        min_value=-LARGEST_CREDIT,
        max_value=LARGEST_CREDIT,
        decimal_places=2,
        help_text=_("Negative takes money away."),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(label=_("reason"), max_length=500, widget=UnfoldAdminTextInputWidget)
    evidence = forms.CharField(
        label=_("evidence"),
        max_length=5000,
        required=False,
        help_text=_("Numbers of transfers, links to documents, what was agreed on."),
        widget=UnfoldAdminTextareaWidget,
    )
    file = forms.FileField(
        label=_("document"),
        required=False,
        help_text=_("A PDF or a picture, at most 5 MB; finance and auditors can open it."),
        widget=UnfoldAdminFileFieldWidget(
            attrs={"accept": "application/pdf,image/jpeg,image/png,image/webp"}
        ),
    )
    is_payment = forms.BooleanField(
        label=_("is a payment"),
        required=False,
        help_text=_("Real money that came, or went back, outside of the channels; it can be invoiced."),
        widget=UnfoldBooleanSwitchWidget,
    )
    key = forms.UUIDField(initial=new_id, widget=forms.HiddenInput)
