"""What a client reads: lists, logs, frames, attempts, outputs, figures."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from drives.models import File
from drives.services.blobs import store_chunks
from rendering.engines import Failure
from rendering.models import Frame, JobLog, RenderJob, RenderNode
from rendering.services import attempts, news
from tests.conftest import Client
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


def names(answer: Any) -> list[str]:
    return [task["task_name"] for task in answer.json()["tasks"]]


# --- tasks ---


def test_the_newest_first_a_page_at_a_time(
    owner_api: Client, owner: User, stranger: User, scene: File
) -> None:
    for number in range(25):
        makers.draft(owner, scene, task_name=f"shot {number:02d}")
    makers.draft(stranger)

    first = owner_api.get("/tasks")
    assert (first.json()["total"], first.json()["skip"], first.json()["limit"]) == (25, 0, 20)
    assert names(first) == [f"shot {number:02d}" for number in range(24, 4, -1)]
    assert names(owner_api.get("/tasks?skip=20&limit=3")) == ["shot 04", "shot 03", "shot 02"]
    assert names(owner_api.get("/tasks?skip=100")) == []
    assert owner_api.get("/tasks?limit=5000").json()["limit"] == 100


def test_tasks_of_one_moment_do_not_change_places(owner_api: Client, owner: User, scene: File) -> None:
    for number in range(9):
        makers.draft(owner, scene, task_name=str(number))
    RenderJob.objects.update(created_at=timezone.now())

    found = {name for skip in (0, 3, 6) for name in names(owner_api.get(f"/tasks?skip={skip}&limit=3"))}

    assert sorted(found) == [str(number) for number in range(9)]


def test_by_status(owner_api: Client, owner: User, node: RenderNode) -> None:
    for status in (Status.DRAFT, Status.DRAFT, Status.PENDING, Status.CANCELLED):
        makers.in_status(owner, status, node)

    totals = {status: owner_api.get(f"/tasks?status={status}").json()["total"] for status in range(8)}

    assert totals == {0: 2, 1: 1, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 1}
    assert owner_api.get("/tasks?status=").json()["total"] == 4


@pytest.mark.parametrize(
    "query", ["status=8", "status=-1", "status=x", "status=²", "skip=-1", "limit=x", "skip=²"]
)
def test_queries_that_are_not_taken(owner_api: Client, query: str) -> None:
    answer = owner_api.get(f"/tasks?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


def test_a_list_costs_the_same_however_long(
    owner_api: Client, owner: User, node: RenderNode, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _number in range(12):
        makers.queued(owner, frames="1-3")
    owner_api.get("/tasks")

    with django_assert_max_num_queries(4) as few:
        assert len(names(owner_api.get("/tasks?limit=2"))) == 2
    with django_assert_max_num_queries(4) as many:
        assert len(names(owner_api.get("/tasks"))) == 12
    assert len(few) == len(many)


# --- logs ---


def test_logs_the_newest_first(owner_api: Client, owner: User) -> None:
    job = makers.draft(owner)
    JobLog.objects.all().delete()
    for number in range(120):
        news.log(job, f"line {number}", level=JobLog.Level.WARNING)
    news.log(makers.draft(owner), "of another task")

    body = owner_api.get(f"/tasks/{job.pk}/logs").json()

    assert (body["total"], body["skip"], body["limit"], len(body["logs"])) == (120, 0, 100, 100)
    line = body["logs"][0]
    assert (line["message"], line["log_level"], line["task_id"]) == ("line 119", "WARNING", str(job.pk))
    assert set(line) == {"id", "task_id", "log_level", "message", "created_at"}
    page = owner_api.get(f"/tasks/{job.pk}/logs?skip=118&limit=900").json()
    assert ([line["message"] for line in page["logs"]], page["limit"]) == (["line 1", "line 0"], 500)


# --- frames, attempts, outputs ---


def test_frames_and_their_attempts(owner_api: Client, owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-3")
    makers.fail(makers.claimed(node))
    makers.succeed(makers.claimed(node))
    running = makers.claimed(node)
    type(running).objects.filter(pk=running.pk).update(progress=42.5)

    body = owner_api.get(f"/tasks/{job.pk}/frames").json()

    assert body["total"] == 3
    assert [(frame["number"], frame["status"], frame["progress"]) for frame in body["frames"]] == [
        (1, "done", 100.0), (2, "running", 42.5), (3, "ready", 0.0),
    ]  # fmt: skip
    assert (body["frames"][0]["failures"], body["frames"][0]["step"]) == (1, "main")
    found = owner_api.get(f"/tasks/{job.pk}/frames/1/attempts").json()
    assert [attempt["status"] for attempt in found["attempts"]] == ["succeeded", "failed"]
    assert found["attempts"][1]["failure_code"] == "crashed"
    assert found["attempts"][0]["node"] == "node-1"
    for nothing in ("9/attempts", "1/attempts?step=other"):
        assert owner_api.get(f"/tasks/{job.pk}/frames/{nothing}").status_code == 404


def test_outputs_can_be_downloaded(
    owner_api: Client, anonymous: Client, owner: User, node: RenderNode
) -> None:
    job = makers.in_status(owner, Status.COMPLETED, node)

    body = owner_api.get(f"/tasks/{job.pk}/outputs").json()

    shown = [(each["step"], each["frame"], each["layer"], each["name"]) for each in body["outputs"]]
    assert shown == [("main", 1, "", "0001.png"), ("main", 2, "", "0002.png")]
    one = owner_api.get(f"/tasks/{job.pk}/outputs?step=main&frame=2").json()["outputs"]
    assert [each["name"] for each in one] == ["0002.png"]
    assert owner_api.get(f"/tasks/{job.pk}/outputs?step=other").json()["total"] == 0
    assert owner_api.get(f"/tasks/{job.pk}/outputs?frame=x").json()["errors"][0]["loc"] == ["query", "frame"]
    output = body["outputs"][0]
    assert (output["size"], output["width"], output["height"]) == (9, 64, 36)
    path = output["download_url"].removeprefix("http://testserver")
    answer: Any = anonymous.get(path)
    assert b"".join(answer.streaming_content) == b"picture 1"
    assert "attachment" in answer["Content-Disposition"]
    assert anonymous.get(output["preview_url"].removeprefix("http://testserver")).status_code == 200


@pytest.mark.parametrize("part", ["frames", "outputs", "logs"])
def test_parts_of_a_task_cost_the_same_however_many(
    owner_api: Client,
    owner: User,
    node: RenderNode,
    part: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    job = makers.queued(owner, frames="1-6")
    for _frame in range(6):
        makers.succeed(makers.claimed(node))
    path = f"/tasks/{job.pk}/{part}"
    owner_api.get(path)

    with django_assert_max_num_queries(5) as few:
        owner_api.get(f"{path}?limit=1")
    with django_assert_max_num_queries(5) as many:
        assert len(owner_api.get(path).json()[part]) >= 6
    assert len(few) == len(many)


# --- narrowed and ordered ---


def test_narrowed(owner_api: Client, owner: User, node: RenderNode) -> None:
    makers.draft(owner, task_name="Night 夜景", priority=3)
    makers.queued(owner, task_name="day")
    makers.draft(owner, task_name="night 2", engine="simulated")
    RenderJob.objects.filter(task_name="day").update(created_at="2026-01-02T12:00:00Z")

    def found(query: str) -> list[str]:
        return sorted(names(owner_api.get(f"/tasks?{query}")))

    assert found("search=NIGHT") == ["Night 夜景", "night 2"]
    assert found("search=夜") == ["Night 夜景"]
    assert found("engine=simulated") == ["night 2"]
    assert found("priority=3&engine=blender") == ["Night 夜景"]
    assert found("status=2,7") == ["day"]
    assert found("created_before=2026-01-03") == ["day"]
    assert found("created_after=2026-01-02T12:00:00Z&created_before=2026-01-02T12:00:01+00:00") == ["day"]
    assert found("created_after=2026-01-03") == ["Night 夜景", "night 2"]
    assert found("search=%25") == []


def test_ordered(owner_api: Client, owner: User, scene: File) -> None:
    for name, priority in (("b", 2), ("a", 1), ("c", 2)):
        makers.draft(owner, scene, task_name=name, priority=priority)
    assert names(owner_api.get("/tasks?ordering=task_name")) == ["a", "b", "c"]
    assert names(owner_api.get("/tasks?ordering=-priority")) == ["c", "b", "a"]
    assert names(owner_api.get("/tasks?ordering=-completed_at")) == ["c", "a", "b"]


@pytest.mark.parametrize(
    "query",
    [
        "ordering=user",
        "ordering=--status",
        "priority=9",
        "priority=x",
        "created_after=yesterday",
        "created_before=2026-02-31",
        "created_after=2026-01-01T25:00:00Z",
        "search=%00",
        "status=2,x",
    ],
)
def test_narrowings_that_are_not_taken(owner_api: Client, query: str) -> None:
    answer = owner_api.get(f"/tasks?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (
        422,
        ["query", query.partition("=")[0]],
    )


# --- frames and attempts, narrowed; logs; figures ---


def test_frames_and_attempts_by_status(owner_api: Client, owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-4")
    makers.fail(makers.claimed(node), is_permanent=True)
    makers.succeed(makers.claimed(node))

    path = f"/tasks/{job.pk}"
    assert [frame["number"] for frame in owner_api.get(f"{path}/frames?status=ready").json()["frames"]] == [
        3,
        4,
    ]
    assert owner_api.get(f"{path}/frames?step=main&status=failed").json()["total"] == 1
    assert owner_api.get(f"{path}/frames?step=other").json()["total"] == 0
    assert owner_api.get(f"{path}/frames?status=lost").status_code == 422
    every = owner_api.get(f"{path}/attempts").json()["attempts"]
    assert [(attempt["step"], attempt["frames"], attempt["status"]) for attempt in every] == [
        ("main", [2], "succeeded"), ("main", [1], "failed"),
    ]  # fmt: skip
    assert owner_api.get(f"{path}/attempts?status=failed").json()["total"] == 1
    assert owner_api.get(f"{path}/attempts?status=ready").status_code == 422


def test_the_log_of_an_attempt(
    owner_api: Client, stranger_api: Client, owner: User, node: RenderNode
) -> None:
    job = makers.queued(owner, frames="1")
    attempt = makers.claimed(node)
    attempts.renew(attempt_id=attempt.pk, progress=1, message="", log_tail="Fra:1 内存\n")
    path = f"/tasks/{job.pk}/attempts/{attempt.pk}/log"

    running = owner_api.get(path)
    assert (running.content.decode(), running["Content-Type"]) == (
        "Fra:1 内存\n",
        "text/plain; charset=utf-8",
    )
    usage = attempts.Usage(exit_code=3, log_tail="end", log_blob=store_chunks(["Fra:1 内存\nend\n".encode()]))
    attempts.fail(attempt_id=attempt.pk, failure=Failure("crashed", "It went."), usage=usage)

    whole: Any = owner_api.get(path)
    assert b"".join(whole.streaming_content).decode() == "Fra:1 内存\nend\n"
    assert whole["Content-Type"] == "text/plain; charset=utf-8"
    part: Any = owner_api.get(path, headers={"Range": "bytes=-4"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, b"end\n")
    [shown] = owner_api.get(f"/tasks/{job.pk}/attempts").json()["attempts"]
    linked: Any = Client().get(shown["log_url"].removeprefix("http://testserver"))
    assert b"".join(linked.streaming_content).endswith(b"end\n")
    other = makers.queued(owner)
    assert owner_api.get(f"/tasks/{other.pk}/attempts/{attempt.pk}/log").status_code == 404
    assert stranger_api.get(path).status_code == 404


def test_figures(owner_api: Client, owner: User, node: RenderNode) -> None:
    RenderNode.objects.update(cores=16)  # of four slots
    job = makers.queued(owner, frames="1-4")
    makers.fail(makers.claimed(node))
    for _frame in range(3):
        makers.succeed(makers.claimed(node))
    lost = makers.claimed(node)
    attempts.lose(attempt_id=lost.pk)
    job.attempts.update(ended_at=F("created_at") + timedelta(seconds=10), peak_memory_size=2**30)
    for number in (1, 2, 3):
        Frame.objects.filter(number=number, status="done").update(seconds=number)

    body = owner_api.get(f"/tasks/{job.pk}/statistics").json()

    assert body["frames"] == {"total": 4, "done": 3, "failed": 0, "open": 1}
    assert body["frame_seconds"] == {"min": 1.0, "mean": 2.0, "max": 3.0}
    assert body["slowest_frames"][0] == {"step": "main", "number": 3, "seconds": 3.0}
    assert body["attempts"] == {
        "total": 5,
        "running": 0,
        "succeeded": 3,
        "failed": 1,
        "lost": 1,
        "stopped": 0,
    }
    assert (body["retries"], body["wall_seconds"], body["core_seconds"]) == (1, 50.0, 200.0)
    assert (body["cpu_seconds"], body["peak_memory_size"]) == (4.5, 2**30)
    assert (body["estimated_cost"], body["actual_cost"], body["charged_frames"]) == (2.0, None, 0)
    assert body["elapsed_seconds"] > 0


def test_figures_of_a_draft(owner_api: Client, owner: User) -> None:
    body = owner_api.get(f"/tasks/{makers.draft(owner).pk}/statistics").json()
    assert body["frame_seconds"] == {"min": None, "mean": None, "max": None}
    assert (body["slowest_frames"], body["wall_seconds"], body["elapsed_seconds"]) == ([], 0.0, None)


@pytest.mark.parametrize("part", ["statistics", "attempts"])
def test_figures_and_attempts_cost_the_same_however_many(
    owner_api: Client,
    owner: User,
    node: RenderNode,
    part: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    job = makers.queued(owner, frames="1-6")
    makers.succeed(makers.claimed(node))
    path = f"/tasks/{job.pk}/{part}"
    with django_assert_max_num_queries(6) as few:
        owner_api.get(path)
    for _frame in range(5):
        makers.succeed(makers.claimed(node))
    with django_assert_max_num_queries(6) as many:
        owner_api.get(path)
    assert len(few) == len(many)
