"""Writes that the kernel carries on with: they end, whatever becomes of who began them."""

import fcntl
import os
import resource
import signal
from collections.abc import Iterator
from mmap import PAGESIZE, mmap
from pathlib import Path
from typing import BinaryIO

import pytest

from drives.storage import kernel_writes
from drives.storage.kernel_writes import MOST, Queue, begin_to_write, queue, queue_of
from drives.storage.staging import FLOCK
from tests.racing import race

SIZE = 1024 * PAGESIZE


@pytest.fixture
def memory() -> mmap:
    pages = mmap(-1, SIZE)
    pages.write(os.urandom(SIZE))
    return pages


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BinaryIO]:
    """A hole with room for all that is written here."""
    with (tmp_path / "staged").open("w+b", buffering=0) as opened:
        opened.truncate(4 * MOST * SIZE)
        yield opened


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    """No failure of another test holds writes up."""
    own = queue()
    assert own is not None
    own.trusted_at = 0.0
    yield
    own.trusted_at = 0.0


def lock(file: BinaryIO) -> None:
    fcntl.fcntl(file, fcntl.F_OFD_SETLKW, FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


def test_more_at_once_than_are_on_their_way(memory: mmap, file: BinaryIO) -> None:
    def write(number: int) -> None:
        with Path(file.name).open("r+b") as mine:
            begun = begin_to_write(mine.fileno(), memory, SIZE, number * SIZE)
        assert begun is not None
        begun.result(20)

    race(4 * MOST, write)
    for _number in range(4 * MOST):
        assert file.read(SIZE) == memory[:]


def test_what_was_begun_outlives_its_process(memory: mmap, tmp_path: Path) -> None:
    """Killed at once, it holds its locks until all is written."""
    path = tmp_path / "staged"
    with path.open("wb") as room:
        room.truncate(MOST * SIZE)
    if not (child := os.fork()):
        try:
            mine = path.open("r+b", buffering=0)
            lock(mine)
            for number in range(MOST):
                begin_to_write(mine.fileno(), memory, SIZE, number * SIZE)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    with path.open("r+b", buffering=0) as file:
        os.waitpid(child, 0)
        lock(file)
        for _number in range(MOST):
            assert file.read(SIZE) == memory[:]


def test_where_a_write_has_failed_the_next_ones_are_waited_for(memory: mmap, file: BinaryIO) -> None:
    """A disk that is full below its file system takes a write and fails later: the next part has to be refused."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, before[1]))
    try:
        assert begin_to_write(file.fileno(), memory, SIZE, SIZE) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert begin_to_write(file.fileno(), memory, SIZE, SIZE) is None
    own = queue()
    assert own is not None
    own.trusted_at = 0.0
    begun = begin_to_write(file.fileno(), memory, SIZE, SIZE)
    assert begun is not None
    begun.result(20)


def test_threads_that_begin_at_once_have_one_queue() -> None:
    queue_of.cache_clear()
    assert len(set(race(8, lambda _number: queue()))) == 1


def test_where_a_sandbox_tells_nobody_of_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes that begin and never end would hold up all that come after."""
    monkeypatch.setattr(kernel_writes, "EVENTS", -1)
    with pytest.raises(OSError, match="not implemented"):
        Queue()


@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero"])
def test_where_the_kernel_cannot(memory: mmap, name: str) -> None:
    """The one refuses O_DIRECT when it is asked, the other when it is written to."""
    with Path(name).open("r+b", buffering=0) as device:
        assert begin_to_write(device.fileno(), memory, SIZE, 0) is None


def test_nothing_to_write(memory: mmap, file: BinaryIO) -> None:
    assert begin_to_write(file.fileno(), memory, 0, 0) is None
