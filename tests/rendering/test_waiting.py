"""Why a job waits, and who is woken for it."""

from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone

from accounts.models import User
from rendering.messages import queue_of
from rendering.models import ConcurrencyLimit, Frame, JobDependency, JobLog, NodeBlock, RenderJob, RenderNode
from rendering.selectors import waiting_reason
from rendering.services import claims, limits
from rendering.services.dispatch import dispatch, tell_stranded
from rendering.tasks import tend
from tests.conftest import Client
from tests.rendering import makers

pytestmark = pytest.mark.django_db
GIB = 1 << 30


def code_of(job: RenderJob, **fields: Any) -> str:
    RenderJob.objects.filter(pk=job.pk).update(**fields)
    job.refresh_from_db()
    reason = waiting_reason(job)
    return reason.code if reason else ""


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "queue"),
        ({"engine": "maya"}, "no_node"),
        ({"engine_version": "4.2"}, "no_version"),
        ({"min_cores": 64}, "no_cores"),
        ({"min_memory_size": 64 * GIB}, "no_memory"),
        ({"node_tags": ["gpu"]}, "no_tags"),
        ({"status": RenderJob.Status.PAUSED, "pause_reason": "user"}, ""),
    ],
)
def test_what_a_job_waits_for(owner: User, node: RenderNode, fields: dict[str, Any], code: str) -> None:
    RenderNode.objects.filter(pk=node.pk).update(cores=8, memory_size=32 * GIB)
    assert code_of(makers.queued(owner), **fields) == code


def test_the_reason_ends_when_it_renders(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-2")
    attempt = makers.claimed(node)
    assert code_of(job) == ""
    RenderNode.objects.update(state="draining")
    makers.fail(attempt)
    assert code_of(job) == "no_node"


def test_a_blocked_node_is_none(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner)
    NodeBlock.objects.create(job=job, node=node)
    assert code_of(job) == "no_unblocked_node"


def test_limits_are_named(owner: User, stranger: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1")
    makers.claimed(node)
    job = makers.queued(owner)
    limits.limit_licence(key="blender", maximum=1)
    assert code_of(job) == "limit_licence"
    limits.limit_licence(key="blender", maximum=None)
    ConcurrencyLimit.objects.filter(kind="user").update(maximum=1)
    assert code_of(job) == "limit_user"
    assert code_of(makers.queued(stranger)) == "queue"


def test_frames_that_wait_and_frames_that_are_not_due(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-2")
    due = timezone.now() + timedelta(minutes=1)
    Frame.objects.update(due_at=due)
    reason = waiting_reason(job)
    assert reason is not None
    assert (reason.code, reason.until) == ("not_due", due)
    Frame.objects.update(status="waiting")
    assert code_of(job) == "approval"
    JobDependency.objects.create(job=job, on=makers.queued(owner))
    assert code_of(job) == "dependency"


def test_the_owner_is_told_once_that_no_node_can_do_it(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner)
    RenderJob.objects.update(
        node_tags=["gpu"], submitted_at=timezone.now() - timedelta(minutes=1), updated_at=timezone.now()
    )
    tend()
    assert not JobLog.objects.filter(job=job, log_level="WARNING").exists()
    RenderJob.objects.update(updated_at=timezone.now() - timedelta(minutes=1))
    for _time in range(2):
        tend()
    assert JobLog.objects.filter(job=job, log_level="WARNING").count() == 1
    RenderNode.objects.update(state="disabled")
    tend()
    assert JobLog.objects.filter(job=job, log_level="WARNING").count() == 2


def test_a_stranded_job_does_not_hide_those_behind_it(
    owner: User, node: RenderNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rendering.services.dispatch.LOOKED_AT", 1)
    for _number in range(3):
        makers.queued(owner)
    long_ago = timezone.now() - timedelta(minutes=1)
    RenderJob.objects.update(node_tags=["gpu"], submitted_at=long_ago, updated_at=long_ago)

    told = JobLog.objects.filter(log_level="WARNING").values("job").distinct()
    for _look in range(500):
        tell_stranded("blender")
        if told.count() == 3:
            break
    assert told.count() == 3


def test_the_owner_is_told_that_no_node_has_the_memory_to_try_again(
    owner_api: Client, owner: User, node: RenderNode
) -> None:
    RenderNode.objects.update(memory_size=16 * GIB, slots=1)
    node.refresh_from_db()
    large = RenderNode.objects.create(
        name="large",
        host="other",
        memory_size=64 * GIB,
        engines={"blender": ["5.0.1"]},
        heartbeat_at=timezone.now(),
    )
    job = makers.queued(owner, frames="1-2")

    def waiting() -> Any:
        return owner_api.get(f"/tasks/{job.pk}").json()["waiting"]

    assert waiting()["code"] == "queue"
    attempt = makers.claimed(node)
    assert waiting() is None
    makers.fail(attempt, "out_of_memory")
    RenderNode.objects.filter(pk=large.pk).update(state="disabled")
    assert waiting()["code"] == "queue"  # the second frame has not run out of it
    makers.succeed(makers.claimed(node))

    assert claims.claim(node=node, engine="blender") is None
    reason = waiting()
    assert (reason["code"], reason["until"]) == ("no_memory", None)
    assert "34.36 GB" in reason["message"]
    long_ago = timezone.now() - timedelta(minutes=1)
    RenderJob.objects.update(submitted_at=long_ago, updated_at=long_ago)
    for _time in range(2):
        tend()
    [line] = JobLog.objects.filter(job=job, message__contains="34.36 GB")
    assert line.log_level == "WARNING"
    RenderNode.objects.update(state="enabled")
    assert waiting()["code"] == "queue"
    assert makers.frame_of(makers.claimed(large)) == 1


# --- Who is woken -----------------------------------------------------------------------------------------


def woken() -> int:
    """Messages for slots that came since the last look."""
    with current_app.connection_for_read() as broker:
        channel: Any = broker.default_channel
        count: int = channel.queue_declare(queue_of("blender")).message_count
        channel.queue_purge(queue_of("blender"))
    return count


def test_as_many_slots_are_woken_as_there_are_frames(owner: User, node: RenderNode) -> None:
    woken()
    makers.queued(owner, frames="1-2")
    dispatch("blender")
    assert woken() == 2
    makers.queued(owner, frames="1-10")
    dispatch("blender")
    assert woken() == node.slots


def test_nobody_is_woken_for_frames_that_nobody_gets(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-2")
    woken()
    Frame.objects.update(due_at=timezone.now() + timedelta(minutes=1))
    dispatch("blender")
    assert woken() == 0
    Frame.objects.update(due_at=timezone.now())
    ConcurrencyLimit.objects.filter(kind="user").update(maximum=0)
    dispatch("blender")
    assert woken() == 0
    ConcurrencyLimit.objects.filter(kind="user").update(maximum=1)
    dispatch("blender")
    assert woken() == 2


def test_all_are_woken_where_one_alone_can_do_it(owner: User, node: RenderNode) -> None:
    assert makers.queued(owner, frames="1").engine_version == "5.0.1"
    woken()
    dispatch("blender")
    assert woken() == 1
    RenderNode.objects.create(
        name="older", host="h", slots=2, engines={"blender": ["4.2"]}, heartbeat_at=timezone.now()
    )
    dispatch("blender")
    assert woken() == node.slots + 2
