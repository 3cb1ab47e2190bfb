"""POST /tasks: what a client may ask for, and what it is told when it may not."""

import time
from typing import Any
from uuid import UUID

import pytest

from accounts.models import User
from common.ids import new_id
from drives.models import File
from drives.services.drives import create_drive, default_drive
from rendering.models import JobLog, RenderJob, RenderNode, SceneReport
from tests.conftest import Client
from tests.factories import put
from tests.rendering import makers

pytestmark = pytest.mark.django_db
EMPTY = {
    "drive_id": None, "engine": None, "engine_options": None, "maya_version": None, "renderer": None,
    "priority": None, "frames": None, "start_frame": None, "end_frame": None, "frame_step": None, "width": None,
    "height": None, "output_path": None, "output_format": None, "allow_missing": None, "submit": None,
}  # fmt: skip


def created(client: Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/tasks", {"task_name": "shot", **body})
    assert answer.status_code == 201, answer.data
    return answer.json()


def refused(client: Client, status: int, **body: Any) -> dict[str, Any]:
    """The error; a refusal leaves no task behind."""
    answer = client.post("/tasks", {"task_name": "shot", **body})
    assert answer.status_code == status, answer.json()
    assert not RenderJob.objects.exists()
    return answer.json()


def test_by_scene_id(owner_api: Client, scene: File) -> None:
    task = created(owner_api, scene_file_id=scene.pk, task_name=" Shot 1 / 夜 ")

    assert {name: task[name] for name in ("task_name", "status", "status_name", "engine", "progress")} == {
        "task_name": "Shot 1 / 夜", "status": 0, "status_name": "draft", "engine": "blender", "progress": 0,
    }  # fmt: skip
    assert task["scene_file_id"] == str(scene.pk)
    assert task["scene_file"].startswith("/proj/scene-")
    assert (task["priority"], task["frames"], task["start_frame"], task["frame_step"]) == (1, "", None, 1)
    assert (task["actual_cost"], task["estimated_cost"], task["total_frames"]) == (None, None, 0)
    assert task["created_at"].endswith("Z")
    shown = owner_api.get(f"/tasks/{task['id']}").json()
    assert {name: shown[name] for name in task} == task
    assert set(shown) - set(task) == {"queue_position", "estimated_seconds", "running", "waiting"}


def test_by_path_in_the_default_drive(owner_api: Client, scene: File) -> None:
    task = created(owner_api, scene_file=f"proj//{scene.name}")

    assert (task["scene_file_id"], task["scene_file"]) == (str(scene.pk), f"/proj/{scene.name}")


def test_by_path_in_another_drive_of_the_owner(owner_api: Client, owner: User) -> None:
    drive = create_drive(user=owner, name="second")
    file = put(owner, "/a.blend", b"BLENDER two", drive=drive)

    task = created(owner_api, scene_file="/a.blend", drive_id=drive.pk)

    assert (task["scene_file_id"], task["drive_id"]) == (str(file.pk), str(drive.pk))
    assert SceneReport.objects.get(blob=file.blob).status == "pending"


@pytest.mark.parametrize("path", ["/not/there.blend", "C:\\proj\\shot.blend", "D:/proj/shot.blend", "/proj"])
def test_a_path_that_leads_nowhere_is_kept_on_the_draft(owner_api: Client, owner: User, path: str) -> None:
    task = created(owner_api, scene_file=path)

    assert (task["scene_file"], task["scene_file_id"], task["status"]) == (path, None, 0)
    assert task["drive_id"] == str(default_drive(user=owner).pk)
    assert not SceneReport.objects.exists()


def test_a_task_without_a_scene(owner_api: Client) -> None:
    task = created(owner_api)
    assert (task["scene_file"], task["engine"]) == ("", "")


def test_absent_null_and_empty_mean_the_default(owner_api: Client, scene: File) -> None:
    absent = created(owner_api, scene_file_id=scene.pk)
    nulls = created(owner_api, scene_file_id=scene.pk, **EMPTY)
    texts = ("maya_version", "renderer", "frames", "output_path", "output_format")
    empty = created(owner_api, scene_file_id=scene.pk, **dict.fromkeys(texts, ""))

    own = ("id", "created_at", "updated_at")
    assert {name: value for name, value in absent.items() if name not in own} == {
        name: value for name, value in nulls.items() if name not in own
    }
    assert {name: absent[name] for name in texts} == {name: empty[name] for name in texts}


def test_everything_that_can_be_said(owner_api: Client, scene: File) -> None:
    wishes = {
        "engine": "blender", "engine_options": {"samples": 16}, "maya_version": "2024", "renderer": "Arnold",
        "priority": 3, "frames": "1-5,9", "width": 640, "height": 360, "output_path": "D:\\renders",
        "output_format": "exr", "allow_missing": True,
    }  # fmt: skip
    task = created(owner_api, scene_file_id=scene.pk, **wishes)

    assert {name: task[name] for name in wishes} == {**wishes, "output_format": "EXR"}
    assert (task["start_frame"], task["end_frame"], task["frame_step"]) == (1, 9, 1)


@pytest.mark.parametrize(
    ("start", "end", "step", "frames"), [(1, 10, 3, "1-10:3"), (0, 0, None, "0"), (5, 7, 1, "5-7")]
)
def test_start_end_and_step(
    owner_api: Client, scene: File, start: int, end: int, step: int | None, frames: str
) -> None:
    task = created(owner_api, scene_file_id=scene.pk, start_frame=start, end_frame=end, frame_step=step)

    assert task["frames"] == frames
    assert (task["start_frame"], task["end_frame"]) == (start, end)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task_name", ""),
        ("task_name", "   "),
        ("task_name", None),
        ("task_name", "n" * 201),
        ("task_name", "a\0b"),
        ("priority", 4),
        ("priority", -1),
        ("priority", "high"),
        ("width", 0),
        ("width", -5),
        ("height", 16385),
        ("height", "tall"),
        ("width", 10**30),
        ("frame_step", "x"),
        ("start_frame", 1.5),
        ("frames", "1" * 501),
        ("engine", "e" * 21),
        ("engine", ""),
        ("engine_options", {"samples": 0}),
        ("engine_options", {"samples": "many"}),
        ("engine_options", [16]),
        ("output_format", "BMP"),
        ("output_path", "x" * 501),
        ("scene_file", "x" * 501),
        ("scene_file_id", "no-uuid"),
        ("drive_id", "7"),
        ("submit", "perhaps"),
        ("allow_missing", {}),
    ],
)
def test_values_that_are_not_taken(owner_api: Client, field: str, value: Any) -> None:
    error = refused(owner_api, 422, **{field: value})

    assert error["code"] == "validation_error"
    assert error["errors"][0]["loc"][:2] == ["body", field]
    assert set(error["errors"][0]) == {"loc", "msg", "type"}


