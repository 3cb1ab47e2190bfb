"""What a job will render and what it will cost: everything that is asked before it may be queued."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.conf import settings

from billing.models import PriceRule
from billing.services.ledger import SMALLEST
from billing.services.plans import plan_of
from billing.services.prices import Price, price_of
from drives.models import File
from drives.paths import join
from rendering import frame_range
from rendering.engines import engine_for
from rendering.errors import (
    FrameRangeTooLong,
    InspectionFailed,
    MissingAssets,
    NotAScene,
    ReferenceCycle,
    ReferencesTooDeep,
    SceneMissing,
)
from rendering.models import RenderJob, SceneReport
from rendering.services.assets import Resolution, resolve
from rendering.services.money import payer_of
from rendering.services.reports import ensure_report, range_of, suffix_failure
from rendering.services.steps import check_steps, steps_of
from rendering.services.usage import expectation_of
from rendering.services.versions import check_nodes, version_for


@dataclass(frozen=True)
class Quote:
    """Frames in all steps together, and the price by which they are paid: each, or the hours they will take.

    `basis` says what the hours rest on (`usage.Expectation`); `frames` where each frame has its price.
    """

    frames: int
    price: Price
    hours: Decimal | None = None
    basis: str = "frames"

    @property
    def units(self) -> Decimal:
        return Decimal(self.frames) if self.hours is None else self.frames * self.hours

    @property
    def cost(self) -> Decimal:
        return (self.units * self.price.unit_price).quantize(SMALLEST)


@dataclass(frozen=True)
class Plan:
    """A job that can be queued: its range, its input files, the version that renders it, its price."""

    frame_range: str
    resolution: Resolution
    version: str
    quote: Quote
    report: SceneReport


def quote_of(job: RenderJob, numbers: list[int], scene_blob: UUID | None = None) -> Quote:
    """Frames times steps, at the price for who pays and for the job's priority. Raises FrameRangeTooLong, NoPrice."""
    frames = bounded(len(numbers) * len(steps_of(job)))
    discount = plan_of(payer_of(job)).discount
    price = price_of(engine=job.engine, priority=job.priority, discount=discount)
    if price.rule.unit not in PriceRule.METERED:
        return Quote(frames, price)
    expected = expectation_of(job, price.rule.unit, scene_blob)
    return Quote(frames, price, expected.hours, expected.basis)


def bounded(count: int) -> int:
    """`count` frames, where a job may have so many. Raises FrameRangeTooLong."""
    if count > settings.RENDER_MAX_FRAMES:
        raise FrameRangeTooLong(field="frames", limit=settings.RENDER_MAX_FRAMES)
    return count


def scene_of(job: RenderJob) -> File:
    """The job's scene as it stands in the drive now, and as its owner may still read it. Raises SceneMissing."""
    rows = File.objects.visible_to(job.user).select_related("folder", "blob")
    scene = rows.filter(pk=job.scene_file_id).first() if job.scene_file_id else None
    if scene is None:
        raise SceneMissing(field="scene_file")
    return scene


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

    Raises SceneMissing, EngineUnavailable, NoNodeFits, NotAScene, InspectionFailed, NoCamera, NoLayer,
    FrameRangeInvalid, FrameRangeTooLong, ReferenceCycle, ReferencesTooDeep, MissingAssets, NoPrice.
    """
    scene = scene_of(job)
    check_nodes(job, version_for(job))
    engine = engine_for(job.engine)
    if engine is None or not scene.name.lower().endswith(engine.suffixes):
        raise NotAScene(field="scene_file")
    if job.frame_range:
        quote_of(job, frame_range.parse(job.frame_range))
    report = ensure_report(blob=scene.blob, engine=job.engine)
    if report.status == SceneReport.Status.PENDING:
        return None
    if report.status == SceneReport.Status.FAILED:
        raise InspectionFailed(report.failure_code, report.message)
    check_name(scene, report)
    check_steps(job, report.data)
    resolution = resolve(job, report, scene)
    check_resolution(resolution)
    if resolution.is_pending:
        return None
    missing = resolution.missing
    if missing and not job.allow_missing:
        raise MissingAssets(missing=missing[:1000], missing_count=len(missing))
    expression = range_of(job, report)
    quote = quote_of(job, frame_range.parse(expression), scene.blob_id)
    version = version_for(job, report.data)
    check_nodes(job, version)
    return Plan(expression, resolution, version, quote, report)


def scene_path_of(scene: File) -> str:
    return join(scene.folder_path, scene.name)
