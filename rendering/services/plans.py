"""What a job will render and what it will cost: everything that is asked before it may be queued."""

from dataclasses import dataclass
from decimal import Decimal

from billing.models import PriceRule
from billing.services.prices import estimate, price_of
from drives.models import File
from drives.paths import join
from rendering import frame_range
from rendering.engines import engine_for
from rendering.errors import (
    EngineUnavailable,
    InspectionFailed,
    MissingAssets,
    NotAScene,
    ReferenceCycle,
    ReferencesTooDeep,
    SceneMissing,
)
from rendering.models import RenderJob, SceneReport
from rendering.selectors import offered_engines
from rendering.services.assets import Resolution, resolve
from rendering.services.reports import ensure_report, range_of, suffix_failure


@dataclass(frozen=True)
class Plan:
    """A job that can be queued: frame numbers, input files, price."""

    frames: list[int]
    frame_range: str
    resolution: Resolution
    rule: PriceRule
    report: SceneReport

    @property
    def cost(self) -> Decimal:
        return estimate(frames=len(self.frames), unit_price=self.rule.price)


def scene_of(job: RenderJob) -> File:
    """The job's scene as it stands in the drive now. Raises SceneMissing."""
    rows = File.objects.living().select_related("folder", "blob")
    scene = rows.filter(pk=job.scene_file_id).first() if job.scene_file_id else None
    if scene is None:
        raise SceneMissing(field="scene_file")
    return scene


def check_engine(job: RenderJob, scene: File) -> None:
    """Raises EngineUnavailable, NotAScene."""
    engine, offered = engine_for(job.engine), offered_engines()
    if engine is None or job.engine not in offered:
        raise EngineUnavailable(field="engine", available=sorted(offered))
    if not scene.name.lower().endswith(engine.suffixes):
        raise NotAScene(field="scene_file")


def check_name(scene: File, report: SceneReport) -> None:
    """Raises InspectionFailed (wrong_suffix)."""
    if failure := suffix_failure(scene.name, report):
        raise InspectionFailed(failure.code, failure.message)


def check_resolution(resolution: Resolution) -> None:
    """Raises ReferenceCycle, ReferencesTooDeep."""
    if resolution.cycle:
        raise ReferenceCycle(cycle=resolution.cycle)
    if resolution.is_too_deep:
        raise ReferencesTooDeep


def plan_job(job: RenderJob) -> Plan | None:
    """The plan, or None while the pre-flight is under way.

    Raises SceneMissing, EngineUnavailable, NotAScene, InspectionFailed, FrameRangeInvalid, FrameRangeTooLong,
    ReferenceCycle, ReferencesTooDeep, MissingAssets, NoPrice.
    """
    scene = scene_of(job)
    check_engine(job, scene)
    if job.frame_range:
        frame_range.parse(job.frame_range)
    report = ensure_report(blob=scene.blob, engine=job.engine)
    if report.status == SceneReport.Status.PENDING:
        return None
    if report.status == SceneReport.Status.FAILED:
        raise InspectionFailed(report.failure_code, report.message)
    check_name(scene, report)
    resolution = resolve(job, report, scene)
    check_resolution(resolution)
    if resolution.is_pending:
        return None
    missing = resolution.missing
    if missing and not job.allow_missing:
        raise MissingAssets(missing=missing[:1000], missing_count=len(missing))
    expression = range_of(job, report)
    numbers = frame_range.parse(expression)
    return Plan(numbers, expression, resolution, price_of(engine=job.engine), report)


def scene_path_of(scene: File) -> str:
    return join(scene.folder_path, scene.name)
