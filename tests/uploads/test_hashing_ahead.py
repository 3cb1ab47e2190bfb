"""What of a file is hashed while its parts arrive, and the memory that the parts wait in."""

import os
import threading
import time
import zlib
from collections import OrderedDict
from mmap import PAGESIZE, mmap
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import Settings

from accounts.models import User
from drives.models import Blob, Drive, File
from drives.services import hashing_ahead
from drives.storage import blob_storage, memory
from drives.storage.staging import read_past_cache, write_past_cache
from tests.conftest import Client
from tests.racing import race
from tests.uploads.conftest import (
    PART,
    Sender,
    announced,
    assert_stored,
    begin,
    chunks,
    content_of,
    md5_of,
)
from tests.uploads.raw_parts import CHANGED, CONTENT, OTHER, PARTS, hashed, put, send_all, sender, taken
from uploads.models import TaskFile, UploadPart

__all__ = ["sender", "taken"]  # fixtures

pytestmark = pytest.mark.django_db


def all_memory_is_back() -> bool:
    """Some of it may be with the thread that hears of the ends of writes, for a moment."""
    deadline = time.monotonic() + 30
    while memory.count != len(memory.free) + sum(map(len, memory.shelved.values())):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_parts_of_whole_pages_go_past_the_page_cache(
    owner_api: Client, settings: Settings, taken: list[int]
) -> None:
    """In an order in which some of them are still at hand when they are hashed, and others are read again."""
    size = settings.UPLOAD_PART_SIZE = 2 * PAGESIZE
    content = os.urandom(20 * size + PAGESIZE + 100)
    (sender,) = begin(owner_api, announced("/pages", content))
    sender.start()
    pages = [(number + 1, content[number * size : (number + 1) * size]) for number in range(21)]
    for number, part in [*pages[8:], *pages[3:8], *pages[:3]]:
        assert put(sender, number, part).status_code == 200
    hashed(sender, len(content))
    assert sender.complete().status_code == 200
    assert taken == [len(content)]
    assert_stored(sender, content)
    assert all_memory_is_back()
    assert memory.count <= memory.MOST


def test_a_file_system_that_knows_only_its_page_cache() -> None:
    """It refuses O_DIRECT when it is asked, as the null device does; another one does so when it is written to."""
    pages = mmap(-1, 2 * PAGESIZE)
    for name, work in (("/dev/null", write_past_cache), ("/dev/zero", read_past_cache)):
        with Path(name).open("r+b", buffering=0) as file:
            assert work(file.fileno(), memoryview(pages), 0) == len(pages)


def test_a_hasher_that_was_taken_is_left_alone(sender: Sender) -> None:
    """Who appends to a file without parts tells of it when others may complete it already."""
    put(sender, 1, PARTS[0])
    hashed(sender, PART)
    upload_id = sender.row().upload_id
    late = hashing_ahead.files[upload_id]
    hasher = hashing_ahead.take(upload_id)
    with (blob_storage().staging_path(upload_id)).open("ab") as file:
        file.write(PARTS[1])
    late.add(PART, hashing_ahead.Piece(2 * PART))
    hashing_ahead.pool.submit(int).result()
    assert hasher is not None
    assert (hasher.size, late.busy) == (PART, False)


def test_what_many_have_shelved_at_once_is_not_kept() -> None:
    lent = [memory.lend() for _number in range(12)]
    for number, piece in enumerate(lent):
        memory.shelve("one" if number % 2 else "other", number, piece)
    assert memory.count == memory.MOST == len(memory.free) + sum(map(len, memory.shelved.values()))
    assert memory.take("one", 11) is lent[11]
    memory.give_back(lent[11])
    memory.shelved.clear()
    memory.count = len(memory.free)


def test_parts_in_order_are_hashed_when_the_last_one_is_there(sender: Sender, taken: list[int]) -> None:
    for number, part in enumerate(PARTS, 1):
        put(sender, number, part)
    hashed(sender, len(CONTENT))
    assert sender.complete().status_code == 200
    assert taken == [len(CONTENT)]
    assert_stored(sender, CONTENT)


def test_with_a_declared_md5_too(owner_api: Client, taken: list[int]) -> None:
    (right,) = begin(owner_api, announced("/right", CONTENT, md5=md5_of(CONTENT)))
    right.start()
    for number, part in enumerate(PARTS, 1):
        put(right, number, part)
    hashed(right, len(CONTENT))
    assert right.complete().status_code == 200
    assert right.row().file.blob.md5 == md5_of(CONTENT)  # type: ignore[union-attr]
    (wrong,) = begin(owner_api, announced("/wrong", CONTENT, md5=md5_of(b"other")))
    wrong.start()
    for number, part in enumerate(PARTS, 1):
        put(wrong, number, part)
    hashed(wrong, len(CONTENT))
    answer = wrong.complete()
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert taken == [len(CONTENT), len(CONTENT)]


def test_a_part_that_came_again_otherwise_is_hashed_anew(sender: Sender, taken: list[int]) -> None:
    send_all(sender)
    hashed(sender, len(CONTENT))
    assert put(sender, 3, OTHER).status_code == 200
    assert sender.complete().status_code == 200
    assert taken == [len(CONTENT)]  # of no use
    assert_stored(sender, CHANGED)


