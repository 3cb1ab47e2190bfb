"""Our own page of render tasks. It only shows: what it does goes through the API, as with every client."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@require_safe
@never_cache
def tasks(request: HttpRequest) -> HttpResponse:
    """GET /tasks: the render tasks of whoever is signed in; the page asks the API with the browser's token."""
    return render(request, "rendering/tasks.html")


@require_safe
def task(request: HttpRequest, task_id: UUID) -> HttpResponseRedirect:
    """GET /tasks/<id>: where notifications lead; the page has its tasks behind the #."""
    return HttpResponseRedirect(f"{reverse('tasks')}#/{task_id}")
