"""Our own page of money. It only shows: what it does goes through the API, as with every client."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.models import Bill, Channel, LedgerEntry, Priority

PRESETS = (50, 100, 200, 500)
"""Amounts in yuan that the page offers for a recharge."""


@require_safe
@never_cache
def billing(request: HttpRequest) -> HttpResponse:
    """GET /billing: balance and recharges, entries, bills, statements, spending, membership and invoices, by tabs that
    the page finds in its address; also where a browser comes back to from a payment, whose query is not read."""
    context = {
        "bill_kinds": Bill.Kind.choices,
        "channels": Channel.choices,
        "embedded": settings.EMBEDDED_PROFILE,
        "kinds": LedgerEntry.Kind.choices,
        "presets": PRESETS,
        "priorities": Priority.choices,
    }
    return render(request, "billing/billing.html", context)
