"""Test frames first: the first, the middle and the last, then their owner's word."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import Notification, User
from common.errors import TransitionNotAllowed
from rendering.models import Frame, RenderJob, RenderNode
from rendering.services import claims, closing
from rendering.services.jobs import approve_job
from rendering.services.reopening import retry_frames
from tests.conftest import Client
from tests.racing import race
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status
Commits = Callable[[], AbstractContextManager[Any]]


@pytest.fixture
def commits(django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Commits:
    return partial(django_capture_on_commit_callbacks, execute=True)


def ready(job: RenderJob) -> list[tuple[str, int]]:
    rows = Frame.objects.filter(job=job, status="ready").order_by("step__name", "number")
    return list(rows.values_list("step__name", "number"))


def on_trial(owner: User, node: RenderNode, **wishes: Any) -> RenderJob:
    """A job of ten frames whose test frames are over."""
    job = makers.queued(owner, frames="1-10", test_frames=True, **wishes)
    for _frame in range(3):
        makers.succeed(makers.claimed(node))
    job.refresh_from_db()
    assert (job.status, job.pause_reason) == (Status.PAUSED, "approval")
    return job


def test_first_middle_and_last_of_each_step(owner: User, node: RenderNode) -> None:
    file = makers.scene(owner, cameras=["a", "b"])
    job = makers.queued(owner, file, frames="1-10", cameras=["a", "b"], test_frames=True)
    assert ready(job) == [("a", 1), ("a", 6), ("a", 10), ("b", 1), ("b", 6), ("b", 10)]
    assert Frame.objects.filter(job=job, status="waiting").count() == 14


@pytest.mark.parametrize("door", ["post /approve", "put /resume"])
def test_the_rest_waits_for_approval(
    owner_api: Client, owner: User, node: RenderNode, commits: Commits, door: str
) -> None:
    job = on_trial(owner, node)
    assert claims.claim(node=node, engine="blender") is None
    news = Notification.objects.get(user=owner)
    assert (news.params, news.action_url) == ({"task": "shot"}, f"/tasks/{job.pk}")
    task = owner_api.get(f"/tasks/{job.pk}").json()
    assert {"approve", "resume", "cancel"} <= set(task["actions"])

    method, path = door.split()
    with commits():
        task = getattr(owner_api, method)(f"/tasks/{job.pk}{path}").json()

    assert (task["status"], task["pause_reason"]) == (2, "")
    assert task["approved_at"] is not None
    assert len(ready(job)) == 7
    for _frame in range(7):
        makers.succeed(makers.claimed(node))
    job.refresh_from_db()
    assert (job.status, job.actual_cost) == (Status.COMPLETED, 5)
    assert makers.audit() == {}


def test_a_cancel_charges_the_test_frames(owner_api: Client, owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    job = on_trial(owner, node)
    assert owner_api.put(f"/tasks/{job.pk}/cancel").json()["actual_cost"] == 1.5
    assert makers.money(owner) == (balance - Decimal("1.5"), 0)
    assert Frame.objects.filter(status="cancelled").count() == 7
    assert makers.audit() == {}


def test_a_job_of_test_frames_alone_is_completed(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-2", test_frames=True)
    for _frame in range(2):
        makers.succeed(makers.claimed(node))
    job.refresh_from_db()
    assert job.status == Status.COMPLETED


def test_a_test_frame_that_failed_is_tried_again_before_approval(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-10", test_frames=True)
    makers.fail(makers.claimed(node), is_permanent=True)
    for _frame in range(2):
        makers.succeed(makers.claimed(node))
    job.refresh_from_db()
    assert (job.pause_reason, job.failed_frames) == ("approval", 1)

    job = retry_frames(job=job)

    assert (job.status, ready(job)) == (Status.QUEUED, [("main", 1)])
    makers.succeed(makers.claimed(node))
    job.refresh_from_db()
    assert (job.status, job.pause_reason) == (Status.PAUSED, "approval")
    assert makers.audit() == {}


def test_further_frames_wait_for_approval_too(
    owner_api: Client, owner: User, node: RenderNode, commits: Commits
) -> None:
    job = on_trial(owner, node)
    with commits():
        task = owner_api.post(f"/tasks/{job.pk}/frames", {"frames": "11"}).json()
    assert (task["status"], task["pause_reason"], ready(job)) == (4, "approval", [])
    with commits():
        owner_api.post(f"/tasks/{job.pk}/approve")
    assert len(ready(job)) == 8
    assert makers.audit() == {}


def test_nothing_to_approve(owner_api: Client, owner: User, node: RenderNode) -> None:
    job = makers.in_status(owner, Status.PAUSED, node)
    answer = owner_api.post(f"/tasks/{job.pk}/approve")
    assert (answer.status_code, answer.json()["code"]) == (409, "transition_not_allowed")
    assert "approve" not in answer.json()["allowed"]
    job.refresh_from_db()
    assert (job.status, job.approved_at) == (Status.PAUSED, None)


def test_a_pause_that_nobody_made_is_made(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-10", test_frames=True)
    Frame.objects.filter(status="ready").update(status="failed")
    RenderJob.objects.update(failed_frames=3)
    closing.close_overdue()
    job.refresh_from_db()
    assert (job.status, job.pause_reason) == (Status.PAUSED, "approval")


@pytest.mark.django_db(transaction=True)
def test_approved_by_four_at_once(owner: User, node: RenderNode) -> None:
    job = on_trial(owner, node)
    copies = [RenderJob.objects.get(pk=job.pk) for _number in range(4)]

    def approve(number: int) -> bool:
        try:
            approve_job(job=copies[number])
        except TransitionNotAllowed:
            return False
        return True

    assert sum(race(4, approve)) == 1
    assert len(ready(job)) == 7
