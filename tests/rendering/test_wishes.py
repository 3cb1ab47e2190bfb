"""What a task may ask for: a version, cameras and layers, chunks, machines; what it costs; copies of it."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from drives.models import File
from rendering.models import Frame, RenderJob, RenderNode, RenderStep
from rendering.services.steps import steps_of
from tests.conftest import Client
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


def more_nodes(**engines: list[str]) -> RenderNode:
    name = f"node-{RenderNode.objects.count() + 1}"
    return RenderNode.objects.create(
        name=name, host="h", engines=engines, cores=64, memory_size=2**38, tags=["gpu", "north"],
        heartbeat_at=timezone.now(),
    )  # fmt: skip


def submitted(client: Client, file: File, **wishes: Any) -> dict[str, Any]:
    body = {"task_name": "shot", "scene_file_id": file.pk, "frames": "1-4", **wishes}
    task = client.post("/tasks", body).json()
    return client.post(f"/tasks/{task['id']}/submit").json()


# --- versions ---


@pytest.mark.parametrize(
    ("wanted", "saved_by", "rendered_by"),
    [
        ("4.2.1", [5, 0, 119], "4.2.1"),
        ("4.2", [5, 0, 119], "4.2.10"),
        ("5", [4, 2, 0], "5.0.1"),
        ("", [4, 2, 0], "4.2.10"),
        ("", [3, 6, 0], "4.2.1"),
        ("", [9, 9, 0], "5.0.1"),
        ("", None, "5.0.1"),
    ],
)
def test_the_version_that_renders(
    owner_api: Client, owner: User, node: RenderNode, wanted: str, saved_by: Any, rendered_by: str
) -> None:
    more_nodes(blender=["4.2.1", "4.2.10"])
    file = makers.scene(owner, blender_version=saved_by)
    assert submitted(owner_api, file, engine_version=wanted)["engine_version"] == rendered_by


@pytest.mark.parametrize("wanted", ["4.1", "5.0.2", "6", "latest", "50"])
def test_a_version_that_no_node_has(
    owner_api: Client, owner: User, scene: File, node: RenderNode, wanted: str
) -> None:
    more_nodes(blender=["4.2.1"])

    error = submitted(owner_api, scene, engine_version=wanted)

    assert (error["code"], error["available"]) == ("engine_unavailable", {"blender": ["4.2.1", "5.0.1"]})
    assert error["errors"][0]["loc"] == ["body", "engine_version"]
    assert (RenderJob.objects.get().status, makers.money(owner)[1]) == (Status.DRAFT, 0)


def test_the_version_of_maya_counts_for_maya_alone(owner_api: Client, scene: File, node: RenderNode) -> None:
    assert submitted(owner_api, scene, maya_version="2024")["engine_version"] == "5.0.1"
    more_nodes(maya=["2025"])

    error = submitted(owner_api, scene, maya_version="2024", engine="maya")

    assert (error["code"], error["available"]) == ("engine_unavailable", {"maya": ["2025"]})
    assert error["errors"][0]["loc"] == ["body", "maya_version"]


# --- machines ---


def test_machines_are_asked_for(owner_api: Client, scene: File, node: RenderNode) -> None:
    more_nodes(blender=["5.0.1"])
    wishes = {"min_cores": 64, "min_memory_size": 2**38, "node_tags": ["north", "gpu"]}

    task = submitted(owner_api, scene, **wishes)

    assert {name: task[name] for name in wishes} == wishes
    assert task["status"] == 1


@pytest.mark.parametrize(
    "wishes", [{"min_cores": 65}, {"min_memory_size": 2**38 + 1}, {"node_tags": ["moon"]}]
)
def test_machines_that_there_are_not(
    owner_api: Client, owner: User, scene: File, node: RenderNode, wishes: dict[str, Any]
) -> None:
    more_nodes(blender=["5.0.1"])
    more_nodes(maya=["2025"])

    error = submitted(owner_api, scene, **wishes)

    assert error["code"] == "no_node_fits"
    assert error["errors"][0]["loc"] == ["body", *wishes]
    assert error["nodes"] == [
        {"cores": 0, "memory_size": 0, "tags": []},
        {"cores": 64, "memory_size": 2**38, "tags": ["gpu", "north"]},
    ]
    assert makers.money(owner)[1] == 0


# --- steps ---


def test_each_camera_with_each_layer_is_a_step(owner_api: Client, owner: User, node: RenderNode) -> None:
    file = makers.scene(
        owner, cameras=["left", "right"], layers=["beauty", {"name": "rs_fog", "label": "fog"}]
    )
    balance, _held = makers.money(owner)

    task = submitted(owner_api, file, cameras=["left", "right"], layers=["beauty", "rs_fog"], chunk_size=3)

    assert (task["total_frames"], task["estimated_cost"], task["chunk_size"]) == (16, 8.0, 3)
    assert makers.money(owner) == (balance, Decimal(8))
    makers.advance_job(job_id=task["id"])
    steps = RenderStep.objects.order_by("name").values_list("name", "camera", "layer")
    assert list(steps) == [
        ("left_beauty", "left", "beauty"), ("left_rs_fog", "left", "rs_fog"),
        ("right_beauty", "right", "beauty"), ("right_rs_fog", "right", "rs_fog"),
    ]  # fmt: skip
    body = owner_api.get(f"/tasks/{task['id']}/frames?step=left_beauty").json()
    assert [frame["number"] for frame in body["frames"]] == [1, 2, 3, 4]
    assert owner_api.get(f"/tasks/{task['id']}/frames").json()["total"] == 16
    attempt = makers.claimed(node)
    assert attempt.frames.count() == 3
    assert makers.audit() == {}


def test_many_steps_are_queued_with_as_many_statements_as_two(
    owner: User, node: RenderNode, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    counts = []
    for cameras in (["a", "b"], [f"camera{number}" for number in range(40)]):
        job = makers.submit_job(
            job=makers.draft(owner, makers.scene(owner, cameras=cameras), frames="1-2", cameras=cameras)
        )
        with django_assert_max_num_queries(60) as queries:
            makers.advance_job(job_id=job.pk)
        counts.append(len(queries))
        assert Frame.objects.filter(job=job, status="ready").count() == 2 * len(cameras)
    assert counts[1] <= counts[0]  # the folder of all results is there by then


@pytest.mark.parametrize(
    ("wish", "code", "available"),
    [({"cameras": ["top", "camera"]}, "no_camera", ["camera"]), ({"layers": ["fog"]}, "no_layer", ["base"])],
)
def test_a_camera_or_layer_that_the_scene_has_not(
    owner_api: Client,
    owner: User,
    node: RenderNode,
    wish: dict[str, list[str]],
    code: str,
    available: list[str],
) -> None:
    error = submitted(owner_api, makers.scene(owner, layers=["base"]), **wish)

    [(field, names)] = wish.items()
    assert (error["code"], error["available"], error["unknown"]) == (code, available, names[:1])
    assert error["errors"][0]["loc"] == ["body", field]
    assert makers.money(owner)[1] == 0


def test_a_report_that_knows_no_layers_refuses_none(owner_api: Client, scene: File, node: RenderNode) -> None:
    assert submitted(owner_api, scene, layers=["fog"])["status"] == 1


@pytest.mark.parametrize(
    ("cameras", "layers", "names"),
    [
        ([], [], ["main"]),
        (["cam"], [], ["cam"]),
        ([], ["fog"], ["fog"]),
        (["|set|cam", "set:cam"], [], ["setcam", "setcam (2)"]),
        (["../..", "/"], [], ["step", "step (2)"]),
        (["main", "Main"], [], ["main (2)", "Main (3)"]),
        (["aux", "Con"], [], ["_aux", "_Con"]),
        (["机" * 200], ["层" * 200], ["机" * 78 + "_"]),
    ],
)
def test_steps_have_names_that_folders_may_have(
    cameras: list[str], layers: list[str], names: list[str]
) -> None:
    assert [step.name for step in steps_of(RenderJob(cameras=cameras, layers=layers))] == names


def test_frames_of_all_steps_are_counted_against_the_limit(
    owner_api: Client, owner: User, node: RenderNode
) -> None:
    file = makers.scene(owner, cameras=["a", "b"])
    error = submitted(owner_api, file, frames="1-50001", cameras=["a", "b"])
    assert (error["code"], error["limit"]) == ("frame_range_too_long", 100_000)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chunk_size", 0),
        ("chunk_size", 101),
        ("cameras", "left"),
        ("cameras", [""]),
        ("cameras", ["x" * 256]),
        ("cameras", ["c"] * 101),
        ("layers", [{"name": "fog"}]),
        ("layers", ["a\0b"]),
        ("min_cores", -1),
        ("min_memory_size", 2**60),
        ("node_tags", ["t" * 51]),
        ("engine_version", "9" * 41),
        ("test_frames", "perhaps"),
        ("depends_on", "x"),
        ("depends_on", [{"task_id": "7"}]),
        ("depends_on", [{"task_id": "01a20000-0000-7000-8000-000000000000", "kind": "half"}]),
    ],
)
def test_values_that_are_not_taken(owner_api: Client, field: str, value: Any) -> None:
    answer = owner_api.post("/tasks", {"task_name": "shot", field: value})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.json()["errors"][0]["loc"][:2] == ["body", field]
    assert not RenderJob.objects.exists()


def test_estimate_hold_and_bill_are_one_formula(owner_api: Client, owner: User, node: RenderNode) -> None:
    file = makers.scene(owner, cameras=["a", "b", "c"])
    job = makers.draft(owner, file, frames="1-7:3", cameras=["a", "b", "c"])
    balance, _held = makers.money(owner)

    body = owner_api.get(f"/tasks/{job.pk}/estimate").json()

    assert (body["frames"], body["steps"], body["estimated_cost"]) == (9, ["a", "b", "c"], 4.5)
    owner_api.post(f"/tasks/{job.pk}/submit")
    assert makers.money(owner)[1] == Decimal("4.5")
    makers.advance_job(job_id=job.pk)
    for _frame in range(9):
        makers.succeed(makers.claimed(node))
    job.refresh_from_db()
    assert (job.status, job.total_frames, job.actual_cost) == (Status.COMPLETED, 9, Decimal("4.5"))
    assert makers.money(owner) == (balance - Decimal("4.5"), 0)
    assert makers.audit() == {}


# --- clones ---


def test_a_clone_asks_for_the_same(owner_api: Client, owner: User, node: RenderNode) -> None:
    file = makers.scene(owner, cameras=["left"])
    job = makers.queued(
        owner, file, cameras=["left"], chunk_size=5, priority=2, test_frames=True, width=32, output_format="EXR",
        engine_options={"samples": 4},
    )  # fmt: skip

    task = owner_api.post(f"/tasks/{job.pk}/clone", {}).json()

    original = owner_api.get(f"/tasks/{job.pk}").json()
    same = (
        "task_name", "scene_file_id", "scene_file", "drive_id", "engine", "engine_version", "engine_options", "frames",
        "cameras", "layers", "chunk_size", "priority", "test_frames", "width", "height", "output_format",
    )  # fmt: skip
    assert {name: task[name] for name in same} == {name: original[name] for name in same}
    assert task["id"] != original["id"]
    assert (task["status"], task["total_frames"], task["actual_cost"]) == (0, 0, None)
    assert Frame.objects.filter(job_id=task["id"]).count() == 0


def test_a_clone_goes_back_to_the_default_with_null(owner_api: Client, owner: User, node: RenderNode) -> None:
    job = makers.draft(owner, frames="1-4", chunk_size=5, width=32, priority=2)

    nulls = {"chunk_size": None, "width": None, "depends_on": None, "submit": None}
    task = owner_api.post(f"/tasks/{job.pk}/clone", nulls).json()

    assert (task["chunk_size"], task["width"], task["status"]) == (None, None, 0)
    assert (task["frames"], task["priority"]) == ("1-4", 2)


def test_a_clone_with_changes_put_on_its_way(owner_api: Client, owner: User, node: RenderNode) -> None:
    more_nodes(blender=["4.2.1"])
    job = makers.in_status(owner, Status.CANCELLED, node)
    other = makers.scene(owner, blender_version=[4, 2, 0])

    changes = {
        "task_name": "again",
        "scene_file_id": other.pk,
        "start_frame": 5,
        "end_frame": 6,
        "submit": True,
    }
    task = owner_api.post(f"/tasks/{job.pk}/clone", changes).json()

    assert (task["task_name"], task["scene_file_id"], task["frames"]) == ("again", str(other.pk), "5-6")
    assert (task["status"], task["engine_version"], task["estimated_cost"]) == (1, "4.2.1", 1.0)
    assert makers.audit() == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"frames": "3-1"}, "frame_range_invalid"),
        ({"output_path": "../x"}, "bad_name"),
        ({"width": 0}, "validation_error"),
    ],
)
def test_a_clone_is_asked_like_a_new_task(
    owner_api: Client, owner: User, node: RenderNode, change: dict[str, Any], code: str
) -> None:
    job = makers.draft(owner)
    answer = owner_api.post(f"/tasks/{job.pk}/clone", change)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert RenderJob.objects.count() == 1


def test_a_clone_of_a_scene_that_is_gone(owner_api: Client, owner: User, node: RenderNode) -> None:
    job = makers.draft(owner)
    RenderJob.objects.update(scene_file=None)
    assert owner_api.post(f"/tasks/{job.pk}/clone").json()["scene_file"] == job.scene_path


# --- changes of a draft ---


def test_a_draft_asks_for_something_else(owner_api: Client, owner: User, node: RenderNode) -> None:
    job = makers.draft(owner, frames="1-4", width=32, test_frames=True, output_format="EXR")
    RenderJob.objects.update(failure_code="missing_assets", error_message="m", asset_choices={"a": None})

    task = owner_api.patch(f"/tasks/{job.pk}", {"frames": "2-3", "priority": 3, "width": None}).json()

    assert (task["frames"], task["priority"], task["width"]) == ("2-3", 3, None)
    assert (task["task_name"], task["test_frames"], task["output_format"]) == (job.task_name, True, "EXR")
    assert (task["failure_code"], task["error_message"]) == ("", "")
    job.refresh_from_db()
    assert job.asset_choices == {"a": None}
    assert owner_api.get(f"/tasks/{job.pk}/estimate").json()["estimated_cost"] == 2.0

    other = makers.scene(owner)
    task = owner_api.patch(f"/tasks/{job.pk}", {"scene_file_id": other.pk, "frames": None}).json()
    assert (task["scene_file_id"], task["frames"], task["priority"]) == (str(other.pk), "", 3)
    job.refresh_from_db()
    assert job.asset_choices == {}


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"frames": "3-1"}, "frames", "frame_range_invalid"),
        ({"output_path": "../x"}, "output_path", "bad_name"),
        ({"width": 0}, "width", "min_value"),
    ],
)
def test_a_draft_is_asked_like_a_new_task(
    owner_api: Client, owner: User, change: dict[str, Any], field: str, code: str
) -> None:
    job = makers.draft(owner)
    before = RenderJob.objects.values().get()
    answer = owner_api.patch(f"/tasks/{job.pk}", change)
    assert answer.status_code == 422
    assert [(error["loc"][-1], error["type"]) for error in answer.json()["errors"]] == [(field, code)]
    assert RenderJob.objects.values().get() == before


def test_nobody_elses_draft_is_changed(stranger_api: Client, owner: User) -> None:
    job = makers.draft(owner, frames="1-4")
    assert stranger_api.patch(f"/tasks/{job.pk}", {"frames": "1"}).status_code == 404
    assert makers.fresh(job).frame_range == "1-4"


# --- priority ---


def test_a_more_urgent_task_comes_first(owner_api: Client, owner: User, node: RenderNode) -> None:
    makers.queued(owner)
    job = makers.queued(owner)

    assert owner_api.put(f"/tasks/{job.pk}/priority", {"priority": 3}).json()["priority"] == 3

    assert makers.claimed(node).job == job


@pytest.mark.parametrize("priority", [4, -1, "high", None])
def test_priorities_there_are_not(owner_api: Client, owner: User, priority: Any) -> None:
    job = makers.draft(owner)
    assert owner_api.put(f"/tasks/{job.pk}/priority", {"priority": priority}).status_code == 422
    assert owner_api.put(f"/tasks/{job.pk}/priority").status_code == 422
