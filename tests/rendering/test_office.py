"""What operators do with tasks in the back office."""

from typing import Any

import pytest
from celery import current_app
from django.test import Client

from accounts.models import User
from accounts.permissions import StaffGroup
from rendering.messages import queue_of
from rendering.models import RenderJob, RenderNode
from rendering.services.jobs import pause_job
from tests.accounts.staff import act, office_of, operator, page
from tests.conftest import Client as ApiClient
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


@pytest.fixture
def office(db: None) -> Client:
    return office_of(operator("farm"))


def test_failed_frames_of_several_tasks_are_tried_again(
    office: Client, owner: User, node: RenderNode
) -> None:
    failed = makers.in_status(owner, Status.FAILED, node)
    draft = makers.draft(owner, task_name="a draft")

    act(office, "retry_failed", failed, draft)

    failed.refresh_from_db()
    draft.refresh_from_db()
    assert (failed.status, failed.failed_frames, draft.status) == (Status.QUEUED, 0, Status.DRAFT)
    assert "a draft: " in office.get(page(RenderJob, "changelist")).content.decode()
    assert makers.audit() == {}


def test_priority_is_raised_step_by_step(office: Client, owner: User, node: RenderNode) -> None:
    job, urgent = makers.queued(owner), makers.queued(owner, priority=3)
    act(office, "raise_priority", job, urgent)
    job.refresh_from_db()
    urgent.refresh_from_db()
    assert (job.priority, urgent.priority) == (2, 3)


def test_an_operator_resumes_what_an_operator_paused(office: Client, owner: User, node: RenderNode) -> None:
    job = makers.queued(owner)
    act(office, "pause", job)
    job.refresh_from_db()
    assert (job.status, job.pause_reason) == (Status.PAUSED, "operator")
    act(office, "resume", job)
    job.refresh_from_db()
    assert job.status == Status.QUEUED


def test_an_operator_takes_over_what_its_owner_has_paused(
    office: Client, owner: User, owner_api: ApiClient, node: RenderNode
) -> None:
    job = makers.queued(owner)
    assert owner_api.put(f"/tasks/{job.pk}/pause").status_code == 200

    act(office, "pause", job)

    answer = owner_api.put(f"/tasks/{job.pk}/resume")
    assert (answer.status_code, answer.json()["code"]) == (409, "paused_by_operator")
    act(office, "pause", job)
    act(office, "resume", job)
    job.refresh_from_db()
    assert (job.status, job.pause_reason) == (Status.QUEUED, "")


@pytest.mark.parametrize("group", [StaffGroup.FINANCE, StaffGroup.AUDITOR])
@pytest.mark.parametrize("action", ["retry_failed", "raise_priority", "resume"])
def test_others_may_not(owner: User, node: RenderNode, group: str, action: str) -> None:
    job = makers.queued(owner)
    pause_job(job=job, reason=RenderJob.PauseReason.OPERATOR)
    act(office_of(operator(group)), action, job)
    job.refresh_from_db()
    assert (job.status, job.priority) == (Status.PAUSED, 1)


def test_nodes_are_taken_out_and_let_in_again(office: Client, owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-3")
    makers.claimed(node)
    makers.claimed(node)
    shown = office.get(page(RenderNode, "changelist")).context["cl"].result_list
    assert [row.running_attempts for row in shown] == [2]
    for deed, state in (("drain", "draining"), ("disable", "disabled"), ("enable", "enabled")):
        act(office, deed, node)
        node.refresh_from_db()
        assert node.state == state
    act(office_of(operator(StaffGroup.AUDITOR)), "disable", node)
    node.refresh_from_db()
    assert node.state == "enabled"


def test_what_waits_for_a_node_goes_to_it_as_soon_as_it_is_let_in_again(
    office: Client, owner: User, node: RenderNode, django_capture_on_commit_callbacks: Any
) -> None:
    makers.queued(owner, frames="1-2")
    act(office, "disable", node)

    def messages() -> int:
        with current_app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            return int(channel.queue_declare(queue_of("blender")).message_count)

    before = messages()
    with django_capture_on_commit_callbacks(execute=True):
        act(office, "enable", node)
    assert messages() == before + 2


def test_tasks_are_narrowed(office: Client, owner: User, node: RenderNode) -> None:
    makers.draft(owner, task_name="not shown")
    job = makers.queued(owner, task_name="shown here")
    pause_job(job=job, reason=RenderJob.PauseReason.OPERATOR)
    query = {"status__exact": "4", "pause_reason__exact": "operator", "engine": "blender"}
    shown = office.get(page(RenderJob, "changelist"), query).content.decode()
    assert "shown here" in shown
    assert "not shown" not in shown
