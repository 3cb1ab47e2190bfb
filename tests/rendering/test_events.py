"""What the owner hears, read from the stream that sockets catch up from."""

import json
import threading
import time
from datetime import datetime
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks as Capture

from accounts.models import User
from common.realtime import connection, stream_of, take_aside
from rendering.models import Attempt, Frame, RenderJob, RenderNode, SceneReport
from rendering.services import attempts, news
from rendering.services.admission import advance_job
from rendering.services.jobs import cancel_job, pause_job, resume_job
from rendering.services.submitting import submit_job
from tests.conftest import Client
from tests.factories import put
from tests.racing import wait_for
from tests.rendering import makers

pytestmark = pytest.mark.django_db


def heard(user: User) -> list[dict[str, Any]]:
    entries: Any = connection().xrange(stream_of(user.pk))
    return [json.loads(fields[b"event"]) for _revision, fields in entries]


def of_kind(user: User, event: str) -> list[dict[str, Any]]:
    return [news["data"] for news in heard(user) if news["event"] == event]


@pytest.fixture
def life(owner: User, node: RenderNode, django_capture_on_commit_callbacks: Capture) -> RenderJob:
    """A job of two frames from its draft to its end; one frame fails once."""
    with django_capture_on_commit_callbacks(execute=True):
        job = makers.queued(owner, frames="1-2")
        makers.fail(makers.claimed(node))
        for _frame in range(2):
            makers.succeed(makers.claimed(node))
    job.refresh_from_db()
    return job


def test_every_event_of_a_life_in_order(owner: User, life: RenderJob) -> None:
    assert [event["event"] for event in heard(owner)] == [
        "task:log",  # created
        "task:log", "task:status",  # submitted
        "task:log", "task:status",  # queued
        "task:status",  # rendering
        "task:log",  # frame 1 failed; what its frames say after that waits for its turn
        "task:progress",
        "task:log",  # charged
        "task:log", "task:status", "task:completed",
    ]  # fmt: skip
    assert [data["status"] for data in of_kind(owner, "task:status")] == [
        "pending", "queued", "rendering", "completed",
    ]  # fmt: skip


def test_every_event_names_its_task_in_both_spellings(owner: User, life: RenderJob) -> None:
    for event in heard(owner):
        assert (event["data"]["task_id"], event["data"]["taskId"]) == (str(life.pk), str(life.pk))
        assert datetime.fromisoformat(event["data"]["timestamp"])


def test_bodies(owner: User, life: RenderJob) -> None:
    log = of_kind(owner, "task:log")
    assert {line["level"] for line in log} == {"INFO", "ERROR"}
    assert all(line["message"] == line["log"] for line in log)
    sent = {line["log_id"] for line in log}
    rest, _lines = take_aside(f"log:{life.pk}")
    assert sent < set(life.logs.values_list("id", flat=True))
    assert sum(line["count"] for line in log) + rest == life.logs.count()

    progress = of_kind(owner, "task:progress")[0]  # all is committed at once here, and it reads what is
    assert {name: progress[name] for name in ("progress", "done_frames", "total_frames", "current_frame")} == {
        "progress": 100, "done_frames": 2, "total_frames": 2, "current_frame": 1,
    }  # fmt: skip

    (completed,) = of_kind(owner, "task:completed")
    assert (completed["cost"], completed["output_folder"]) == (1.0, "/renders/shot")
    assert completed["result_files"] == ["0001.png", "0002.png"]
    assert completed["render_time"] >= 0
    assert of_kind(owner, "task:failed") == []


