"""The node's side of an attempt."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from rendering.models import Attempt, RenderJob
from rendering.node import render
from rendering.node.cache import BlobCache
from rendering.node.render import FrameRun, deliver
from rendering.services import attempts


@pytest.fixture
def frame_run(tmp_path: Path) -> FrameRun:
    """A run that knows no database."""
    run = FrameRun.__new__(FrameRun)
    run.attempt, run.cache, run.folder = Attempt(job=RenderJob()), BlobCache(tmp_path), tmp_path
    run.progress, run.message, run.tail = 0.0, "", render.deque()
    return run


def test_the_lease_is_kept_while_files_are_on_their_way(
    frame_run: FrameRun, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RENDER_LEASE = timedelta(seconds=0.3)
    renewed: list[UUID] = []

    def renew(**values: Any) -> bool:
        renewed.append(values["attempt_id"])
        if len(renewed) == 2:
            raise OperationalError("away for a moment")
        return True

    monkeypatch.setattr(attempts, "renew", renew)
    with frame_run.lease_kept():
        time.sleep(0.6)
    assert len(renewed) >= 3
    assert set(renewed) == {frame_run.attempt.pk}
    count = len(renewed)
    time.sleep(0.3)
    assert len(renewed) == count


def test_a_result_waits_for_the_database_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render.time, "sleep", lambda seconds: None)
    tries: list[int] = []

    def store() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("away")
        return len(tries)

    assert deliver(store) == 3

    monkeypatch.setattr(render, "DELIVERY_SECONDS", -1)
    tries.clear()
    with pytest.raises(OperationalError):
        deliver(store)
    assert len(tries) == 1
