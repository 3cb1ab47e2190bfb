"""Our own page of invoices. It shows; what it does goes by the API, as for every client."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@require_safe
@never_cache
def billing(request: HttpRequest) -> HttpResponse:
    """GET /billing: what can be invoiced, and the invoices; also where a browser comes back to from a payment, whose
    query it does not read."""
    return render(request, "billing/invoices.html")
