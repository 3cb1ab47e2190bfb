"""Our own page of a share link. It shows; what it does goes by the API, as for every other client."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@require_safe
@never_cache
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """GET /s/<token>: what somebody shared; the page asks the API what that is."""
    return render(request, "drives/shared.html")
