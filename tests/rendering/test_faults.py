"""The hard promises, on a real platform: whatever dies, each frame is rendered once and paid for once."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from common import processes
from tests.rendering.farm import (
    SCENES,
    Artist,
    Farm,
    processes_of,
    renderers,
    wait_until,
    wrapped_engines,
)

# The first test waits for a platform that makes its database.
pytestmark = [pytest.mark.xdist_group("farm"), pytest.mark.timeout(400)]
# `make soak` takes its time: a storage that is away for half a minute, a process for each of a thousand frames. It may
# run beside other work, and must see a frame while it is under way.
IS_SOAK = bool(os.environ.get("SOAK"))
AWAY_SECONDS = 30 if IS_SOAK else 3
CHUNK = 1 if IS_SOAK else 200
LONGER = 3 if IS_SOAK else 1
# Of slow.blend, on two cores: frames of three seconds or so. Where the renderer does not matter it is simulated.
SAMPLES = {"samples": 1400 * LONGER}
SHORT = {"samples": 500 * LONGER}


def simulated(seconds: float) -> dict[str, Any]:
    """Frames that take so long, or longer."""
    return {"engine": "simulated", "engine_options": {"seconds": seconds * LONGER}}


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    folder = tmp_path_factory.mktemp("farm")
    engines = str(wrapped_engines(folder / "engines"))
    farm = Farm(folder / "var", YUNTU_ENGINES=engines, TRIAL_CREDIT="1000")
    try:
        yield farm.wait_until_ready()
    finally:
        farm.remove()


@pytest.fixture
def artist(farm: Farm) -> Artist:
    return Artist(farm)


def gone(attempt: str) -> bool:
    return not processes_of(attempt)


# --- Watching -----------------------------------------------------------------------------------------------


def test_progress_arrives_while_the_frame_is_rendering(artist: Artist) -> None:
    with artist.listening() as ear:
        task = artist.submit(frames="1", engine_options=SAMPLES)
        artist.wait_for_status(task, "completed")
        wait_until(lambda: ear.statuses(task)[-1:] == ["completed"], 5, "the end is told")
        # The last word of a burst has its turn after that.
        wait_until(
            lambda: [
                1 for _moment, data in ear.events("task:progress", task) if "frame_progress" not in data
            ],
            5,
            "the last progress is told",
        )
    live = [(moment, data) for moment, data in ear.events("task:progress", task) if "frame_progress" in data]
    [over] = [moment for moment, data in ear.events("task:progress", task) if "frame_progress" not in data]
    before = [data["frame_progress"] for moment, data in live if moment < over]
    assert len(before) >= 3
    assert before == sorted(before)
    assert before[0] < 60
    [attempt] = artist.farm.attempts(task)
    assert live[0][0] < attempt["ended_at"].timestamp() - 0.5
    # At most two a second, however close together they arrive here.
    assert len(live) <= 2 * (attempt["ended_at"] - attempt["created_at"]).total_seconds() + 1
    assert ear.statuses(task) == ["pending", "queued", "rendering", "completed"]


# --- The owner's hand ---------------------------------------------------------------------------------------


def test_cancel_ends_the_process_tree_and_charges_what_was_rendered(artist: Artist) -> None:
    before = artist.call("GET", "/users/balance")
    task = artist.submit(frames="1-3", engine_options=SHORT)
    attempt = artist.wait_for_mid_frame(task, 2)
    # The shell, Blender, and what left the session.
    assert len(processes_of(attempt["id"])) == 3
    artist.call("PUT", f"/tasks/{task}/cancel")
    wait_until(lambda: gone(attempt["id"]), 20, "the tree is gone")
    assert {number: frame["status"] for number, frame in artist.frames(task).items()} == {
        1: "done",
        2: "cancelled",
        3: "cancelled",
    }
    artist.assert_charged_once(task, frames=1)
    after = artist.call("GET", "/users/balance")
    assert after["available"] == before["available"] - 0.5


def test_pause_ends_the_process_and_resume_renders_the_rest(artist: Artist) -> None:
    task = artist.submit(frames="1-2", **simulated(1.5))
    attempt = artist.wait_for_mid_frame(task, 2)
    artist.call("PUT", f"/tasks/{task}/pause")
    wait_until(lambda: gone(attempt["id"]), 20, "the tree is gone")
    assert artist.task(task)["status_name"] == "paused"
    assert artist.call("GET", "/users/balance")["held"] == 1
    time.sleep(1.5)  # long enough for the schedule to do what it must not
    assert len(artist.farm.attempts(task)) == 2
    artist.call("PUT", f"/tasks/{task}/resume")
    artist.wait_for_status(task, "completed")
    rows = [(row["number"], row["status"]) for row in artist.farm.attempts(task)]
    assert rows == [(1, "succeeded"), (2, "stopped"), (2, "succeeded")]
    artist.assert_charged_once(task, frames=2)


# --- Messages -----------------------------------------------------------------------------------------------


def test_repeated_messages_render_nothing_twice(artist: Artist) -> None:
    task = artist.submit(frames="1-4", **simulated(0.5))
    over = threading.Event()

    def pester() -> None:
        while not over.wait(0.5):
            for _copy in range(5):
                artist.farm.send("fill_slot", "simulated", queue="render.simulated")
            for _copy in range(2):
                artist.farm.send("tend", queue="default")

    thread = threading.Thread(target=pester)
    thread.start()
    try:
        artist.wait_for_status(task, "completed")
    finally:
        over.set()
        thread.join()
    rows = [(row["number"], row["status"]) for row in artist.farm.attempts(task)]
    assert sorted(rows) == [(number, "succeeded") for number in range(1, 5)]
    artist.assert_charged_once(task, frames=4)


# --- Deaths -------------------------------------------------------------------------------------------------


def test_a_killed_node_comes_back_and_renders_the_frame_again(artist: Artist, farm: Farm) -> None:
    task = artist.submit(frames="1", engine_options=SAMPLES)
    attempt = artist.wait_for_mid_frame(task)
    killed = farm.kill("node")
    wait_until(lambda: gone(attempt["id"]), 2, "its renderer dies with it")
    artist.wait_for_status(task, "completed")
    assert farm.pid_of("node") not in (0, killed)
    assert [row["status"] for row in farm.attempts(task)] == ["lost", "succeeded"]
    assert artist.frames(task)[1]["losses"] == 1
    artist.assert_charged_once(task, frames=1)
    assert renderers(farm.layout.node) == set()


def test_a_killed_worker_leaves_no_scene_unread(artist: Artist, farm: Farm) -> None:
    scene = artist.upload(SCENES / "script.blend")[0]
    task = artist.call("POST", "/tasks", json={"task_name": "job", "scene_file_id": scene})["id"]
    [report] = farm.ask(
        """SELECT r.id::text FROM rendering_scenereport r JOIN drives_file f ON f.blob_id = r.blob_id
            WHERE f.id = %s""",
        scene,
    )
    wait_until(lambda: processes_of(report["id"]), 10, "the scene is being read")
    farm.kill("worker")
    wait_until(lambda: gone(report["id"]), 2, "what reads it dies with the worker")
    wait_until(
        lambda: artist.call("GET", f"/tasks/{task}/report")["status"] == "ready", 25, "the scene is read"
    )


def test_a_client_that_lost_the_web_process_misses_nothing(artist: Artist, farm: Farm) -> None:
    task = artist.create(frames="1-3", **simulated(0.5))
    with artist.listening() as ear:
        artist.call("POST", f"/tasks/{task}/submit")
        wait_until(lambda: "rendering" in ear.statuses(task), 20, "rendering starts")
        farm.kill("web")
        ear.thread.join(5)
    seen = ear.statuses(task)

    def is_over() -> bool:
        [job] = farm.ask("SELECT status FROM rendering_renderjob WHERE id = %s", task)
        return job["status"] == 5

    wait_until(is_over, 30, "the job ends without the web process")

    wait_until(farm.healthy, 60, "the web process is back")
    with artist.listening(since=ear.last_revision()) as again:
        wait_until(lambda: "completed" in again.statuses(task), 5, "the news are caught up with")
    assert seen + again.statuses(task) == ["pending", "queued", "rendering", "completed"]
    told = [data for each in (ear, again) for _moment, data in each.events("task:progress", task)]
    shown = [data["progress"] for data in told]
    assert shown == sorted(shown)
    assert told[-1]["done_frames"] == 3
    artist.assert_charged_once(task, frames=3)


@pytest.mark.parametrize("service", ["postgres", "redis"])
def test_a_killed_service_does_not_harm_a_job(artist: Artist, farm: Farm, service: str) -> None:
    task = artist.submit(frames="1-2", **simulated(1.5))
    artist.wait_for_mid_frame(task, 1)
    farm.kill(service)
    wait_until(lambda: is_over(artist, task), 60, "the job ends")
    assert artist.task(task)["status_name"] == "completed"
    artist.assert_charged_once(task, frames=2)


def test_redis_dies_with_a_thousand_frames_queued(artist: Artist, farm: Farm) -> None:
    """Messages are lost with it; what is due stands in the database."""
    task = artist.create(frames="1-1000", width=16, height=9, **simulated(0))
    farm.ask("UPDATE rendering_renderjob SET chunk_size = %s WHERE id = %s", CHUNK, task)
    farm.ask("UPDATE rendering_rendernode SET rests_until = now() + interval '1 hour'")
    try:
        artist.call("POST", f"/tasks/{task}/submit")
        artist.wait_for_status(task, "queued")
        farm.kill("redis")
    finally:
        farm.ask("UPDATE rendering_rendernode SET rests_until = NULL")
    wait_until(lambda: is_over(artist, task), 1800 if IS_SOAK else 120, "the job ends")
    [job] = farm.ask("SELECT status, done_frames FROM rendering_renderjob WHERE id = %s", task)
    assert job == {"status": 5, "done_frames": 1000}
    [books] = farm.ask(
        """SELECT count(*) AS outputs, count(DISTINCT o.frame_id) AS frames, count(DISTINCT o.file_id) AS files
             FROM rendering_frameoutput o JOIN rendering_frame f ON f.id = o.frame_id WHERE f.job_id = %s""",
        task,
    )
    assert books == {"outputs": 1000, "frames": 1000, "files": 1000}
    assert len([row for row in artist.call("GET", "/users/bills")["bills"] if row["task_id"] == task]) == 1


def test_a_storage_that_is_away_for_a_moment_costs_nobody_a_frame(artist: Artist, farm: Farm) -> None:
    task = artist.submit(frames="1-2", **simulated(1))
    artist.wait_for_mid_frame(task, 1)
    away = farm.layout.blobs.rename(farm.layout.blobs.with_name("blobs-away"))
    farm.layout.blobs.write_text("no folder")
    try:
        time.sleep(AWAY_SECONDS)
    finally:
        farm.layout.blobs.unlink()
        away.rename(farm.layout.blobs)
    artist.wait_for_status(task, "completed", AWAY_SECONDS + 40)
    artist.assert_charged_once(task, frames=2)


def is_over(artist: Artist, task: str) -> bool:
    """Asked again and again, while the platform may be half away."""
    try:
        answer = artist.http.get(f"/tasks/{task}")
    except httpx.TransportError:
        return False
    return answer.is_success and answer.json()["status_name"] in ("completed", "failed", "cancelled")


def test_a_node_that_stops_gives_its_frame_back_at_once(artist: Artist, farm: Farm) -> None:
    task = artist.submit(frames="1", **simulated(2))
    attempt = artist.wait_for_mid_frame(task)
    node = processes.find_process(farm.kill("node", signal.SIGTERM))
    assert node is not None
    wait_until(lambda: not processes.is_alive(node), 15, "the node ends")
    assert gone(attempt["id"])
    [row] = farm.attempts(task)
    assert row["status"] == "lost"
    frame = artist.frames(task)[1]
    assert (frame["status"], frame["losses"], frame["failures"]) == ("ready", 0, 0)
    artist.wait_for_status(task, "completed")
    artist.assert_charged_once(task, frames=1)


# --- Two nodes ----------------------------------------------------------------------------------------------


def test_a_frozen_node_comes_too_late(artist: Artist, farm: Farm) -> None:
    task = artist.submit(frames="1", **simulated(2))
    frozen = artist.wait_for_mid_frame(task)
    pid = farm.kill("node", signal.SIGSTOP)
    farm.start_node("second")
    try:
        wait_until(lambda: len(farm.attempts(task)) == 2, 15, "the second node takes the frame")
        # Its renderer was not frozen: the picture is there.
        wait_until(lambda: gone(frozen["id"]), 20, "the late picture is rendered")
    finally:
        os.kill(pid, signal.SIGCONT)
    artist.wait_for_status(task, "completed")
    assert [(row["status"], row["node"] == "second") for row in farm.attempts(task)] == [
        ("lost", False),
        ("succeeded", True),
    ]
    artist.assert_charged_once(task, frames=1)


def test_another_node_takes_over_from_one_that_stays_dead(artist: Artist, farm: Farm) -> None:
    second = farm.start_node("second")
    enable = "UPDATE rendering_rendernode SET state = %s WHERE name <> 'second'"
    farm.ask(enable, "draining")
    task = artist.submit(frames="1", **simulated(2))
    attempt = artist.wait_for_mid_frame(task)
    assert attempt["node"] == "second"
    second.kill()
    second.wait()
    wait_until(lambda: gone(attempt["id"]), 2, "its renderers die with it")
    farm.ask(enable, "enabled")
    artist.wait_for_status(task, "completed")
    assert [(row["status"], row["node"] == "second") for row in farm.attempts(task)] == [
        ("lost", True),
        ("succeeded", False),
    ]
    artist.assert_charged_once(task, frames=1)


# --- The end ------------------------------------------------------------------------------------------------


def test_two_platforms_work_side_by_side_and_leave_nothing(
    artist: Artist, farm: Farm, tmp_path: Path
) -> None:
    other = Farm(tmp_path / "var")
    try:
        other.wait_until_ready()
        stranger = Artist(other)
        tasks = {each: each.create(frames="1-2", **simulated(0.2)) for each in (artist, stranger)}
        for each, task in tasks.items():
            each.call("POST", f"/tasks/{task}/submit")
        for each, task in tasks.items():
            each.wait_for_status(task, "completed")
            each.assert_charged_once(task, frames=2)
        assert stranger.http.get(f"/tasks/{tasks[artist]}").status_code == 404
        busy = artist.submit(frames="1", engine_options=SAMPLES)
        artist.wait_for_mid_frame(busy)
        for platform in (farm, other):
            platform.stop()
            assert platform.members() == set()
            assert not platform.layout.sockets.exists()
    finally:
        other.remove()
        shutil.rmtree(tmp_path / "var", ignore_errors=True)
