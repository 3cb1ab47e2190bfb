"""What a job would need and cost, asked before it is submitted."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.services.ledger import wallet_of
from billing.services.prices import estimate, price_of
from rendering import frame_range
from rendering.engines import engine_for
from rendering.errors import EngineUnavailable, InspectionFailed, ReportPending
from rendering.models import RenderJob, SceneReport
from rendering.services.assets import resolve
from rendering.services.plans import range_of, scene_of
from rendering.services.reports import ensure_report


@dataclass
class JobReport:
    """A scene's report and the files missing for this job (docs/engines.md has the fields of `data`)."""

    status: str
    engine: str
    updated_at: datetime
    data: dict[str, Any] = field(default_factory=dict)
    missing: list[dict[str, Any]] = field(default_factory=list)
    failure_code: str = ""
    message: str = ""


def scene_report(job: RenderJob) -> SceneReport:
    """Raises SceneMissing, EngineUnavailable."""
    scene = scene_of(job)
    if engine_for(job.engine) is None:
        raise EngineUnavailable(field="engine")
    return ensure_report(blob=scene.blob, engine=job.engine)


def report_of(job: RenderJob) -> JobReport:
    """The pre-flight of the job's scene; pending also while a library it links is being read."""
    report = scene_report(job)
    answer = JobReport(report.status, report.engine, report.updated_at)
    answer.failure_code, answer.message = report.failure_code, report.message
    if report.status == SceneReport.Status.READY:
        resolution = resolve(job, report, scene_of(job))
        answer.data, answer.missing = report.data, resolution.missing
        if resolution.is_pending:
            answer.status = SceneReport.Status.PENDING
    return answer


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
    count = len(frame_range.parse(expression))
    rule = price_of(engine=job.engine)
    cost: Decimal = estimate(frames=count, unit_price=rule.price)
    return {
        "frames": count,
        "unit_price": rule.price,
        "estimated_cost": cost,
        "currency": rule.currency,
        "available": wallet_of(job.user).available,
    }
