"""What a node does where its disk, its storage or itself is at fault: no frame pays for it."""

import errno
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from drives.storage import StorageError, blob_storage
from rendering.models import Attempt, Frame, RenderJob, RenderNode
from rendering.node import Node
from tests.rendering import makers
from tests.rendering.standins import stand_in

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


def test_a_fault_of_the_node_spends_no_try_and_the_third_makes_it_rest(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    program = "print('rendered'); done(f\"{spec['frames'][0]:04d}.png\")"
    stand_in(monkeypatch, program=program, picture=picture)
    makers.queued(owner, frames="1-2")

    def full(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(blob_storage()), "keep", full)
        worker.work("blender")

    rows = Attempt.objects.values_list("status", "failure_code").distinct()
    assert list(rows) == [("failed", "node_fault")]
    assert Attempt.objects.count() == 3
    assert sum(Frame.objects.values_list("losses", flat=True)) == 3
    assert set(Frame.objects.values_list("status", "failures")) == {("ready", 0)}
    assert not RenderNode.objects.taking_work().exists()
    worker.row.refresh_from_db()
    assert worker.row.rests_until is not None and worker.row.rests_until > timezone.now()
    assert "rendered" in Attempt.objects.order_by("created_at")[0].log_tail

    RenderNode.objects.update(rests_until=None)
    worker.work("blender")
    assert set(Frame.objects.values_list("status", flat=True)) == {"done"}


def test_a_failure_on_a_full_disk_is_the_nodes(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, program="raise SystemExit(1)")
    monkeypatch.setattr("rendering.node.render.NO_ROOM_SIZE", 1 << 60)
    makers.queued(owner, frames="1")

    worker.work("blender")

    assert set(Attempt.objects.values_list("failure_code", flat=True)) == {"node_fault"}
    assert Frame.objects.get().failures == 0


def test_a_disk_that_takes_no_folder_is_the_nodes_fault_at_once(owner: User, worker: Node) -> None:
    worker.jobs.parent.mkdir(parents=True)
    worker.jobs.write_text("no folder")
    makers.queued(owner, frames="1")

    worker.work("blender")

    assert set(Attempt.objects.values_list("status", "failure_code")) == {("failed", "node_fault")}
    frame = Frame.objects.get()
    assert (frame.status, frame.losses, frame.failures) == ("ready", 3, 0)


def test_a_storage_that_is_away_for_a_moment_costs_no_frame(
    owner: User, worker: Node, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    """Neither where the scene is fetched nor where the picture is delivered."""
    stand_in(monkeypatch, program="done()", picture=picture)
    monkeypatch.setattr("rendering.node.patience.PAUSE_SECONDS", 0)
    job = makers.queued(owner, frames="1")
    storage = type(blob_storage())
    away = {"open_blob": 3, "keep": 5}

    def failing(name: str) -> Any:
        real = getattr(storage, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if away[name]:
                away[name] -= 1
                raise StorageError("no answer")
            return real(*args, **kwargs)

        return call

    for name in away:
        monkeypatch.setattr(storage, name, failing(name))
    worker.work("blender")

    job.refresh_from_db()
    assert (job.status, away) == (Status.COMPLETED, {"open_blob": 0, "keep": 0})
    assert Attempt.objects.count() == 1
