"""Pages of the back office that belong to no model."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from rendering.models import RenderJob
from rendering.selectors import waiting_reasons

QUEUE_LENGTH = 200


def show(request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
    whole = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, f"backoffice/{template}", whole)


def queue(request: HttpRequest) -> HttpResponse:
    """Which jobs wait and why: those of which nothing is being rendered, oldest first."""
    jobs = RenderJob.objects.filter(status__in=(RenderJob.Status.PENDING, *RenderJob.CLAIMABLE_STATUSES))
    jobs = jobs.filter(deleted_at__isnull=True).select_related("user").order_by("submitted_at", "pk")
    # Some more than are shown: of those that render, many have something running.
    candidates = list(jobs[: 5 * QUEUE_LENGTH])
    reasons = waiting_reasons(candidates)
    now = timezone.now()
    rows = [
        {"job": job, "reason": reasons.get(job.pk), "waits": now - (job.submitted_at or job.created_at)}
        for job in candidates
        if job.status == RenderJob.Status.PENDING or job.pk in reasons
    ]
    return show(
        request, "queue.html", _("Queue"), rows=rows[:QUEUE_LENGTH], has_more=len(rows) > QUEUE_LENGTH
    )
