"""Pre-flight: what a scene names, found by the engine itself, kept per content."""

import contextlib
import json
import re
import tempfile
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from common.errors import TransitionNotAllowed
from drives.models import Blob
from drives.storage import blob_storage
from rendering import frame_range, messages
from rendering.engines import Engine, Failure, engine_for, failures
from rendering.models import RenderJob, SceneReport
from rendering.runner import End, Limits, Places, run

MAX_TRIES = 3
HEAD = 16
MAX_REPORT = 64 << 20  # bytes of JSON
MAYA_SUFFIXES = {"ascii": ".ma", "binary": ".mb"}
FAILURE_STANDS = timedelta(minutes=10)
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def ensure_report(*, blob: Blob, engine: str) -> SceneReport:
    """The report on a content; a new one is put on its way, and so is one that failed some time ago.

    A failure does not stand for ever: the machine was busy, or the engine has a new version by now.
    """
    now = timezone.now()
    due_at = now + timedelta(seconds=10)
    report, is_wanted = SceneReport.objects.get_or_create(
        blob=blob, engine=engine, defaults={"due_at": due_at}
    )
    if report.status == SceneReport.Status.FAILED and report.updated_at < now - FAILURE_STANDS:
        with contextlib.suppress(TransitionNotAllowed):  # somebody else was first
            afresh = {"tries": 0, "due_at": due_at, "failure_code": "", "message": ""}
            report.move_to(SceneReport.Status.PENDING, **afresh)
            is_wanted = True
    if is_wanted:
        messages.ask_inspection(report.pk)
    return report


def ensure_reports(*, blobs: Collection[Blob], engine: str) -> dict[UUID, SceneReport]:
    """The reports on many contents, by content; one query where all are there and none has to be read again."""
    retry = Q(status=SceneReport.Status.FAILED, updated_at__lt=timezone.now() - FAILURE_STANDS)
    rows = SceneReport.objects.filter(blob__in={blob.pk for blob in blobs}, engine=engine).exclude(retry)
    found = {report.blob_id: report for report in rows}
    for blob in blobs:
        if blob.pk not in found:
            found[blob.pk] = ensure_report(blob=blob, engine=engine)
    return found


def range_of(job: RenderJob, report: SceneReport) -> str:
    """The job's own range, or the one the scene says."""
    data = report.data
    return job.frame_range or frame_range.expression(
        data["frame_start"], data["frame_end"], data["frame_step"]
    )


def suffix_failure(name: str, report: SceneReport) -> Failure | None:
    """What is wrong with a scene whose name says another format than its content.

    Reports are kept by content, which may have any name.
    """
    suffix = MAYA_SUFFIXES.get(report.data.get("format", ""))
    if not suffix or name.lower().endswith(suffix):
        return None
    return failures.named("wrong_suffix", "", is_permanent=True)


def claim_report(report_id: UUID) -> SceneReport | None:
    """Take a pending report for this process; None where another has it or it is done.

    The lease is long enough to fetch the scene; from then on it is short and renewed.
    """
    now = timezone.now()
    lease = timedelta(seconds=settings.INSPECT_TIMEOUT_SECONDS + 30)
    due = SceneReport.objects.filter(pk=report_id, status=SceneReport.Status.PENDING)
    fresh = due.filter(tries=0) | due.filter(due_at__lte=now)
    if not fresh.update(tries=F("tries") + 1, due_at=now + lease):
        return None
    return SceneReport.objects.select_related("blob").get(pk=report_id)


def renew_report(report: SceneReport) -> bool:
    """Renew the lease; False once another process has the report. `tries` tells whose it is."""
    mine = SceneReport.objects.filter(pk=report.pk, status=SceneReport.Status.PENDING, tries=report.tries)
    return bool(mine.update(due_at=timezone.now() + settings.RENDER_LEASE))


