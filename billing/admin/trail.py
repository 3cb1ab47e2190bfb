"""Links for following money from page to page: from a payment to its entry, to what was charged for, and back."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from billing.models import (
    Bill,
    Gift,
    Hold,
    InvoiceRequest,
    LedgerEntry,
    RechargeOrder,
    Refund,
    RefundOrder,
    Statement,
    Wallet,
)
from billing.selectors import rows_behind


def link(address: str, text: Any) -> SafeString:
    return format_html('<a class="text-primary-600" href="{}">{}</a>', address, text)


def link_to(row: Model) -> SafeString:
    """To the page of a row."""
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return link(address, f"{row._meta.verbose_name} {row}")


def link_to_list(model: type[Model], **narrowed: Any) -> SafeString:
    """A link to rows of a model, with the filter of their list."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return link(f"{address}?{urlencode(narrowed)}", model._meta.verbose_name_plural)


def link_to_task(task_id: UUID) -> SafeString:
    """Tasks belong to an app above billing, which only knows the name of their page."""
    return link(reverse("admin:rendering_renderjob_change", args=[task_id]), _("render task"))


def links_of(row: LedgerEntry | Hold | Bill | Wallet) -> list[SafeString]:
    """The pages to which the page of a row leads on."""
    if isinstance(row, Wallet):
        lists = (LedgerEntry, RechargeOrder, Hold, Bill, Gift, Statement, InvoiceRequest)
        return [link_to_list(model, wallet__exact=row.pk) for model in lists]
    found = [link_to_task(row.task_id)] if row.task_id else []
    if isinstance(row, LedgerEntry):
        return [*map(link_to, rows_behind(row)), *found]
    if row.task_id:
        found.append(link_to_list(LedgerEntry, q=row.task_id))
    if isinstance(row, Hold):
        if not row.task_id:
            found.append(link_to_list(LedgerEntry, wallet__exact=row.wallet_id, key__contains=row.key))
        for model in (Bill, RefundOrder):
            found += map(link_to, model._default_manager.filter(hold=row))
        return found
    invoices = InvoiceRequest.objects.filter(lines__bill=row).order_by("pk")
    return [*found, *map(link_to, Refund.objects.filter(bill=row).order_by("pk")), *map(link_to, invoices)]


class Trail:
    """A page that ends with links to the rows before and after it on the money's way."""

    @display(description=gettext_lazy("see also"))
    def shown_trail(self, row: Any) -> str:
        return format_html_join(" · ", "{}", ((each,) for each in links_of(row))) or "-"
