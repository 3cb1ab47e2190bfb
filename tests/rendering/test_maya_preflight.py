"""Scenes of Maya at the doors of the platform: read without Maya, found in the drive, refused with a code."""

import pytest
from pytest_django import Settings

from accounts.models import User
from drives.models import File
from rendering.engines import ENGINES
from rendering.models import RenderJob, RenderNode, SceneReport
from rendering.tasks import inspect_scene
from tests.conftest import Client
from tests.factories import put
from tests.rendering import makers
from tests.rendering.maya_files import Binary, ma, reference, texture

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def maya(settings: Settings, node: RenderNode) -> None:
    """A node has Maya; this machine, which reads the scenes, has none."""
    settings.RENDER_ENGINES = ["blender", "maya"]
    settings.MAYA_LOCATIONS = []
    RenderNode.objects.update(engines={"maya": {"2023": ["arnold", "sw"]}})
    assert ENGINES["maya"].versions() == {}


def put_scene(user: User, path: str, *statements: str) -> File:
    return put(user, path, ma(f"// {path}", *statements))


def draft(user: User, file: File) -> RenderJob:
    return makers.draft(user, file, engine="maya")


def read_all() -> None:
    """Let the worker read every scene that waits, and those that these reference."""
    while waiting := SceneReport.objects.filter(status="pending").first():
        inspect_scene(str(waiting.pk))


def test_a_scene_with_references_is_read_and_its_files_are_found(owner: User, owner_api: Client) -> None:
    put(owner, "/show/workspace.mel", b'workspace -fr "sourceImages" "sourceimages";')
    put(owner, "/show/sourceimages/木头.png", b"wood")
    mb = Binary(wide=True)
    rig = mb.scene(mb.node(b"RTFT", "skin", mb.attribute("ftn", "Z:/show//sourceimages/Skin.1001.png")))
    put(owner, "/show/assets/rig.mb", rig)
    put(owner, "/show/sourceimages/skin.1001.png", b"skin")
    scene = put_scene(
        owner,
        "/show/scenes/shot.ma",
        reference("Z:/show//assets/rig.mb"),
        texture("Z:\\show\\sourceimages\\木头.png"),
        texture("sourceimages/gone.png", "file2"),
    )
    job = draft(owner, scene)
    assert owner_api.get(f"/tasks/{job.pk}/report").json()["status"] == "pending"

    read_all()
    owner_api.get(f"/tasks/{job.pk}/report")  # names the reference, which is read in its turn
    read_all()

    body = owner_api.get(f"/tasks/{job.pk}/report").json()
    assert (body["status"], body["counts"]) == ("ready", {"found": 3, "missing": 1})
    assert (body["defaults"]["renderer"], body["defaults"]["frame_end"]) == ("mayaSoftware", 10)
    assert [(each["path"], each["expected_path"]) for each in body["missing"]] == [
        ("sourceimages/gone.png", "/show/sourceimages/gone.png")
    ]
    answer = owner_api.put(f"/tasks/{job.pk}/assets", {"choices": {"sourceimages/gone.png": None}})
    assert answer.status_code == 200, answer.json()
    answer = owner_api.post(f"/tasks/{job.pk}/submit")
    assert (answer.status_code, answer.json()["status_name"]) == (202, "pending")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("cut.ma", ma(texture("wood.png"))[:-60], "scene_truncated"),
        ("cut.mb", Binary(wide=True).scene()[:-30], "scene_truncated"),
        ("picture.ma", b"\x89PNG\r\n\x1a\n" + bytes(100), "not_a_scene"),
        ("empty.mb", b"", "not_a_scene"),
        ("binary.ma", Binary(wide=True).scene(), "wrong_suffix"),
        ("ascii.mb", ma(), "wrong_suffix"),
    ],
)
def test_scenes_that_are_refused(
    owner: User, owner_api: Client, name: str, content: bytes, code: str
) -> None:
    job = draft(owner, put(owner, f"/show/scenes/{name}", content))
    read_all()

    report = owner_api.get(f"/tasks/{job.pk}/report").json()
    assert (report["status"], report["failure_code"]) == ("failed", code)
    assert report["message"]
    answer = owner_api.post(f"/tasks/{job.pk}/submit")
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    job.refresh_from_db()
    assert job.status == RenderJob.Status.DRAFT


def test_a_circle_of_references_is_refused_with_its_scenes(owner: User, owner_api: Client) -> None:
    scene = put_scene(owner, "/show/scenes/a.ma", reference("scenes/b.ma"))
    put_scene(owner, "/show/scenes/b.ma", reference("scenes/a.ma"))
    job = draft(owner, scene)
    read_all()
    owner_api.get(f"/tasks/{job.pk}/report")
    read_all()

    answer = owner_api.post(f"/tasks/{job.pk}/submit")

    assert (answer.status_code, answer.json()["code"]) == (422, "reference_cycle")
    assert answer.json()["cycle"] == ["/show/scenes/a.ma", "/show/scenes/b.ma", "/show/scenes/a.ma"]
    report = owner_api.get(f"/tasks/{job.pk}/report").json()
    assert (report["status"], report["failure_code"]) == ("failed", "reference_cycle")


def test_cameras_may_come_from_a_reference(owner: User, owner_api: Client) -> None:
    camera = 'createNode camera -n "camShape" -p "cam";'
    put_scene(owner, "/show/assets/rig.ma", camera)
    alone = put_scene(owner, "/show/scenes/alone.ma", camera)
    referencing = put_scene(owner, "/show/scenes/shot.ma", reference("assets/rig.ma"))
    jobs = [makers.draft(owner, file, engine="maya", cameras=["rig:cam"]) for file in (alone, referencing)]
    read_all()
    for job in jobs:
        owner_api.get(f"/tasks/{job.pk}/report")
    read_all()

    answers = [owner_api.post(f"/tasks/{job.pk}/submit") for job in jobs]

    assert [answer.status_code for answer in answers] == [422, 202]
    assert (answers[0].json()["code"], answers[0].json()["available"]) == ("no_camera", ["cam"])


def test_a_machine_without_maya_reads_its_scenes(owner: User) -> None:
    file = put_scene(owner, "/show/scenes/a.ma")
    draft(owner, file)
    read_all()
    assert SceneReport.objects.get(blob=file.blob).status == "ready"


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("asked", ["", "2023"])
def test_a_scene_newer_than_every_maya_is_refused(
    owner: User, owner_api: Client, asked: str, is_known: bool
) -> None:
    """At submit, or as soon as the scene has been read; nothing is held, and it is said what there is."""
    scene = put(owner, "/show/new.ma", ma(version="2025"))
    job = makers.draft(owner, scene, engine="maya", maya_version=asked)
    if is_known:
        read_all()

    answer = owner_api.post(f"/tasks/{job.pk}/submit")
    read_all()

    assert answer.status_code == (422 if is_known else 202)
    task = owner_api.get(f"/tasks/{job.pk}").json()
    assert (task["status"], task["failure_code"]) == (0, "engine_unavailable")
    assert task["failure_data"]["available"] == {"maya": ["2023"]}
    assert task["failure_data"]["scene_version"] == "2025"
    assert makers.money(owner)[1] == 0


def test_a_scene_of_an_older_maya_is_rendered_by_the_next(owner: User, owner_api: Client) -> None:
    job = draft(owner, put(owner, "/show/old.ma", ma(version="2022")))
    read_all()
    assert owner_api.post(f"/tasks/{job.pk}/submit").status_code == 202
    assert owner_api.get(f"/tasks/{job.pk}").json()["engine_version"] == "2023"
