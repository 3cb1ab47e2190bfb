"""What the pre-flight of a job found, and what the artist makes of it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from common.errors import DomainError
from drives.paths import clean_path
from rendering.errors import AssetPathMissing, AssetUnknown, InspectionFailed, ReportPending
from rendering.models import RenderJob, SceneReport
from rendering.services.assets import PROBLEMS, AssetState, Resolution, resolve
from rendering.services.estimates import scene_report
from rendering.services.plans import check_name, check_resolution, scene_of

MAX_SHOWN = 2000
Choices = dict[str, str | None]


@dataclass
class JobReport:
    """A scene's report (docs/engines.md has the fields of `data`) and what became of the files it names for this job.

    `assets` and `missing` are at most 2,000, problems first; `counts` counts all of them by status. `defaults` are
    the settings that the scene does not say, with the value that applies.
    """

    status: str
    engine: str
    updated_at: datetime
    data: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    missing: list[dict[str, Any]] = field(default_factory=list)
    assets: list[AssetState] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    choices: Choices = field(default_factory=dict)
    failure_code: str = ""
    message: str = ""


def report_of(job: RenderJob) -> JobReport:
    """The pre-flight of the job's scene; pending also while a scene it links is being read.

    Raises SceneMissing, EngineUnavailable.
    """
    report = scene_report(job)
    answer = JobReport(report.status, report.engine, report.updated_at, choices=job.asset_choices)
    answer.failure_code, answer.message = report.failure_code, report.message
    if report.status == SceneReport.Status.READY:
        scene = scene_of(job)
        # What the scene names stands in `assets`, with what became of it.
        answer.data = {name: value for name, value in report.data.items() if name != "assets"}
        answer.defaults = {name: report.data.get(name) for name in report.data.get("defaults", [])}
        resolution = resolve(job, report, scene)
        tell(answer, resolution)
        try:
            check_name(scene, report)
            check_resolution(resolution)
        except DomainError as error:
            answer.status, answer.failure_code, answer.message = "failed", error.code, str(error)
    return answer


def tell(answer: JobReport, resolution: Resolution) -> None:
    answer.missing, answer.counts = resolution.missing[:MAX_SHOWN], resolution.counts()
    shown = sorted(
        resolution.assets, key=lambda asset: (not asset.is_problem, asset.status not in PROBLEMS, asset.path)
    )
    answer.assets = shown[:MAX_SHOWN]
    if resolution.is_pending:
        answer.status = SceneReport.Status.PENDING


def choose_assets(*, job: RenderJob, choices: Choices) -> RenderJob:
    """Say for names in the scene which file of the drive is meant, or (null) that none is needed.

    All choices of before are replaced. Raises TransitionNotAllowed unless the job is a draft, ReportPending,
    InspectionFailed, AssetUnknown, AssetPathMissing, BadName, and what `report_of` raises.
    """
    if job.status != RenderJob.Status.DRAFT:
        raise job.refusal()
    report = scene_report(job)
    if report.status == SceneReport.Status.PENDING:
        raise ReportPending
    if report.status == SceneReport.Status.FAILED:
        raise InspectionFailed(report.failure_code, report.message)
    cleaned = {
        named: None if path is None else clean_path(path, field="choices") for named, path in choices.items()
    }
    # Resolved with the new choices: one of them may lead to a scene that names the next.
    job.asset_choices = cleaned
    require_sense(cleaned, resolve(job, report, scene_of(job)))
    drafts = RenderJob.objects.filter(pk=job.pk, status=RenderJob.Status.DRAFT)
    saved = drafts.update(asset_choices=cleaned, updated_at=timezone.now())
    job.refresh_from_db()
    if not saved:
        raise job.refusal()
    return job


def require_sense(choices: Choices, resolution: Resolution) -> None:
    """Every choice is for a name of the scene, and of the files that it leads to there is one at least."""
    chosen: dict[str, list[AssetState]] = {}
    for asset in resolution.assets:
        if asset.chosen_by:
            chosen.setdefault(asset.chosen_by, []).append(asset)
    for key, path in choices.items():
        if key not in chosen:
            raise AssetUnknown(field="choices", name=key)
        if path is not None and all(asset.status in ("missing", "ambiguous") for asset in chosen[key]):
            raise AssetPathMissing(field="choices", path=path)
