"""What a scene names, found by Blender itself, kept per content."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from drives.models import File
from rendering.engines import ENGINES
from rendering.engines.blender.adapter import BlenderEngine
from rendering.models import RenderJob, RenderNode, SceneReport
from rendering.services import reports
from rendering.services.submitting import submit_job
from rendering.tasks import inspect_scene
from tests.conftest import Client
from tests.factories import put
from tests.racing import race
from tests.rendering import makers
from tests.rendering.standins import says, stand_in

pytestmark = pytest.mark.django_db


def inspected(file: File) -> SceneReport:
    report = reports.ensure_report(blob=file.blob, engine="blender")
    reports.inspect(report_id=report.pk)
    report.refresh_from_db()
    return report


def unread(user: User) -> tuple[File, SceneReport]:
    file = put(user, "/unread.blend", b"BLENDER unread")
    return file, reports.ensure_report(blob=file.blob, engine="blender")


# --- with Blender ---


def test_a_scene_and_its_texture(owner: User, owner_api: Client, node: RenderNode) -> None:
    scene, _texture = makers.put_scenes(owner, "/proj", "cube.blend", "textures/checker.png")
    job = makers.draft(owner, scene, frames="")

    inspect_scene(str(SceneReport.objects.get().pk))

    body = owner_api.get(f"/tasks/{job.pk}/report").json()
    assert (body["status"], body["missing"]) == ("ready", [])
    facts = ("renderer", "frame_start", "frame_end", "width", "height", "cameras", "output_format")
    assert [body["data"][name] for name in facts] == ["CYCLES", 1, 10, 64, 36, ["camera"], "PNG"]
    assert owner_api.get(f"/tasks/{job.pk}/estimate").json()["frames"] == 10


def test_missing_textures(owner: User, owner_api: Client, node: RenderNode) -> None:
    (scene,) = makers.put_scenes(owner, "/proj", "missing.blend")
    job = submit_job(job=makers.draft(owner, scene))

    inspect_scene(str(SceneReport.objects.get().pk))

    task = owner_api.get(f"/tasks/{job.pk}").json()
    assert (task["status"], task["failure_code"]) == (0, "missing_assets")
    missing = task["failure_data"]["missing"]
    assert [(entry["path"], entry["expected_path"]) for entry in missing] == [
        ("//textures/absent.png", "/proj/textures/absent.png"),
        ("C:/proj/textures/wood.png", "/proj/wood.png"),
    ]
    for entry in missing:
        put(owner, entry["expected_path"], (makers.SCENES / "textures/checker.png").read_bytes())
    assert owner_api.post(f"/tasks/{job.pk}/submit").status_code == 202


def test_a_library_is_read_in_its_turn(owner: User, node: RenderNode) -> None:
    names = ("library.blend", "lib/part.blend", "textures/checker.png")
    scene, library, texture = makers.put_scenes(owner, "/proj", *names)
    job = submit_job(job=makers.draft(owner, scene))

    inspect_scene(str(SceneReport.objects.get(blob=scene.blob).pk))
    job.refresh_from_db()
    assert job.status == RenderJob.Status.PENDING
    inspect_scene(str(SceneReport.objects.get(blob=library.blob).pk))

    job.refresh_from_db()
    assert job.status == RenderJob.Status.QUEUED
    assert dict(job.files.values_list("path", "blob")) == {
        "/proj/library.blend": scene.blob_id,
        "/proj/lib/part.blend": library.blob_id,
        "/proj/textures/checker.png": texture.blob_id,
    }


def test_a_scene_cut_short(owner: User) -> None:
    content = (makers.SCENES / "cube.blend").read_bytes()
    report = inspected(put(owner, "/half.blend", content[:40_000]))

    assert (report.status, report.failure_code) == ("failed", "not_a_scene")
    assert report.message


# --- what needs no Blender ---


@pytest.mark.parametrize("content", [b"no scene at all", b"", b"\x89PNG\r\n"])
def test_what_is_no_scene_is_not_even_opened(
    owner: User, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    engine = stand_in(monkeypatch)

    report = inspected(put(owner, "/text.blend", content))

    assert (report.status, report.failure_code, engine.inspections) == ("failed", "not_a_scene", 0)


@pytest.mark.parametrize("code", ["scene_too_new", "not_a_scene", "bad_request"])
def test_what_the_engine_says_of_a_scene(owner: User, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    stand_in(monkeypatch, inspector=f"print('yuntu_error: {code} saved by 5.7'); raise SystemExit(2)")
    _file, report = unread(owner)

    reports.inspect(report_id=report.pk)

    report.refresh_from_db()
    assert (report.status, report.failure_code) == ("failed", code)
    assert report.message.endswith("saved by 5.7")


def test_content_is_read_once_for_all_jobs_and_users(
    owner: User, stranger: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = stand_in(monkeypatch, inspector=says(makers.REPORT))
    for user in (owner, owner, stranger):
        makers.draft(user, put(user, "/a/same.blend", b"BLENDER the same"))
    report = SceneReport.objects.get()

    for _message in range(3):
        inspect_scene(str(report.pk))

    report.refresh_from_db()
    assert (report.status, report.tries, engine.inspections) == ("ready", 1, 1)
    assert report.data == makers.REPORT


def test_reading_may_not_take_for_ever(
    owner: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.INSPECT_TIMEOUT_SECONDS = 0.3
    stand_in(monkeypatch, inspector="import time; time.sleep(60)")
    _file, report = unread(owner)

    reports.inspect(report_id=report.pk)

    report.refresh_from_db()
    assert (report.status, report.failure_code) == ("failed", "inspection_timeout")


def test_a_scene_that_is_too_large_is_not_even_fetched(
    owner: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.INSPECT_MAX_SIZE = 10
    engine = stand_in(monkeypatch)

    report = inspected(put(owner, "/huge.blend", b"BLENDER and more"))

    assert (report.status, report.failure_code, engine.inspections) == ("failed", "scene_too_large", 0)


def test_reading_may_not_take_all_memory(
    owner: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.INSPECT_MAX_MEMORY_SIZE = 100 << 20
    stand_in(monkeypatch, inspector="import time; block = b'x' * (200 << 20); time.sleep(60)")

    report = inspected(put(owner, "/bomb.blend", b"BLENDER bomb"))

    assert (report.status, report.failure_code) == ("failed", "scene_too_large")


def test_what_the_database_does_not_take_is_replaced(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {"name\0": ["a\0b", "\ud800c", "😀", float("nan"), {"deep": "\x01"}]}
    stand_in(monkeypatch, inspector=says(makers.REPORT | odd))

    report = inspected(put(owner, "/odd.blend", b"BLENDER odd"))

    assert report.status == "ready"
    assert report.data["name\ufffd"] == ["a\ufffdb", "\ufffdc", "😀", None, {"deep": "\x01"}]


@pytest.mark.parametrize("written", ["[1]", "{", "null", "", "[" * 100_000])
def test_a_report_that_is_none_is_a_fault_of_the_engine(
    owner: User, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    stand_in(monkeypatch, inspector=f"import sys; open(sys.argv[2], 'w').write({written!r})")
    report = inspected(put(owner, "/a.blend", b"BLENDER a"))
    assert (report.status, report.tries) == ("pending", 1)


@pytest.mark.parametrize("end", ["raise SystemExit(3)", "import os; os.abort()", "pass"])
def test_a_fault_of_the_engine_is_tried_three_times(
    owner: User, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The last of them ends well and has written nothing."""
    engine = stand_in(monkeypatch, inspector=end)
    _file, report = unread(owner)

    for tries in (1, 2):
        reports.inspect(report_id=report.pk)
        report.refresh_from_db()
        assert (report.status, report.tries) == ("pending", tries)
        assert reports.overdue_reports() == [report.pk]
    reports.inspect(report_id=report.pk)

    report.refresh_from_db()
    assert (report.status, report.failure_code, engine.inspections) == ("failed", "inspection_failed", 3)