def test_an_engine_that_there_is_not_is_refused_with_those_there_are(
    owner_api: Client, owner: User, scene: File, node: RenderNode
) -> None:
    error = refused(owner_api, 422, engine="povray", scene_file_id=scene.pk)

    assert (error["code"], error["available"]) == ("engine_unavailable", {"blender": ["5.0.1"]})
    assert error["errors"][0]["loc"] == ["body", "engine"]

    job = makers.draft(owner)
    answers = [owner_api.patch(f"/tasks/{job.pk}", {"engine": "povray"})]
    answers.append(owner_api.post(f"/tasks/{job.pk}/clone", {"engine": "povray"}))
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (422, "engine_unavailable")
    ] * 2
    assert list(RenderJob.objects.values_list("engine", flat=True)) == ["blender"]


def test_a_format_that_there_is_not_is_refused_with_those_there_are(owner_api: Client) -> None:
    error = refused(owner_api, 422, output_format="BMP")["errors"][0]

    assert error["type"] == "output_format_unknown"
    assert error["msg"].endswith("PNG, JPEG, JPG, EXR, OPEN_EXR, TIFF")


def test_a_task_whose_file_names_no_engine_has_no_report(
    owner_api: Client, owner: User, node: RenderNode
) -> None:
    put(owner, "/a.fbx", b"Kaydara")
    task = created(owner_api, scene_file="/a.fbx")

    error = owner_api.get(f"/tasks/{task['id']}/report").json()
    assert (error["code"], error["available"]) == ("engine_unavailable", {"blender": ["5.0.1"]})


def test_half_a_character_is_no_name(owner_api: Client) -> None:
    answer = owner_api.generic("POST", "/tasks", '{"task_name": "\\ud800"}', content_type="application/json")
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "task_name"])


@pytest.mark.parametrize(
    ("wishes", "field", "code"),
    [
        ({"frames": "-5--1"}, "frames", "frame_range_invalid"),
        ({"frames": "-5-1"}, "frames", "frame_range_invalid"),
        ({"frames": "10-1"}, "frames", "frame_range_invalid"),
        ({"frames": "all"}, "frames", "frame_range_invalid"),
        ({"frames": "1,1"}, "frames", "frame_range_invalid"),
        ({"frames": "1000001"}, "frames", "frame_range_invalid"),
        ({"frames": "1-1000000000"}, "frames", "frame_range_too_long"),
        ({"start_frame": 10, "end_frame": 1}, "end_frame", "frame_range_invalid"),
        ({"start_frame": -1, "end_frame": 5}, "start_frame", "frame_range_invalid"),
        ({"start_frame": 1, "end_frame": 5, "frame_step": 0}, "frame_step", "frame_range_invalid"),
        ({"start_frame": 1}, "end_frame", "frame_range_invalid"),
        ({"end_frame": 1}, "start_frame", "frame_range_invalid"),
        ({"start_frame": 1, "end_frame": 100_001}, "end_frame", "frame_range_too_long"),
        ({"start_frame": 0, "end_frame": 10**18}, "end_frame", "frame_range_too_long"),
    ],
)
def test_ranges_that_are_not_taken(owner_api: Client, wishes: dict[str, Any], field: str, code: str) -> None:
    started = time.process_time()
    error = refused(owner_api, 422, **wishes)

    assert (error["code"], error["errors"][0]["loc"]) == (code, ["body", field])
    assert time.process_time() - started < 1


