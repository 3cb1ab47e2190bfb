"""The node's side of an attempt, without a node."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from drives.storage import StorageError
from rendering.models import Attempt, RenderJob
from rendering.node import patience
from rendering.node.log import MAX_TAIL_SIZE, AttemptLog, end_of
from rendering.node.patience import patiently
from rendering.node.render import FrameRun
from rendering.services import attempts
from tests.racing import wait_for


@pytest.fixture
def frame_run(tmp_path: Path) -> FrameRun:
    """A run that knows no database."""
    run = FrameRun.__new__(FrameRun)
    run.attempt, run.log = Attempt(job=RenderJob()), AttemptLog(tmp_path / "log.txt")
    run.progress, run.message = 0.0, ""
    run.told_progress, run.told_at = 0.0, 0.0
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
        wait_for(lambda: len(renewed) >= 3)
    assert set(renewed) == {frame_run.attempt.pk}
    count = len(renewed)
    time.sleep(0.3)
    assert len(renewed) == count


@pytest.mark.parametrize("error", [OperationalError("away"), StorageError("away"), OSError(5, "I/O error")])
def test_a_result_waits_for_what_is_away_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0)
    tries: list[int] = []

    def store() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise error
        return len(tries)

    assert patiently(store) == 3

    monkeypatch.setattr(patience, "SECONDS", -1)
    tries.clear()
    with pytest.raises(type(error)):
        patiently(store)
    assert len(tries) == 1


def test_who_is_not_wanted_any_more_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0)

    def away() -> None:
        raise StorageError("away")

    def check() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        patiently(away, check=check)


def test_the_end_of_a_log_that_another_process_began(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(50_000)) + b"half \xe4\xb8 \0 line")

    lines = end_of(path).splitlines()

    assert (len(lines), lines[0], lines[-1]) == (200, "line 49801", "half \ufffd \ufffd line")
    path.write_bytes(b"x" * 500_000)
    assert len(end_of(path)) == MAX_TAIL_SIZE
