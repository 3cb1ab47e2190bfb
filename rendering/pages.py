"""Our own page of render tasks. It shows; what it does goes by the API, as for every client."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@require_safe
@never_cache
def tasks(request: HttpRequest) -> HttpResponse:
    """GET /tasks: the render tasks of whoever is signed in; the page asks the API with the browser's token."""
    return render(request, "rendering/tasks.html")
