"""Routes that belong to no app."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from common import health


@require_safe
def health_view(request: HttpRequest) -> JsonResponse:
    """GET /health: 200 when every part answers, otherwise 503. `?full=1` also asks the Celery workers."""
    found = health.report(full=request.GET.get("full") == "1")
    return JsonResponse(found, status=200 if found["status"] == "healthy" else 503)


@require_safe
def ping(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"message": "pong"})


@require_safe
@vary_on_headers("Accept")
def root(request: HttpRequest) -> HttpResponse:
    """GET /: programs read where to go on, people are taken to the page on which they sign in."""
    if request.get_preferred_type(["application/json", "text/html"]) == "text/html":
        return redirect("login")
    return JsonResponse(
        {"message": "Yuntu 盛世云图", "docs": "/docs", "api": "/api/v1", "schema": "/api/schema"}
    )