def test_what_is_missing_here_is_read_at_the_end(sender: Sender, taken: list[int]) -> None:
    """As after a restart, or where another process has taken some of the parts."""
    for number, part in list(enumerate(PARTS, 1))[:2]:
        put(sender, number, part)
    hashed(sender, 2 * PART)
    mine = hashing_ahead.files.copy()
    hashing_ahead.files.clear()
    for number, part in list(enumerate(PARTS, 1))[2:]:
        put(sender, number, part)
    hashing_ahead.files.clear()
    hashing_ahead.files.update(mine)
    assert sender.complete().status_code == 200
    assert taken == [2 * PART]
    assert_stored(sender, CONTENT)


def test_what_the_disk_has_lost_is_missing(sender: Sender) -> None:
    """As after a power cut: rows of parts are there, and their bytes are not."""
    send_all(sender)
    form = {"chunk_index": "2", "chunk": SimpleUploadedFile("x", PARTS[1])}
    url = f"{sender.url}/multipart/upload"
    assert sender.client.post(url, form, format="multipart").json()["etag"] == md5_of(PARTS[1])
    put(sender, 6, OTHER)
    put(sender, 7, OTHER)
    hashing_ahead.files.clear()
    upload_id = sender.row().upload_id
    cut, gone = (
        UploadPart.objects.exclude(staging_id="").order_by("number").values_list("staging_id", flat=True)
    )
    with blob_storage().staging_path(upload_id).open("r+b") as file:
        for number in (2, 5):
            file.seek((number - 1) * PART + 7)
            file.write(bytes(9))
        file.truncate(len(CONTENT) - 1)
    blob_storage().staging_path(cut).write_bytes(b"")
    blob_storage().discard(gone)
    answer = sender.complete()
    assert (answer.status_code, answer.json()["code"]) == (409, "parts_missing")
    assert answer.json()["missing"] == [2, 5, 6, 7, 8]
    assert sender.row().status == TaskFile.Status.UPLOADING
    for number in (2, 5, 6, 7, 8):
        assert put(sender, number, PARTS[number - 1]).status_code == 200
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_a_part_whose_row_is_lost_may_come_again_with_other_content(sender: Sender) -> None:
    """As after a crash of the database alone: this process has hashed what was there."""
    send_all(sender)
    hashed(sender, len(CONTENT))
    UploadPart.objects.filter(number=3).delete()
    assert put(sender, 3, OTHER).status_code == 200
    assert sender.complete().status_code == 200
    assert_stored(sender, CHANGED)


def test_an_upload_that_is_given_up_leaves_no_file_open(sender: Sender) -> None:
    for number, part in list(enumerate(PARTS, 1))[:3]:
        put(sender, number, part)
    hashed(sender, 3 * PART)
    staged = blob_storage().staging_path(sender.row().upload_id)
    sender.abort()
    assert not staged.exists()
    open_ones = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [path for path in open_ones if staged.name in path]


def test_only_so_many_files_are_followed(monkeypatch: pytest.MonkeyPatch, owner_api: Client) -> None:
    monkeypatch.setattr(hashing_ahead, "MAX_FILES", 2)
    monkeypatch.setattr(hashing_ahead, "files", OrderedDict())
    senders = begin(owner_api, *[announced(f"/x{number}", CONTENT + bytes([number])) for number in range(4)])
    for each in senders:
        each.start()
        put(each, 1, PARTS[0])
    assert list(hashing_ahead.files) == [each.row().upload_id for each in senders[2:]]
    for number, each in enumerate(senders):
        for index, part in enumerate(chunks(CONTENT + bytes([number])), 1):
            put(each, index, part)
        assert each.complete().status_code == 200
        assert content_of(each.row().file) == CONTENT + bytes([number])  # type: ignore[arg-type]


def test_a_completion_does_not_wait_for_the_hashing_of_others(sender: Sender) -> None:
    ends = threading.Event()
    threads = [hashing_ahead.pool.submit(ends.wait, 60) for _number in range(hashing_ahead.pool._max_workers)]
    try:
        send_all(sender)
        assert sender.complete().status_code == 200
    finally:
        ends.set()
    assert all(thread.result() for thread in threads)
    assert_stored(sender, CONTENT)


@pytest.mark.django_db(transaction=True)
def test_parts_of_two_versions_race_with_the_hashing(owner: User, drive: Drive) -> None:
    """Whatever stays: the digest is that of the bytes that stayed."""
    sender = begin(Client(owner), announced("/big.blend", CONTENT))[0]
    sender.start()
    other = os.urandom(len(CONTENT))

    def send(number: int) -> None:
        mine = sender.again(Client(owner))
        versions = chunks(CONTENT if number % 2 else other)
        for index, part in enumerate(versions, 1):
            assert put(mine, index, part).status_code == 200

    race(4, send)
    row = sender.row()
    vouched = {part.number: part.etag for part in row.parts.all()}
    assert sender.complete().status_code == 200
    kept = content_of(sender.row().file)  # type: ignore[arg-type]
    assert_stored(sender, kept)
    assert {number: f"{zlib.crc32(part):08x}" for number, part in enumerate(chunks(kept), 1)} == vouched
    assert set(chunks(kept)) <= {*PARTS, *chunks(other)}
    assert Blob.objects.count() == 1
    assert File.objects.get().size == len(CONTENT)
    assert TaskFile.objects.get().status == TaskFile.Status.COMPLETED