def test_a_scene_that_takes_its_reader_along_is_given_up(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = stand_in(monkeypatch, inspector=says(makers.REPORT))
    _file, report = unread(owner)
    for _death in range(reports.MAX_TRIES):
        assert reports.claim_report(report.pk) is not None
        SceneReport.objects.update(due_at=timezone.now())

    reports.inspect(report_id=report.pk)

    report.refresh_from_db()
    assert (report.status, report.failure_code, engine.inspections) == ("failed", "inspection_failed", 0)


def test_a_report_whose_reader_died_is_due_again(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, inspector=says(makers.REPORT))
    _file, report = unread(owner)
    assert reports.claim_report(report.pk) is not None
    assert reports.claim_report(report.pk) is None
    assert reports.overdue_reports() == []

    SceneReport.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert reports.overdue_reports() == [report.pk]
    reports.inspect(report_id=report.pk)

    report.refresh_from_db()
    assert (report.status, report.tries) == ("ready", 2)


def test_a_failure_does_not_stand_for_ever(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scene was too new; an hour later the engine was updated."""
    file, report = unread(owner)
    failed = {"status": "failed", "failure_code": "scene_too_new", "message": "Too new.", "tries": 3}
    SceneReport.objects.update(**failed, updated_at=timezone.now() - timedelta(minutes=9))
    assert reports.ensure_report(blob=file.blob, engine="blender").status == "failed"
    SceneReport.objects.update(updated_at=timezone.now() - timedelta(minutes=11))

    again = reports.ensure_report(blob=file.blob, engine="blender")

    assert (again.pk, again.status, again.tries, again.failure_code) == (report.pk, "pending", 0, "")
    stand_in(monkeypatch, inspector=says(makers.REPORT))
    reports.inspect(report_id=report.pk)
    assert SceneReport.objects.get().status == "ready"


def test_a_machine_without_the_engine_leaves_it_to_others(
    owner: User, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: object
) -> None:
    settings.ENGINES_DIR = tmp_path
    monkeypatch.setitem(ENGINES, "blender", BlenderEngine())
    _file, report = unread(owner)

    reports.inspect(report_id=report.pk)

    report.refresh_from_db()
    assert (report.status, report.tries) == ("pending", 0)


def test_a_report_there_is_not() -> None:
    inspect_scene(str(UUID(int=7)))
    assert not SceneReport.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_eight_messages_at_once_read_it_once(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = stand_in(monkeypatch, inspector="import time; time.sleep(0.3);" + says(makers.REPORT))
    _file, report = unread(owner)

    race(8, lambda number: reports.inspect(report_id=report.pk))

    report.refresh_from_db()
    assert (report.status, report.tries, engine.inspections) == ("ready", 1, 1)


@pytest.mark.django_db(transaction=True)
def test_eight_jobs_at_once_ask_for_one_report(owner: User) -> None:
    file = put(owner, "/same.blend", b"BLENDER same")
    found = race(8, lambda number: reports.ensure_report(blob=file.blob, engine="blender").pk)
    assert len(set(found)) == SceneReport.objects.count() == 1