def test_a_task_that_failed(
    owner: User, node: RenderNode, django_capture_on_commit_callbacks: Capture
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        makers.queued(owner, frames="1-2")
        makers.succeed(makers.claimed(node))
        makers.fail(makers.claimed(node), "no_camera", is_permanent=True)

    (failed,) = of_kind(owner, "task:failed")
    assert (failed["error_message"], failed["failure_code"], failed["cost"]) == (
        "It went wrong: no_camera.", "no_camera", 0.5,
    )  # fmt: skip
    last = of_kind(owner, "task:status")[-1]
    assert (last["status"], last["failure_code"], last["progress"]) == ("failed", "no_camera", 100)
    assert of_kind(owner, "task:completed") == []


def test_pause_resume_cancel(
    owner: User, node: RenderNode, django_capture_on_commit_callbacks: Capture
) -> None:
    job = makers.queued(owner)
    with django_capture_on_commit_callbacks(execute=True):
        pause_job(job=job)
        resume_job(job=job)
        cancel_job(job=job)

    assert [data["status"] for data in of_kind(owner, "task:status")] == ["paused", "queued", "cancelled"]
    assert len(of_kind(owner, "task:log")) == 3


def test_a_refusal_that_shows_later(
    owner: User, node: RenderNode, django_capture_on_commit_callbacks: Capture
) -> None:
    file = put(owner, "/late.blend", b"BLENDER late")
    job = submit_job(job=makers.draft(owner, file))
    data = makers.REPORT | {"assets": [makers.asset("//wood.png")]}
    SceneReport.objects.update(status="ready", data=data)
    with django_capture_on_commit_callbacks(execute=True):
        advance_job(job_id=job.pk)

    (told,) = of_kind(owner, "task:status")
    assert (told["status"], told["failure_code"]) == ("draft", "missing_assets")
    assert told["failure_data"]["missing"][0]["expected_path"] == "/wood.png"
    assert told["message"]
    assert of_kind(owner, "task:log")[0]["level"] == "ERROR"


def test_what_is_rolled_back_is_not_heard(owner: User, node: RenderNode) -> None:
    """Nothing is committed in this test."""
    makers.queued(owner)
    assert heard(owner) == []


def test_nobody_else_hears_it(owner: User, stranger: User, life: RenderJob) -> None:
    assert heard(owner)
    assert heard(stranger) == []


# --- progress within a frame ---


def test_progress_within_a_frame_is_told_twice_a_second_at_most(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-4")

    for percent in range(100):
        news.tell_frame_progress(job, frame=2, percent=percent / 3)

    told = of_kind(owner, "task:progress")
    assert 1 <= len(told) <= 2
    assert (told[0]["current_frame"], told[0]["frame_progress"], told[0]["progress"]) == (2, 0.0, 0)


def test_jobs_take_their_turns_apart(owner: User, node: RenderNode) -> None:
    for _number in range(3):
        news.tell_frame_progress(makers.queued(owner), frame=1, percent=5)
    assert len(of_kind(owner, "task:progress")) == 3


def test_progress_within_a_frame_does_not_go_back_behind_other_nodes(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-4")
    mine = makers.claimed(node)
    for _frame in range(2):
        makers.succeed(makers.claimed(node))

    news.tell_frame_progress(mine.job, frame=1, percent=10)

    assert of_kind(owner, "task:progress")[-1]["progress"] == 50


# --- bursts ---


@pytest.mark.django_db(transaction=True)
def test_of_a_burst_two_a_second_are_told_and_always_the_last(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-100")
    connection().delete(stream_of(owner.pk))
    began = time.monotonic()
    for frame in range(1, 101):
        RenderJob.objects.filter(pk=job.pk).update(done_frames=frame)
        news.tell_progress(job, frame=frame)
        news.log_frames(job, [news.Line(f"frame {frame}")])
    seconds = time.monotonic() - began
    wait_for(lambda: not connection().keys("*:word:*"))
    wait_for_threads()

    told = of_kind(owner, "task:progress")
    shown = [data["progress"] for data in told]
    assert (told[-1]["done_frames"], told[-1]["current_frame"]) == (100, 100)
    assert shown == sorted(shown)
    lines = [data for data in of_kind(owner, "task:log") if data["message"].startswith("frame ")]
    assert sum(data["count"] for data in lines) == 100
    # Turns are half a second apart; who has one may be slow to tell.
    assert max(len(told), len(lines)) <= 2 * seconds + 2
    assert job.logs.filter(message__startswith="frame ").count() == 100


def wait_for_threads() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("last-word"):
            thread.join(5)


# --- outlook ---


def test_running_frames_count_with_their_part_and_nothing_goes_back(
    owner: User, owner_api: Client, node: RenderNode
) -> None:
    job = makers.queued(owner, frames="1-4")

    def shown() -> dict[str, Any]:
        answer: dict[str, Any] = owner_api.get(f"/tasks/{job.pk}").json()
        return answer

    assert (shown()["progress"], shown()["queue_position"], shown()["estimated_seconds"]) == (0, 0, None)
    first, second = makers.claimed(node), makers.claimed(node)
    Attempt.objects.filter(pk=first.pk).update(progress=60)
    Attempt.objects.filter(pk=second.pk).update(progress=20)
    assert shown()["progress"] == 20
    assert shown()["running"] == [
        {"step": "main", "number": 1, "progress": 60.0}, {"step": "main", "number": 2, "progress": 20.0},
    ]  # fmt: skip
    attempts.lose(attempt_id=first.pk)
    assert (shown()["progress"], len(shown()["running"])) == (20, 1)
    makers.succeed(second)
    Frame.objects.filter(number=2).update(seconds=10)
    assert (shown()["progress"], shown()["estimated_seconds"]) == (25, 30)
    third, fourth = makers.claimed(node), makers.claimed(node)
    assert (third.pk != fourth.pk, shown()["estimated_seconds"]) == (True, 15)
    pause_job(job=job)
    paused = shown()
    assert (paused["progress"], paused["queue_position"], paused["estimated_seconds"]) == (25, None, None)


def test_several_frames_of_an_attempt_share_its_progress(
    owner: User, owner_api: Client, node: RenderNode
) -> None:
    job = makers.queued(owner, frames="1-10")
    RenderJob.objects.filter(pk=job.pk).update(chunk_size=5)
    attempt = makers.claimed(node)
    Attempt.objects.filter(pk=attempt.pk).update(progress=50)
    shown = owner_api.get(f"/tasks/{job.pk}").json()
    assert (shown["progress"], shown["running"]) == (25, [{"step": "main", "number": 3, "progress": 50.0}])


def test_the_place_in_the_queue(owner: User, owner_api: Client, stranger: User, node: RenderNode) -> None:
    mine = makers.queued(owner, frames="1-3")
    makers.queued(stranger, frames="1-7", priority=2)
    makers.queued(stranger, frames="1-5", priority=0)
    later = makers.queued(owner, frames="1-2")

    def place(job: RenderJob) -> int | None:
        position: int | None = owner_api.get(f"/tasks/{job.pk}").json()["queue_position"]
        return position

    assert (place(mine), place(later)) == (7, 10)
    cancel_job(job=mine)
    assert (place(mine), place(later)) == (None, 7)