def inspect(*, report_id: UUID) -> None:
    """Let the engine look at the scene and keep what it says.

    The scene is untrusted: limits of size, time and memory, no scripts run.
    """
    name = SceneReport.objects.filter(pk=report_id).values_list("engine", flat=True).first()
    engine = engine_for(name or "")
    if engine is None or not (engine.inspects_anywhere or engine.versions()):
        return  # left to a process on a machine that has the engine
    report = claim_report(report_id)
    if report is None:
        return
    if report.tries > MAX_TRIES:  # it took the process that read it along, each time
        fail(report, "inspection_failed", _("The program that reads the scene failed."))
        return
    if report.blob.size > settings.INSPECT_MAX_SIZE:
        fail(report, "scene_too_large", failures.named("scene_too_large", "", is_permanent=True).message)
        return
    with blob_storage().open_blob(report.blob.storage_key, 0, HEAD) as file:
        head = file.read()
    if not engine.looks_like_scene(head):
        fail(report, "not_a_scene", _("The file is not a scene of this program."))
        return
    with tempfile.TemporaryDirectory(prefix="yuntu-inspect-") as folder:
        data, error = ask_engine(engine, report, Path(folder))
    if not renew_report(report):
        return
    if data is not None:
        report.move_to(SceneReport.Status.READY, data=data)
    elif error is not None:
        fail(report, *error)
    elif report.tries >= MAX_TRIES:
        fail(report, "inspection_failed", _("The program that reads the scene failed."))
    else:
        SceneReport.objects.filter(pk=report.pk).update(due_at=timezone.now())


def ask_engine(
    engine: Engine, report: SceneReport, folder: Path
) -> tuple[dict[str, Any] | None, tuple[str, str] | None]:
    """What the engine found, or the error it named; neither when it failed for reasons of its own."""
    errors: list[tuple[str, str]] = []

    def on_line(line: str) -> None:
        meaning = engine.read_line(line)
        if meaning and meaning.error:
            errors.append(meaning.error)

    scene, out = folder / f"scene{engine.suffixes[0]}", folder / "report.json"
    seconds = settings.INSPECT_TIMEOUT_SECONDS
    limits = Limits(wall=seconds, idle=seconds, memory=settings.INSPECT_MAX_MEMORY_SIZE)
    with blob_storage().local_copy(report.blob.storage_key) as source:
        scene.symlink_to(source)
        places = Places({folder: "<work>", scene: scene.name, source: scene.name})
        if not renew_report(report):
            return None, None
        outcome = run(
            engine.inspect_command(scene, out),
            cwd=folder,
            token=str(report.pk),
            on_line=on_line,
            limits=limits,
            keep_going=lambda: renew_report(report),
            poll_seconds=settings.RENDER_HEARTBEAT_SECONDS,
        )
    if outcome.end is End.STOPPED:
        return None, None
    if outcome.end is End.MEMORY:
        return None, ("scene_too_large", _("Reading the scene took too much memory."))
    if outcome.end is not End.EXITED:
        return None, ("inspection_timeout", _("Reading the scene took too long."))
    if outcome.exit_code == 0 and out.exists():
        return read_findings(out), None
    failure = engine.failure(outcome.exit_code, errors[-1] if errors else None)
    return None, (failure.code, places.plain(failure.message)) if failure.is_permanent else None


def read_findings(path: Path) -> dict[str, Any] | None:
    """What the engine wrote; None where it is not what it should be. The program read a stranger's file."""
    if path.stat().st_size > MAX_REPORT:
        return None
    try:
        data = json.loads(path.read_text("utf-8", "replace"), parse_constant=lambda _name: None)
        found = storable(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def storable(value: Any) -> Any:
    """`value` without what PostgreSQL does not keep: NUL and lone surrogates."""
    if isinstance(value, str):
        return UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    return value


def fail(report: SceneReport, code: str, message: str) -> None:
    report.move_to(SceneReport.Status.FAILED, failure_code=code[:50], message=message[:500])


def overdue_reports() -> list[UUID]:
    """Pending reports whose message was lost or whose process died."""
    due = SceneReport.objects.filter(status=SceneReport.Status.PENDING, due_at__lte=timezone.now())
    return list(due.order_by("due_at").values_list("pk", flat=True)[:100])
