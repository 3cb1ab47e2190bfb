"""Pause, resume, cancel and delete, in every state a job may be in."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from drives.models import File
from rendering.models import Attempt, Frame, FrameOutput, RenderJob, RenderNode
from rendering.services import claims
from rendering.services.admission import advance_job
from rendering.services.jobs import cancel_job, pause_job, resume_job
from tests.conftest import Client
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status
ALLOWED = {
    Status.DRAFT: ["cancelled", "pending"],
    Status.PENDING: ["cancelled", "draft", "queued"],
    Status.QUEUED: ["cancelled", "paused", "rendering"],
    Status.RENDERING: ["cancelled", "completed", "failed", "paused"],
    Status.PAUSED: ["cancelled", "queued"],
    Status.COMPLETED: ["queued"],
    Status.FAILED: ["queued"],
    Status.CANCELLED: [],
}


def others(*statuses: Status) -> list[Status]:
    return [status for status in Status if status not in statuses]


def snapshot() -> list[list[Any]]:
    models: tuple[Any, ...] = (RenderJob, Frame, Attempt)
    return [list(model.objects.order_by("pk").values()) for model in models]


def assert_refused(client: Client, method: str, path: str, status: Status) -> None:
    before = snapshot()
    answer = getattr(client, method)(path)
    assert answer.status_code == 409
    error = answer.json()
    assert (error["code"], error["status"], error["allowed"]) == (
        "transition_not_allowed", status.name.lower(), ALLOWED[status],
    )  # fmt: skip
    assert snapshot() == before


# --- pause ---


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RENDERING])
def test_pause(owner_api: Client, owner: User, node: RenderNode, status: Status) -> None:
    job = makers.in_status(owner, status, node)
    money = makers.money(owner)

    answer = owner_api.put(f"/tasks/{job.pk}/pause")

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["pause_reason"]) == (4, "user")
    assert set(Frame.objects.values_list("status", flat=True)) == {"ready"}
    assert not Attempt.objects.filter(status="running").exists()
    assert makers.money(owner) == money
    assert claims.claim(node=node, engine="blender") is None
    assert makers.audit() == {}


@pytest.mark.parametrize("status", others(Status.QUEUED, Status.RENDERING))
def test_no_pause(owner_api: Client, owner: User, node: RenderNode, status: Status) -> None:
    job = makers.in_status(owner, status, node)
    assert_refused(owner_api, "put", f"/tasks/{job.pk}/pause", status)


def test_a_pause_keeps_what_is_rendered(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-2")
    makers.succeed(makers.claimed(node))
    makers.claimed(node)

    pause_job(job=job)

    assert list(Frame.objects.order_by("number").values_list("status", "failures", "losses")) == [
        ("done", 0, 0), ("ready", 0, 0),
    ]  # fmt: skip
    assert Attempt.objects.get(frames__number=2).status == "stopped"


# --- resume ---


def test_resume(owner_api: Client, owner: User, node: RenderNode) -> None:
    job = makers.in_status(owner, Status.PAUSED, node)

    answer = owner_api.put(f"/tasks/{job.pk}/resume")

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["pause_reason"]) == (2, "")
    assert makers.frame_of(makers.claimed(node)) == 1


def test_resume_goes_on_where_the_job_was(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-3")
    makers.succeed(makers.claimed(node))
    pause_job(job=job)
    resume_job(job=job)
    for _frame in range(2):
        makers.succeed(makers.claimed(node))

    job.refresh_from_db()
    assert (job.status, job.done_frames, job.actual_cost) == (Status.COMPLETED, 3, Decimal("1.5"))
    assert makers.audit() == {}


def test_resume_submits_a_draft(owner_api: Client, owner: User, node: RenderNode) -> None:
    """The desktop client knows no other word for it."""
    job = makers.draft(owner)

    answer = owner_api.put(f"/tasks/{job.pk}/resume")

    assert (answer.status_code, answer.json()["status"]) == (200, 1)
    advance_job(job_id=job.pk)
    job.refresh_from_db()
    assert job.status == Status.QUEUED


def test_resume_of_a_draft_that_cannot_be_paid(owner_api: Client, owner: User, node: RenderNode) -> None:
    job = makers.draft(owner, frames="1-5000")
    answer = owner_api.put(f"/tasks/{job.pk}/resume")
    assert (answer.status_code, answer.json()["code"]) == (402, "insufficient_balance")


@pytest.mark.parametrize("status", others(Status.DRAFT, Status.PAUSED))
def test_no_resume(owner_api: Client, owner: User, node: RenderNode, status: Status) -> None:
    job = makers.in_status(owner, status, node)
    assert_refused(owner_api, "put", f"/tasks/{job.pk}/resume", status)


# --- cancel ---


@pytest.mark.parametrize(
    "status", [Status.DRAFT, Status.PENDING, Status.QUEUED, Status.RENDERING, Status.PAUSED]
)
@pytest.mark.parametrize("body", [None, {}])
def test_cancel(
    owner_api: Client, owner: User, node: RenderNode, status: Status, body: dict[str, Any] | None
) -> None:
    balance, _held = makers.money(owner)
    job = makers.in_status(owner, status, node)

    answer = owner_api.put(f"/tasks/{job.pk}/cancel", body)

    assert (answer.status_code, answer.json()["status"], answer.json()["pause_reason"]) == (200, 7, "")
    assert answer.json()["completed_at"] is not None
    assert makers.money(owner) == (balance, 0)
    assert not Frame.objects.exclude(status="cancelled").exists()
    assert not Attempt.objects.filter(status="running").exists()
    assert makers.audit() == {}


def test_cancel_charges_what_is_rendered(owner_api: Client, owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1-10")
    for _frame in range(3):
        makers.succeed(makers.claimed(node))
    makers.claimed(node)

    task = owner_api.put(f"/tasks/{job.pk}/cancel").json()

    assert (task["actual_cost"], task["done_frames"], task["progress"]) == (1.5, 3, 30)
    assert makers.money(owner) == (balance - Decimal("1.5"), 0)
    assert FrameOutput.objects.count() == 3
    assert sorted(Frame.objects.values_list("status", flat=True)) == ["cancelled"] * 7 + ["done"] * 3


@pytest.mark.parametrize("status", RenderJob.FINAL_STATUSES)
def test_no_cancel(owner_api: Client, owner: User, node: RenderNode, status: Status) -> None:
    job = makers.in_status(owner, status, node)
    assert_refused(owner_api, "put", f"/tasks/{job.pk}/cancel", status)


# --- delete ---


@pytest.mark.parametrize("status", others(Status.RENDERING))
def test_delete(owner_api: Client, owner: User, node: RenderNode, status: Status) -> None:
    job = makers.in_status(owner, status, node)
    paid = makers.money(owner)[0]

    answer = owner_api.delete(f"/tasks/{job.pk}")

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert owner_api.get("/tasks").json()["total"] == 0
    for path in ("", "/logs", "/frames", "/outputs", "/report", "/estimate"):
        assert owner_api.get(f"/tasks/{job.pk}{path}").status_code == 404
    assert owner_api.delete(f"/tasks/{job.pk}").status_code == 404
    job.refresh_from_db()
    assert job.status in RenderJob.FINAL_STATUSES
    assert makers.money(owner) == (paid, 0)
    assert claims.claim(node=node, engine="blender") is None
    assert makers.audit() == {}


def test_results_stay(owner_api: Client, owner: User, node: RenderNode) -> None:
    job = makers.in_status(owner, Status.COMPLETED, node)

    owner_api.delete(f"/tasks/{job.pk}")

    assert File.objects.living().filter(folder__path="/renders/shot").count() == 2
    assert Attempt.objects.count() == 2


def test_no_delete_while_it_renders(owner_api: Client, owner: User, node: RenderNode) -> None:
    job = makers.in_status(owner, Status.RENDERING, node)
    before = snapshot()

    answer = owner_api.delete(f"/tasks/{job.pk}")

    assert (answer.status_code, answer.json()["code"]) == (409, "job_running")
    assert snapshot() == before


# --- other people's ---


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("delete", ""),
        ("post", "/submit"),
        ("put", "/pause"),
        ("put", "/resume"),
        ("put", "/cancel"),
        ("get", "/logs"),
        ("get", "/frames"),
        ("get", "/frames/1/attempts"),
        ("get", "/outputs"),
        ("get", "/report"),
        ("get", "/estimate"),
    ],
)
@pytest.mark.parametrize("status", [Status.DRAFT, Status.RENDERING, Status.PAUSED])
def test_other_peoples_jobs_are_not_there(
    owner: User,
    stranger_api: Client,
    anonymous: Client,
    node: RenderNode,
    status: Status,
    method: str,
    path: str,
) -> None:
    job = makers.in_status(owner, status, node)
    before = snapshot()

    answer = getattr(stranger_api, method)(f"/tasks/{job.pk}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert getattr(anonymous, method)(f"/tasks/{job.pk}{path}").status_code == 401
    assert snapshot() == before


@pytest.mark.parametrize(
    "path", ["/tasks/none", "/tasks/7/pause", "/tasks/01a20000-0000-7000-8000-000000000000"]
)
def test_ids_of_nothing(owner_api: Client, path: str) -> None:
    assert owner_api.get(path).status_code == 404


def test_a_pause_of_the_operator_has_its_reason(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner)
    pause_job(job=job, reason=RenderJob.PauseReason.OPERATOR)
    assert job.pause_reason == "operator"
    cancel_job(job=job)
    assert job.pause_reason == ""
