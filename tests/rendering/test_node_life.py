"""A node's life: who it is, what it takes, how it ends what it runs."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import User
from billing.models import PriceRule
from common.ids import new_id
from rendering.models import Attempt, Frame, FrameOutput, RenderJob, RenderNode
from rendering.node import NameInUse, Node
from rendering.services.jobs import cancel_job, pause_job
from tests.rendering import makers
from tests.rendering.standins import stand_in
from tests.rendering.working import Working

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


def test_a_node_that_is_switched_off_takes_nothing(owner: User, worker: Node) -> None:
    makers.queued(owner, frames="1")
    RenderNode.objects.filter(pk=worker.row.pk).update(state="disabled")
    worker.work("blender")
    assert not Attempt.objects.exists()


def test_a_node_takes_no_work_for_an_engine_it_has_not(owner: User, worker: Node) -> None:
    job = makers.queued(owner, frames="1")
    RenderJob.objects.filter(pk=job.pk).update(engine="maya")
    worker.work("maya")
    assert not Attempt.objects.exists()


def test_a_node_says_what_it_is(worker: Node, settings: Settings) -> None:
    worker.beat()
    row = RenderNode.objects.get()
    assert (row.name, row.slots, row.state, row.version) == (worker.name, 1, "enabled", settings.VERSION)
    assert row.engines["blender"][0].startswith("5.")
    assert row.cores >= 1 and row.memory_size >= row.free_memory_size > 1 << 20 and row.load > 0
    assert makers.registered(worker.name).row.pk == row.pk


def test_what_a_node_offers_is_as_it_is_told(price: PriceRule) -> None:
    node = Node(
        "small", 2, engines=["simulated"], tags=["gpu", "big", "gpu"], memory_size=1 << 33, cache_size=5
    )
    row = node.register()
    assert list(row.engines) == ["simulated"]
    assert (row.tags, row.memory_size, row.attempt_memory_size) == (["big", "gpu"], 1 << 33, 1 << 32)
    assert node.cache.size_limit == 5


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "x" * 101, "ein knoten"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        Node(name)


def test_a_name_belongs_to_one_host_at_a_time(worker: Node, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = Node(worker.name)
    elsewhere.host = "elsewhere"
    with pytest.raises(NameInUse, match=worker.host):
        elsewhere.register()
    assert RenderNode.objects.get().host == worker.host

    # Silent for longer than a lease, as is one that was left in order.
    worker.leave()
    elsewhere.row = elsewhere.register()
    ended: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "kill", lambda pid, number: ended.append(number))
        worker.beat()
    assert (ended, worker.stopping.is_set()) == ([signal.SIGTERM], True)
    assert RenderNode.objects.get().host == "elsewhere"
    elsewhere.beat()
    assert not elsewhere.stopping.is_set()


def test_a_node_cleans_up_after_an_earlier_life_and_keeps_its_logs(owner: User, worker: Node) -> None:
    makers.queued(owner, frames="1")
    attempt = makers.claimed(worker.row)
    folder = worker.jobs / str(attempt.pk)
    (folder / "output").mkdir(parents=True)
    (folder / "log.txt").write_text("one\ntwo\nhal")
    (worker.jobs / "rubbish").mkdir()
    (worker.inputs.folder / "old" / "proj").mkdir(parents=True)
    (worker.inputs.folder / "old" / "proj").chmod(0o555)

    worker.clear()

    assert not worker.jobs.exists() and not worker.inputs.folder.exists()
    attempt.refresh_from_db()
    assert attempt.log_blob is not None
    assert (attempt.log_tail, makers.content_of(attempt.log_blob)) == ("one\ntwo\nhal", b"one\ntwo\nhal")


# --- while it runs ---


ENDLESS = "print('begun'); print('openjd_progress: 25.0', flush=True); time.sleep(600)"


def disable(job: RenderJob) -> None:
    """As an operator does; the node sees it when it looks."""
    RenderNode.objects.update(state=RenderNode.State.DISABLED)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("act", "frame", "attempt"),
    [
        (cancel_job, "cancelled", "stopped"),
        (pause_job, "ready", "stopped"),
        (disable, "ready", "lost"),
        (None, "ready", "lost"),
    ],
)
def test_a_run_ends_with_its_attempt_or_its_node(
    owner: User,
    worker: Node,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    act: Any,
    frame: str,
    attempt: str,
) -> None:
    settings.RENDER_HEARTBEAT_SECONDS = 0.2
    stand_in(monkeypatch, program=ENDLESS)
    job = makers.queued(owner, frames="1")
    working = Working(worker)
    working.wait_for_progress()
    running = Attempt.objects.get()
    assert (running.progress, running.log_tail) == (25, "begun\nopenjd_progress: 25.0")

    if act:
        act(job=RenderJob.objects.get(pk=job.pk))
        worker.look()
    else:
        worker.stop()

    assert working.ends()
    row = Frame.objects.get()
    assert (row.status, row.failures, row.losses) == (frame, 0, 0)
    ended = Attempt.objects.select_related("log_blob").get()
    assert ended.status == attempt
    assert ended.log_blob is not None and makers.content_of(ended.log_blob).startswith(b"begun")
    assert list(worker.jobs.iterdir()) == []
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_three_nodes_share_a_job(
    owner: User, price: PriceRule, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    program = """
for number in spec["frames"]:
    time.sleep(0.1)
    done(f"{number:04d}.png", number=number)
"""
    stand_in(monkeypatch, program=program, picture=picture)
    nodes = [makers.registered(f"worker-{new_id().hex[-6:]}") for _number in range(3)]
    job = makers.queued(owner, frames="1-12")

    working = [Working(node) for node in nodes]
    assert all(one.ends() for one in working)

    job.refresh_from_db()
    assert (job.status, job.done_frames) == (Status.COMPLETED, 12)
    assert FrameOutput.objects.values("file").distinct().count() == 12
    assert Attempt.objects.values("node").distinct().count() == 3
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_a_draining_node_finishes_what_it_has_and_takes_nothing_new(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    program = f"""
print("openjd_progress: 5.0", flush=True)
while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)
done()
"""
    stand_in(monkeypatch, program=program, picture=picture)
    makers.queued(owner, frames="1-2")
    working = Working(worker)
    working.wait_for_progress()

    RenderNode.objects.update(state=RenderNode.State.DRAINING)
    worker.look()
    go.touch()

    assert working.ends()
    assert sorted(Frame.objects.values_list("status", flat=True)) == ["done", "ready"]
