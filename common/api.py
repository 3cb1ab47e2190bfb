"""Routes that belong to no app."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

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
def root(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {"message": "Yuntu 盛世云图", "docs": "/docs", "api": "/api/v1", "schema": "/api/schema"}
    )
