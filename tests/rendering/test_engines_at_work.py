"""Jobs of Maya, Arnold and the simulated engine, from the API through a node; the programs are stand-ins."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from billing.models import PriceRule
from common.ids import new_id
from rendering.models import Attempt, Frame, FrameOutput, RenderJob, RenderNode, SceneReport
from rendering.node import Node
from rendering.services import reports
from rendering.services.admission import advance_job
from tests.conftest import Client
from tests.factories import put
from tests.rendering import makers
from tests.rendering.maya_files import ma, texture
from tests.standins.installed import install_arnold, install_maya

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


@pytest.fixture
def worker(price: PriceRule, tmp_path: Path, settings: Settings) -> Iterator[Node]:
    """A node with Maya 2024 and 2025, an Arnold, and the simulated engine."""
    for release in ("2024", "2025"):
        install_maya(tmp_path / "autodesk", release)
    settings.MAYA_LOCATIONS = [f"{tmp_path}/autodesk/maya2*"]
    settings.ARNOLD_LOCATIONS = [str(install_arnold(tmp_path))]
    node = Node(name=f"worker-{new_id().hex[-6:]}", slots=1)
    node.row = node.register()
    # Nothing renews its heartbeat here, and a machine may be slow.
    RenderNode.objects.filter(pk=node.row.pk).update(heartbeat_at=timezone.now() + timedelta(hours=1))
    yield node


def rendered(api: Client, worker: Node, **wishes: Any) -> RenderJob:
    """A task through pre-flight and rendering."""
    task = api.post("/tasks", {"task_name": "shot", **wishes}).json()
    assert api.post(f"/tasks/{task['id']}/submit").status_code == 202
    for pending in SceneReport.objects.filter(status="pending"):
        reports.inspect(report_id=pending.pk)
    advance_job(job_id=task["id"])
    job = RenderJob.objects.get(pk=task["id"])
    worker.work(job.engine)
    job.refresh_from_db()
    return job


def names() -> list[str]:
    return sorted(FrameOutput.objects.values_list("name", flat=True))


def test_what_the_node_has(worker: Node, owner_api: Client) -> None:
    assert worker.row.engines["maya"] == ["2024", "2025"]
    assert worker.row.engines["arnold"] == ["7.3.2.0"]
    offered = {engine["name"]: engine["versions"] for engine in owner_api.get("/engines").json()["engines"]}
    assert offered.keys() == {"blender", "maya", "arnold", "simulated"}


def test_a_maya_scene(owner: User, owner_api: Client, worker: Node) -> None:
    put(owner, "/proj/sourceimages/wood.tx", b"wood")
    scene = put(owner, "/proj/scenes/shot.ma", ma(texture("C:/proj/sourceimages/wood.tx"), version="2024"))

    job = rendered(
        owner_api, worker, scene_file_id=str(scene.pk), frames="1,10", renderer="Arnold", output_format="EXR",
        width=64, height=36,
    )  # fmt: skip

    assert (job.engine, job.status, job.error_message) == ("maya", Status.COMPLETED, "")
    assert names() == [f"shot.{number:04d}.exr" for number in (1, 10)]
    assert set(FrameOutput.objects.values_list("width", "height")) == {(64, 36)}
    attempt = Attempt.objects.order_by("created_at")[0]
    assert "% done" in attempt.log_tail and "MAYA_APP_DIR=" in attempt.log_tail
    assert makers.audit() == {}


def test_a_maya_scene_that_fails_says_what_to_do(owner: User, owner_api: Client, worker: Node) -> None:
    scene = put(owner, "/proj/shot.ma", ma(version="2024") + b"//standin cameras sideShape\n")
    job = rendered(owner_api, worker, scene_file_id=str(scene.pk), frames="1", renderer="V-Ray")
    assert job.status == Status.COMPLETED
    scene = put(owner, "/proj/broken.ma", ma(version="2024") + b"//standin behave failed\n")
    rendered(owner_api, worker, scene_file_id=str(scene.pk), frames="1")
    attempt = Attempt.objects.order_by("created_at")[1]
    assert (attempt.status, attempt.failure_code, attempt.exit_code) == ("failed", "render_failed", 3)
    assert "Scene shot.ma failed to render" in attempt.message


def test_a_licence_that_is_short_spends_no_try(owner: User, owner_api: Client, worker: Node) -> None:
    scene = put(owner, "/proj/shot.ma", ma(version="2024") + b"//standin behave licence\n")
    job = rendered(owner_api, worker, scene_file_id=str(scene.pk), frames="1", renderer="Arnold")
    frame = Frame.objects.get(job=job)
    assert (job.status, frame.status, frame.failures) == (Status.RENDERING, "ready", 0)
    assert Attempt.objects.get().failure_code == "licence_unavailable"


def test_an_arnold_scene(owner: User, owner_api: Client, worker: Node) -> None:
    scene = put(owner, "/proj/still.ass", b'options\n{\n xres 32\n yres 18\n camera "persp"\n frame 5\n}\n')
    job = rendered(owner_api, worker, scene_file_id=str(scene.pk))
    assert (job.engine, job.status, job.error_message) == ("arnold", Status.COMPLETED, "")
    assert names() == ["still.0005.exr"]


def test_an_arnold_scene_of_a_file_for_each_frame(owner: User, owner_api: Client, worker: Node) -> None:
    for number in (1, 2, 3):
        text = f'options\n{{\n xres 32\n yres 18\n camera "persp"\n frame {number}\n}}\n'
        put(owner, f"/proj/shot.{number:04d}.ass", text.encode())
    job = rendered(owner_api, worker, scene_file="/proj/shot.0001.ass", frames="2-3")
    assert (job.status, job.error_message) == (Status.COMPLETED, "")
    assert names() == ["shot.0002.exr", "shot.0003.exr"]


def test_the_simulated_engine_takes_any_file(owner: User, owner_api: Client, worker: Node) -> None:
    scene = put(owner, "/proj/scene.fbx", b"Kaydara FBX Binary")
    job = rendered(
        owner_api, worker, scene_file_id=str(scene.pk), engine="simulated", frames="1-2",
        engine_options={"seconds": 0},
    )  # fmt: skip
    assert (job.status, job.error_message) == (Status.COMPLETED, "")
    assert names() == ["simulated_0001.png", "simulated_0002.png"]
