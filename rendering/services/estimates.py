"""What a job would need and cost, before it is submitted."""

from typing import Any

from accounts.models import Team
from billing.services.ledger import available_of
from billing.services.limits import left_in_month
from rendering import frame_range
from rendering.engines import engine_for
from rendering.errors import EngineUnavailable, InspectionFailed, ReportPending
from rendering.models import RenderJob, SceneReport
from rendering.selectors import offered_engines
from rendering.services.money import payer_of
from rendering.services.plans import quote_of, scene_of
from rendering.services.reports import ensure_report, range_of
from rendering.services.steps import steps_of


def scene_report(job: RenderJob) -> SceneReport:
    """Raises SceneMissing, EngineUnavailable."""
    scene = scene_of(job)
    if engine_for(job.engine) is None:
        raise EngineUnavailable(field="engine", available=offered_engines())
    return ensure_report(blob=scene.blob, engine=job.engine)


def estimate_of(job: RenderJob) -> dict[str, Any]:
    """Frames, price and cost as submit would find them. Raises ReportPending, and the errors about scene and range."""
    expression = job.frame_range
    if not expression:
        report = scene_report(job)
        if report.status == SceneReport.Status.PENDING:
            raise ReportPending
        if report.status == SceneReport.Status.FAILED:
            raise InspectionFailed(report.failure_code, report.message)
        expression = range_of(job, report)
    blob = job.scene_file.blob_id if job.scene_file else None
    quote = quote_of(job, frame_range.parse(expression), blob)
    payer, price = payer_of(job), quote.price
    team = payer if isinstance(payer, Team) else None
    return {
        "frames": quote.frames,
        "steps": [step.name for step in steps_of(job)],
        "unit": price.rule.unit,
        "base_price": price.rule.price,
        "priority_multiplier": price.multiplier,
        "discount": price.discount,
        "unit_price": price.unit_price,
        "rule_id": price.rule.pk,
        "rule_version": price.rule.version,
        "expected_hours": quote.hours and quote.units,
        "basis": quote.basis,
        "estimated_cost": quote.cost,
        "currency": price.rule.currency,
        "available": available_of(payer),
        "payer": "team" if team else "user",
        "team_id": team and team.pk,
        "limit_left": left_in_month(team=team, user=job.user) if team else None,
    }
