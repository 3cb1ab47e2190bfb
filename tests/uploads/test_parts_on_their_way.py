"""Parts that were acknowledged while the kernel still writes them."""

import errno
import fcntl
import os
import threading
from concurrent.futures import Future
from mmap import PAGESIZE
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from drives.models import Drive
from drives.services import hashing_ahead
from drives.storage import blob_storage, memory
from drives.storage.staging import FLOCK
from tests.conftest import Client
from tests.uploads.conftest import Sender, announced, assert_stored, begin
from tests.uploads.raw_parts import hashed, put
from uploads.services import parts

pytestmark = pytest.mark.django_db
SIZE = 2 * PAGESIZE
CONTENT = os.urandom(3 * SIZE + 100)
PARTS = [CONTENT[start : start + SIZE] for start in range(0, len(CONTENT), SIZE)]


@pytest.fixture
def sender(owner_api: Client, drive: Drive, settings: Settings) -> Sender:
    settings.UPLOAD_PART_SIZE = SIZE
    (found,) = begin(owner_api, announced("/big.blend", CONTENT))
    assert found.start().status_code == 200
    return found


class SlowDisk:
    """Stands for the kernel: takes every write, and ends none before the test says so.

    A real disk cannot be told when to end a write, or which one to refuse. All else is real.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes: list[Future[None]] = []
        monkeypatch.setattr(parts, "begin_to_write", self.begin)

    def begin(self, *_write: Any) -> Future[None]:
        self.writes.append(Future())
        return self.writes[-1]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    return SlowDisk(monkeypatch)


def is_free(sender: Sender, number: int) -> bool:
    """Whether a request could have the place of a part."""
    lock = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, (number - 1) * SIZE, SIZE, 0)
    with blob_storage().staging_path(sender.row().upload_id).open("r+b") as file:
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        except BlockingIOError:
            return False
    return True


def test_nobody_else_has_the_place_of_a_part_before_it_is_written(sender: Sender, disk: SlowDisk) -> None:
    assert put(sender, 2, PARTS[1]).status_code == 200
    assert [is_free(sender, number) for number in (1, 2, 3)] == [True, False, True]
    disk.writes[0].set_result(None)
    assert is_free(sender, 2)


def test_a_part_is_hashed_while_it_is_written(sender: Sender, disk: SlowDisk) -> None:
    """Its memory is used again only after both."""
    assert put(sender, 1, PARTS[0]).status_code == 200
    hashed(sender, SIZE)
    in_use = memory.count - len(memory.free)
    disk.writes[0].set_result(None)
    assert memory.count - len(memory.free) == in_use - 1


def test_memory_of_a_part_that_waits_for_its_turn_is_kept_until_it_is_written(
    sender: Sender, disk: SlowDisk
) -> None:
    assert put(sender, 2, PARTS[1]).status_code == 200
    ahead = hashing_ahead.files[sender.row().upload_id]
    assert (list(ahead.held), ahead in memory.shelved) == ([SIZE], False)
    disk.writes[0].set_result(None)
    assert (ahead.held, list(memory.shelved[ahead])) == ({}, [SIZE])


def test_a_part_that_the_disk_refuses_afterwards_is_missing(sender: Sender, disk: SlowDisk) -> None:
    for number, part in enumerate(PARTS, 1):
        assert put(sender, number, part).status_code == 200
    hashed(
        sender, len(CONTENT)
    )  # from memory: only that the hash is forgotten keeps the file from landing with it
    for number, (write, part) in enumerate(zip(disk.writes, PARTS, strict=False), 1):
        if number == 2:
            write.set_exception(OSError(errno.EIO, "the disk is broken"))
            continue
        with blob_storage().staging_path(sender.row().upload_id).open("r+b") as file:
            file.seek((number - 1) * SIZE)
            file.write(part)
        write.set_result(None)
    answer = sender.complete()
    assert (answer.status_code, answer.json()["code"], answer.json()["missing"]) == (
        409,
        "parts_missing",
        [2],
    )
    disk.writes.clear()
    sent = put(sender, 2, PARTS[1])
    assert sent.status_code == 200
    with blob_storage().staging_path(sender.row().upload_id).open("r+b") as file:
        file.seek(SIZE)
        file.write(PARTS[1])
    for write in disk.writes:
        write.set_result(None)
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_memory_is_not_used_again_before_it_is_written(disk: SlowDisk) -> None:
    """Also where the upload was closed meanwhile, so that nobody is told of the part."""
    gathered = parts.Gathered(parts.laid_out([PARTS[0]]), size=SIZE, with_md5=False)
    with Path(os.devnull).open("r+b") as file:
        gathered.write_to(file, 0)
    closing = threading.Thread(target=gathered.close)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    assert gathered.buffer not in memory.free
    disk.writes[0].set_result(None)
    closing.join(20)
    assert gathered.buffer in memory.free
