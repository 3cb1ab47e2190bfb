"""Pause, resume, cancel and delete, in every state a job may be in."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from accounts.models import User
from drives.models import File
from rendering.models import Attempt, Frame, FrameOutput, RenderJob, RenderNode
from rendering.services import claims
from rendering.services.admission import advance_job
from rendering.services.jobs import pause_job, resume_job
from tests.conftest import Client
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status
ANY = ["clone", "delete"]
OPEN = ["set_priority", "set_dependencies", "cancel"]
ALLOWED = {
    Status.DRAFT: ["submit", "change", "resume", *OPEN, *ANY],
    Status.PENDING: [*OPEN, *ANY],
    Status.QUEUED: ["pause", "add_frames", *OPEN, *ANY],
    Status.RENDERING: ["pause", "add_frames", *OPEN, "clone"],
    Status.PAUSED: ["resume", "add_frames", *OPEN, *ANY],
    Status.COMPLETED: ["add_frames", *ANY],
    Status.FAILED: ["retry", "add_frames", *ANY],
    Status.CANCELLED: ANY,
}
STATUSES = {
    Status.DRAFT: ["cancelled", "pending"],
    Status.PENDING: ["cancelled", "draft", "queued"],
    Status.QUEUED: ["cancelled", "paused", "rendering"],
    Status.RENDERING: ["cancelled", "completed", "failed", "paused"],
    Status.PAUSED: ["cancelled", "queued"],
    Status.COMPLETED: ["queued"],
    Status.FAILED: ["queued"],
    Status.CANCELLED: [],
}
# Every action at the door: how it is asked for, and the states in which it goes.
ACTIONS: dict[str, tuple[str, str, Any]] = {
    "submit": ("post", "/submit", None),
    "change": ("patch", "", {"frames": "3-4"}),
    "pause": ("put", "/pause", None),
    "resume": ("put", "/resume", None),
    "approve": ("post", "/approve", None),
    "retry": ("post", "/retry", {}),
    "add_frames": ("post", "/frames", {"frames": "90"}),
    "set_priority": ("put", "/priority", {"priority": 2}),
    "set_dependencies": ("put", "/dependencies", {"depends_on": []}),
    "cancel": ("put", "/cancel", None),
    "clone": ("post", "/clone", {}),
    "delete": ("delete", "", None),
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
    assert (error["code"], error["status"]) == ("transition_not_allowed", status.name.lower())
    assert (error["allowed"], error["allowed_statuses"]) == (ALLOWED[status], STATUSES[status])
    assert snapshot() == before


# --- every action in every state ---


@pytest.mark.parametrize("status", Status)
def test_every_action_in_every_state(
    owner_api: Client, owner: User, node: RenderNode, status: Status
) -> None:
    """What a task says it allows goes, and nothing else does; a refusal changes nothing."""
    job = makers.in_status(owner, status, node)
    allowed = owner_api.get(f"/tasks/{job.pk}").json()["actions"]
    assert allowed == ALLOWED[status]
    for name, (method, path, body) in ACTIONS.items():
        before = snapshot()
        point = transaction.savepoint()
        answer = getattr(owner_api, method)(f"/tasks/{job.pk}{path}", body)
        if name in allowed:
            assert answer.status_code in (200, 201, 202), (name, answer.json())
            assert makers.audit() == {}, name
            transaction.savepoint_rollback(point)
            continue
        code = "job_running" if name == "delete" else "transition_not_allowed"
        assert (answer.status_code, answer.json()["code"]) == (409, code), name
        assert answer.json()["status"] == status.name.lower()
        assert answer.json()["allowed"] == allowed
        assert snapshot() == before, name


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

    error = answer.json()
    assert (answer.status_code, error["code"]) == (409, "job_running")
    assert (error["status"], error["allowed"]) == ("rendering", ALLOWED[Status.RENDERING])
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
        ("get", "/attempts"),
        ("get", "/attempts/01a20000-0000-7000-8000-000000000000/log"),
        ("get", "/statistics"),
        ("get", "/dependencies"),
        ("delete", "/dependencies/01a20000-0000-7000-8000-000000000000"),
        ("put", "/dependencies"),
        ("put", "/priority"),
        ("post", "/clone"),
        ("post", "/approve"),
        ("post", "/retry"),
        ("post", "/frames"),
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

    body = None if method == "get" else {"frames": "9", "priority": 1, "depends_on": []}
    answer = getattr(stranger_api, method)(f"/tasks/{job.pk}{path}", body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert getattr(anonymous, method)(f"/tasks/{job.pk}{path}").status_code == 401
    assert snapshot() == before


@pytest.mark.parametrize(
    "path", ["/tasks/none", "/tasks/7/pause", "/tasks/01a20000-0000-7000-8000-000000000000"]
)
def test_ids_of_nothing(owner_api: Client, path: str) -> None:
    assert owner_api.get(path).status_code == 404


def test_what_an_operator_paused_an_operator_resumes(
    owner_api: Client, owner: User, node: RenderNode
) -> None:
    job = makers.queued(owner)
    pause_job(job=job, reason=RenderJob.PauseReason.OPERATOR)
    assert job.pause_reason == "operator"
    before = snapshot()

    error = owner_api.put(f"/tasks/{job.pk}/resume")

    assert (error.status_code, error.json()["code"]) == (409, "paused_by_operator")
    assert error.json()["allowed"] == ["add_frames", *OPEN, *ANY]
    assert snapshot() == before
    assert resume_job(job=job, by_operator=True).status == Status.QUEUED


def test_an_owner_may_cancel_what_an_operator_paused(
    owner_api: Client, owner: User, node: RenderNode
) -> None:
    job = makers.queued(owner)
    pause_job(job=job, reason=RenderJob.PauseReason.OPERATOR)
    assert owner_api.put(f"/tasks/{job.pk}/cancel").json()["pause_reason"] == ""
    assert makers.money(owner)[1] == 0