@pytest.mark.parametrize("path", ["../up", "a/../../b", "C:\\a\\..\\b", ".."])
def test_an_output_path_does_not_climb(owner_api: Client, path: str) -> None:
    assert refused(owner_api, 422, output_path=path)["errors"][0]["loc"] == ["body", "output_path"]


@pytest.mark.parametrize("path", ["../../etc/passwd", "/a/../b.blend", "/a\n.blend", "/" + "x" * 300])
def test_a_scene_path_that_is_none(owner_api: Client, path: str) -> None:
    assert refused(owner_api, 422, scene_file=path)["errors"][0]["loc"] == ["body", "scene_file"]


def test_other_peoples_files_and_drives_are_not_there(
    owner_api: Client, stranger: User, stranger_api: Client
) -> None:
    foreign = makers.scene(stranger)
    drive = default_drive(user=stranger)

    assert refused(owner_api, 404, scene_file_id=foreign.pk)["code"] == "not_found"
    assert refused(owner_api, 404, scene_file_id=new_id())["code"] == "not_found"
    assert refused(owner_api, 404, drive_id=drive.pk, scene_file="/proj/x.blend")["code"] == "not_found"
    assert created(stranger_api, scene_file_id=foreign.pk, drive_id=drive.pk)["engine"] == "blender"


def test_a_scene_in_another_drive_than_the_one_named(owner_api: Client, scene: File, stranger: User) -> None:
    drive = default_drive(user=stranger)
    assert refused(owner_api, 404, scene_file_id=scene.pk, drive_id=drive.pk)["code"] == "not_found"


def test_the_engine_follows_the_files_ending_unless_it_is_said(owner_api: Client, owner: User) -> None:
    put(owner, "/a.ma", b"//Maya ASCII")

    assert created(owner_api, scene_file="/a.fbx")["engine"] == ""
    assert created(owner_api, scene_file="/a.ma")["engine"] == "maya"
    assert created(owner_api, scene_file="/a.ma", engine="simulated")["engine"] == "simulated"
    assert created(owner_api, scene_file="/nowhere/B.BLEND")["engine"] == "blender"


def test_anonymous(anonymous: Client) -> None:
    assert anonymous.post("/tasks", {"task_name": "x"}).status_code == 401
    assert anonymous.get("/tasks").status_code == 401


def test_both_slash_forms(owner_api: Client) -> None:
    assert owner_api.post("/tasks/", {"task_name": "x"}).status_code == 201
    assert owner_api.get("/tasks/").json()["total"] == 1


def test_the_task_log_begins(owner_api: Client, scene: File) -> None:
    task = created(owner_api, scene_file_id=scene.pk)
    assert JobLog.objects.filter(job_id=task["id"]).count() == 1


def test_submit_at_once(owner_api: Client, scene: File, node: RenderNode) -> None:
    task = created(owner_api, scene_file_id=scene.pk, frames="1-4", submit=True)

    assert (task["status"], task["estimated_cost"], task["unit_price"]) == (1, 2.0, 0.5)
    assert (task["failure_code"], task["width"], task["height"]) == ("", 64, 36)


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ({"frames": "1-100000"}, "insufficient_balance"),
        ({"scene_file_id": None, "scene_file": "C:\\a.blend"}, "scene_missing"),
        ({"engine": "maya"}, "engine_unavailable"),
    ],
)
def test_a_submit_at_once_that_is_refused_leaves_a_draft(
    owner_api: Client, owner: User, scene: File, node: RenderNode, wishes: dict[str, Any], code: str
) -> None:
    task = created(owner_api, **{"scene_file_id": scene.pk, "submit": True, **wishes})

    assert (task["status"], task["failure_code"]) == (0, code)
    assert task["error_message"]
    assert makers.money(owner)[1] == 0
    job = RenderJob.objects.get(pk=UUID(task["id"]))
    assert (job.hold, job.total_frames) == (None, 0)


def test_what_is_missing_stands_on_the_draft(owner_api: Client, owner: User, node: RenderNode) -> None:
    file = makers.scene(owner, assets=[makers.asset("//wood.png")])

    task = created(owner_api, scene_file_id=file.pk, submit=True)

    assert task["failure_code"] == "missing_assets"
    assert task["failure_data"]["missing"][0]["expected_path"] == "/proj/wood.png"
