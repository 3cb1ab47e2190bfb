"""What a job's page shows besides its columns."""

from collections import Counter
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from drives.links import link_to
from rendering.models import Attempt, Frame, FrameOutput, RenderJob, SceneReport
from rendering.outlook import outlook
from rendering.selectors import waiting_reason

GRID = 600
"""Frames on a page of the grid."""
ATTEMPTS = 20
FACTS = {
    "engine_version": _("engine version"),
    "renderer": _("renderer"),
    "width": _("width"),
    "height": _("height"),
    "fps": _("frames per second"),
    "frame_start": _("first frame"),
    "frame_end": _("last frame"),
    "cameras": _("cameras"),
    "layers": _("layers"),
}


def live_facts(request: HttpRequest, job: RenderJob) -> dict[str, Any]:
    """State, grid of frames and latest attempts, in a constant number of statements."""
    seen = outlook(job)
    cells, pages, page = grid_of(request, job)
    progress = seen.progress if job.status in RenderJob.OPEN_STATUSES else job.progress
    failed = 100 * job.failed_frames // max(job.total_frames, 1)
    return {
        "job": job,
        "progress": progress,
        "done_share": max(progress - failed, 0),
        "failed_share": failed,
        "left": seen.estimated_seconds,
        "waiting": waiting_reason(job),
        "counts": counts_of(job),
        "cells": cells,
        "pages": range(1, pages + 1) if pages > 1 else (),
        "page": page,
        "attempts": attempts_of(request, job) if request.user.has_perm("rendering.view_attempt") else [],
        "read_at": timezone.now(),
    }


def counts_of(job: RenderJob) -> list[dict[str, Any]]:
    """How many frames are in each state, in the order of a frame's life."""
    rows = Frame.objects.filter(job=job).order_by().values_list("status").annotate(count=Count("pk"))
    counts = Counter(dict(rows))
    return [
        {"status": status.value, "label": status.label, "count": counts[status.value]}
        for status in Frame.Status
        if counts[status.value]
    ]


def grid_of(request: HttpRequest, job: RenderJob) -> tuple[list[dict[str, Any]], int, int]:
    """The frames on one page of the grid with their previews, the number of pages, and the number of this one."""
    pages = max(-(-job.total_frames // GRID), 1)
    page = min(max(int(text) if (text := request.GET.get("frames", "1")).isdecimal() else 1, 1), pages)
    frames = list(
        Frame.objects.filter(job=job)
        .select_related("step")
        .order_by("step__name", "number")[GRID * (page - 1) : GRID * page]
    )
    previews: dict[Any, Any] = {}
    if request.user.has_perm("rendering.view_frameoutput"):
        outputs = FrameOutput.objects.filter(frame__in=[frame.pk for frame in frames], preview__isnull=False)
        for frame_id, preview_id in outputs.order_by("-name").values_list("frame", "preview"):
            previews[frame_id] = link_to(preview_id, "preview.png", request=request, inline=True)
    cells = [
        {"frame": frame, "label": Frame.Status(frame.status).label, "preview": previews.get(frame.pk)}
        for frame in frames
    ]
    return cells, pages, page


def attempts_of(request: HttpRequest, job: RenderJob) -> list[dict[str, Any]]:
    rows = Attempt.objects.filter(job=job).select_related("node").prefetch_related("frames")
    found = []
    for attempt in rows.order_by("-pk")[:ATTEMPTS]:
        log_link = ""
        if attempt.log_blob_id:
            log_link = link_to(attempt.log_blob_id, f"{attempt.pk}.txt", request=request, inline=True)
        numbers = sorted(frame.number for frame in attempt.frames.all())
        shown = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}" if numbers else ""
        found.append({"attempt": attempt, "frames": shown, "log_link": log_link})
    return found


def report_of(job: RenderJob) -> dict[str, Any] | None:
    """The pre-flight of the job's scene: the facts that operators ask for first, and what is missing."""
    if job.scene_file is None:
        return None
    report = SceneReport.objects.filter(blob=job.scene_file.blob_id, engine=job.engine).first()
    if report is None:
        return None
    found = {label: report.data.get(name) for name, label in FACTS.items()}
    if isinstance(version := report.data.get("engine_version"), list):
        found[FACTS["engine_version"]] = ".".join(map(str, version))
    facts = {
        label: ", ".join(map(str, value)) if isinstance(value, list) else value
        for label, value in found.items()
        if value not in (None, "", [])
    }
    return {"report": report, "facts": facts, "missing": job.failure_data.get("missing", [])}
