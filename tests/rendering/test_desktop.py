"""The desktop client: camelCase both ways, and status numbers of its own."""

from typing import Any

import pytest

from accounts.models import User
from rendering.models import RenderJob, RenderNode
from tests.conftest import Client
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


class DesktopClient(Client):
    def generic(self, *args: Any, **kwargs: Any) -> Any:
        return super().generic(*args, HTTP_USER_AGENT="YuntuClient/1.0.0", **kwargs)


@pytest.fixture
def desktop(owner: User) -> DesktopClient:
    return DesktopClient(owner)


FORM = {
    "taskId": "", "taskName": "镜头一", "sceneFile": "D:\\项目\\shot.ma", "sceneFileUrl": "D:\\项目\\shot.ma",
    "mayaVersion": "2024", "renderer": "Arnold", "status": 0, "priority": 2, "progress": 0, "startFrame": 1,
    "endFrame": 10, "frameStep": 3, "width": 1920, "height": 1080, "outputPath": "D:\\输出", "outputFormat": "PNG",
    "createdAt": "", "startedAt": "", "completedAt": "", "estimatedCost": 0, "actualCost": 0, "errorMessage": "",
}  # fmt: skip


def test_the_form_of_the_client_makes_a_task(desktop: DesktopClient) -> None:
    answer = desktop.post("/tasks/", FORM)

    assert answer.status_code == 201, answer.json()
    task = answer.json()
    assert task["taskId"] == task["id"]
    kept = (
        "taskName",
        "sceneFile",
        "mayaVersion",
        "renderer",
        "priority",
        "startFrame",
        "endFrame",
        "frameStep",
    )
    assert {name: task[name] for name in kept} == {name: FORM[name] for name in kept}
    assert (task["outputPath"], task["outputFormat"], task["status"]) == ("D:\\输出", "PNG", 0)
    job = RenderJob.objects.get()
    assert (job.frame_range, job.scene_file) == ("1-10:3", None)


def test_the_keys_that_the_client_reads(desktop: DesktopClient, owner: User, node: RenderNode) -> None:
    job = makers.in_status(owner, Status.COMPLETED, node)

    task = desktop.get(f"/tasks/{job.pk}").json()

    read = {
        "taskId", "taskName", "sceneFile", "mayaVersion", "renderer", "status", "priority", "progress",
        "startFrame", "endFrame", "frameStep", "width", "height", "outputPath", "outputFormat", "createdAt",
        "startedAt", "completedAt", "estimatedCost", "actualCost", "errorMessage",
    }  # fmt: skip
    assert read <= set(task)
    assert not any("_" in name for name in task)
    assert (task["actualCost"], task["estimatedCost"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("status", "number"),
    [
        (Status.DRAFT, 0),
        (Status.PENDING, 2),
        (Status.QUEUED, 3),
        (Status.RENDERING, 4),
        (Status.PAUSED, 5),
        (Status.COMPLETED, 6),
        (Status.FAILED, 7),
        (Status.CANCELLED, 8),
    ],
)
def test_status_numbers_count_uploading(
    desktop: DesktopClient, owner_api: Client, owner: User, node: RenderNode, status: Status, number: int
) -> None:
    job = makers.in_status(owner, status, node)

    assert desktop.get(f"/tasks/{job.pk}").json()["status"] == number
    assert desktop.get("/tasks/?skip=0&limit=100").json()["tasks"][0]["status"] == number
    assert desktop.get(f"/tasks?status={number}").json()["total"] == 1
    assert owner_api.get(f"/tasks/{job.pk}").json()["status"] == status
    assert owner_api.get(f"/tasks?status={status}").json()["total"] == 1


def test_uploading_is_a_status_without_tasks(desktop: DesktopClient, owner: User) -> None:
    makers.draft(owner)
    assert desktop.get("/tasks?status=1").json()["total"] == 0


def test_the_client_starts_pauses_resumes_and_cancels(
    desktop: DesktopClient, owner: User, node: RenderNode
) -> None:
    job = makers.draft(owner)

    def put(word: str) -> int:
        return desktop.put(f"/tasks/{job.pk}/{word}", {}).json()["status"]

    assert put("resume") == 2
    makers.advance_job(job_id=job.pk)
    assert [put("pause"), put("resume"), put("cancel")] == [5, 3, 8]


def test_a_list_of_the_client(desktop: DesktopClient, owner: User) -> None:
    makers.draft(owner, task_name="one")
    body = desktop.get("/tasks/", {"skip": 0, "limit": 100}).json()
    assert (body["tasks"][0]["taskName"], body["total"], body["limit"]) == ("one", 1, 100)


def test_the_logs_of_the_client(desktop: DesktopClient, owner: User) -> None:
    job = makers.draft(owner)
    line = desktop.get(f"/tasks/{job.pk}/logs").json()["logs"][0]
    assert line["taskId"] == str(job.pk)
    assert {"logLevel", "message", "createdAt"} <= set(line)
