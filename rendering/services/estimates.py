"""What a job would need and cost, asked before it is submitted."""

from typing import Any

from billing.services.ledger import wallet_of
from rendering import frame_range
from rendering.engines import engine_for
from rendering.errors import EngineUnavailable, InspectionFailed, ReportPending
from rendering.models import RenderJob, SceneReport
from rendering.services.plans import quote_of, scene_of
from rendering.services.reports import ensure_report, range_of
from rendering.services.steps import steps_of


def scene_report(job: RenderJob) -> SceneReport:
    """Raises SceneMissing, EngineUnavailable."""
    scene = scene_of(job)
    if engine_for(job.engine) is None:
        raise EngineUnavailable(field="engine")
    return ensure_report(blob=scene.blob, engine=job.engine)


def estimate_of(job: RenderJob) -> dict[str, Any]:
    """Frames, price and cost as submit would find them. Raises ReportPending, and what refuses scene or range."""
    expression = job.frame_range
    if not expression:
        report = scene_report(job)
        if report.status == SceneReport.Status.PENDING:
            raise ReportPending
        if report.status == SceneReport.Status.FAILED:
            raise InspectionFailed(report.failure_code, report.message)
        expression = range_of(job, report)
    quote = quote_of(job, frame_range.parse(expression))
    return {
        "frames": quote.frames,
        "steps": [step.name for step in steps_of(job)],
        "unit_price": quote.rule.price,
        "estimated_cost": quote.cost,
        "currency": quote.rule.currency,
        "available": wallet_of(job.user).available,
    }
