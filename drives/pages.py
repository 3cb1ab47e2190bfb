"""Our own pages: the file manager and share links. They only show: what they do goes through the API, as with every
client.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from drives.services.drives import LETTERS


@require_safe
@never_cache
def drive(request: HttpRequest) -> HttpResponse:
    """GET /drive: the drives of whoever is signed in; the page asks the API with the browser's token."""
    return render(request, "drives/drive.html", {"letters": LETTERS})


@require_safe
@never_cache
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """GET /s/<token>: what somebody shared; the page asks the API what that is."""
    return render(request, "drives/shared.html")
