"""PUT …/multipart/parts/{number}: the part is the body; and what is hashed while parts arrive."""

import base64
import errno
import os
import random
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from mmap import PAGESIZE, mmap
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from drives.models import Blob, Drive, File
from drives.services import hashing_ahead
from drives.services.blobs import Hasher
from drives.services.garbage import collect_staged
from drives.services.hashing_ahead import Ahead
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
    staged,
    sums,
)
from uploads.models import TaskFile, UploadPart
from uploads.services import files, parts

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(7 * PART + 13)
PARTS = chunks(CONTENT)


def put(
    sender: Sender, number: Any, content: bytes, kind: str = "application/octet-stream", **headers: Any
) -> Any:
    url = f"{sender.url}/multipart/parts/{number}"
    return sender.client.generic("PUT", url, content, content_type=kind, **headers)


def declared(content: bytes) -> dict[str, str]:
    return {"HTTP_CONTENT_MD5": base64.b64encode(bytes.fromhex(md5_of(content))).decode()}


@pytest.fixture
def sender(owner_api: Client, drive: Drive) -> Sender:
    (found,) = begin(owner_api, announced("/big.blend", CONTENT))
    assert found.start().status_code == 200
    return found


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How far each file was hashed when it was completed; -1 where nothing of it could be used."""
    real, found = hashing_ahead.take, []

    def watched(*args: Any) -> Hasher | None:
        hasher = real(*args)
        found.append(hasher.size if hasher else -1)
        return hasher

    monkeypatch.setattr(hashing_ahead, "take", watched)
    yield found


def hashed(sender: Sender, size: int) -> None:
    """Wait until so much of the file is hashed."""
    ahead = hashing_ahead.files[sender.row().upload_id]
    with ahead.change:
        assert ahead.change.wait_for(lambda: ahead.hasher.size >= size and not ahead.busy, 20)


def test_a_file_in_raw_parts_of_any_order(sender: Sender, drive: Drive) -> None:
    order = list(enumerate(PARTS, 1))
    random.Random(7).shuffle(order)
    for count, (number, part) in enumerate(order, 1):
        answer = put(sender, number, part)
        assert answer.status_code == 200
        etag = f"{zlib.crc32(part):08x}"
        assert answer.json() == {
            "chunk_index": number,
            "etag": etag,
            "chunk_etag": etag,
            "uploaded_chunks": count,
            "total_chunks": len(PARTS),
            "progress_percentage": round(100 * count / len(PARTS), 2),
        }
    etags = {str(number): f"{zlib.crc32(part):08x}" for number, part in order}
    assert sender.complete(chunk_etags=etags).status_code == 200
    assert_stored(sender, CONTENT)
    assert sums(drive) == (len(CONTENT), 0)


def test_a_declared_digest_is_held_to(sender: Sender) -> None:
    refused = put(sender, 1, PARTS[1], **declared(PARTS[0]))
    assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert not UploadPart.objects.exists()
    assert put(sender, 1, PARTS[0], **declared(PARTS[0])).json()["etag"] == md5_of(PARTS[0])


@pytest.mark.parametrize("header", ["x", "eA==", md5_of(b"")])
def test_a_malformed_digest_is_refused(sender: Sender, header: str) -> None:
    answer = put(sender, 1, PARTS[0], HTTP_CONTENT_MD5=header)
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["header", "Content-MD5"])
    assert not UploadPart.objects.exists()


def test_what_is_no_part_is_refused(sender: Sender) -> None:
    for number, content, code in (
        (0, PARTS[0], "part_number_invalid"),
        (len(PARTS) + 1, PARTS[0], "part_number_invalid"),
        (1, PARTS[0][:-1], "size_mismatch"),
        (1, PARTS[0] + b"x", "size_mismatch"),
        (1, b"", "size_mismatch"),
        (len(PARTS), PARTS[0], "size_mismatch"),
    ):
        answer = put(sender, number, content)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert put(sender, 1, PARTS[0], kind="text/plain").status_code == 415
    assert put(sender, "x", PARTS[0]).status_code == 404
    assert not UploadPart.objects.exists()


def test_nobody_else_sends_a_part(sender: Sender, stranger_api: Client, anonymous: Client) -> None:
    assert put(sender.again(stranger_api), 1, PARTS[0]).status_code == 404
    assert put(sender.again(anonymous), 1, PARTS[0]).status_code == 401
    elsewhere = Sender(sender.client, "0196e9f6-0000-7000-8000-000000000000", sender.file_id)
    assert put(elsewhere, 1, PARTS[0]).status_code == 404
    assert not UploadPart.objects.exists()


def test_a_part_that_is_not_held_in_memory(owner_api: Client, settings: Settings) -> None:
    settings.UPLOAD_PART_SIZE = 9 * 2**20
    content = os.urandom(settings.UPLOAD_PART_SIZE + 5)
    (sender,) = begin(owner_api, announced("/huge", content))
    sender.start()
    first = content[: settings.UPLOAD_PART_SIZE]
    refused = put(sender, 1, first, **declared(b"other"))
    assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert put(sender, 1, first, **declared(first)).status_code == 200
    assert put(sender, 2, content[settings.UPLOAD_PART_SIZE :]).status_code == 200
    assert sender.complete().status_code == 200
    assert_stored(sender, content)


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
    assert memory.count == len(memory.free) + sum(map(len, memory.shelved.values())) <= memory.MOST
    assert sender.complete().status_code == 200
    assert taken == [len(content)]
    assert_stored(sender, content)


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
    late.add(PART, hashing_ahead.Piece(2 * PART, is_on_disk=False))
    hashing_ahead.pool.submit(int).result()
    assert hasher is not None
    assert (hasher.size, late.busy) == (PART, False)


def test_what_many_have_shelved_at_once_is_not_kept() -> None:
    lent = [memory.lend() for _number in range(memory.MOST + 4)]
    for number, piece in enumerate(lent):
        memory.shelve("one" if number % 2 else "other", number, piece)
    assert memory.count == memory.MOST == len(memory.free) + sum(map(len, memory.shelved.values()))
    assert memory.take("one", 11) is lent[11]
    memory.give_back(lent[11])
    memory.shelved.clear()
    memory.count = len(memory.free)


class Died(BaseException):
    """The end of the server at this very point."""


def dies(*args: Any, **kwargs: Any) -> Any:
    raise Died


OTHER = bytes(range(250)) * 4
CHANGED = CONTENT[: 2 * PART] + OTHER + CONTENT[3 * PART :]


def send_all(sender: Sender) -> None:
    for number, part in enumerate(PARTS, 1):
        assert put(sender, number, part).status_code == 200


def etag_of(sender: Sender, number: int) -> str:
    return UploadPart.objects.get(task_file=sender.row(), number=number).etag


def test_a_part_comes_again_with_other_content(sender: Sender, drive: Drive) -> None:
    send_all(sender)
    for content in (OTHER, bytes(PART), OTHER, OTHER):
        answer = put(sender, 3, content)
        assert answer.json()["etag"] == etag_of(sender, 3) == f"{zlib.crc32(content):08x}"
        assert answer.json()["uploaded_chunks"] == len(PARTS)
        assert len(staged()) == 2  # the file, and what came last
    assert sender.complete().status_code == 200
    assert_stored(sender, CHANGED)
    assert sums(drive) == (len(CONTENT), 0)


def test_and_back_again(sender: Sender) -> None:
    send_all(sender)
    put(sender, 3, OTHER)
    assert put(sender, 3, PARTS[2]).status_code == 200
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_the_same_bytes_under_another_digest_are_written_once(sender: Sender) -> None:
    send_all(sender)
    assert put(sender, 3, PARTS[2], **declared(PARTS[2])).json()["etag"] == md5_of(PARTS[2])
    assert etag_of(sender, 3) == md5_of(PARTS[2])
    assert UploadPart.objects.exclude(staging_id="").count() == 0
    assert len(staged()) == 1


def test_a_refused_digest_leaves_the_part_that_was_there(sender: Sender) -> None:
    send_all(sender)
    refused = put(sender, 3, OTHER, **declared(PARTS[2]))
    assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert etag_of(sender, 3) == f"{zlib.crc32(PARTS[2]):08x}"
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_a_full_disk_leaves_the_part_that_was_there(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    send_all(sender)
    real = parts.Gathered.write_to

    def half(gathered: Any, file: Any, start: int) -> None:
        os.pwrite(file.fileno(), gathered.buffer[: PART // 2], start)
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(parts.Gathered, "write_to", half)
    answer = put(sender, 3, OTHER)
    monkeypatch.setattr(parts.Gathered, "write_to", real)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert len(staged()) == 1
    assert etag_of(sender, 3) == f"{zlib.crc32(PARTS[2]):08x}"
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_who_dies_before_the_new_part_is_written_down_keeps_the_old_one(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_all(sender)
    with monkeypatch.context() as patch:
        patch.setattr(parts, "note_part", dies)
        with pytest.raises(Died):
            put(sender, 3, OTHER)
    assert len(staged()) == 2  # the sweep's
    assert etag_of(sender, 3) == f"{zlib.crc32(PARTS[2]):08x}"
    assert sender.complete().status_code == 200
    assert content_of(sender.row().file) == CONTENT  # type: ignore[arg-type]


def test_who_dies_in_the_middle_of_a_completion_can_complete_again(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_all(sender)
    hashed(sender, len(CONTENT))
    put(sender, 3, OTHER)
    with monkeypatch.context() as patch:
        patch.setattr(files, "hash_parts", dies)
        with pytest.raises(Died):
            sender.complete()
    # As in another process, which has hashed what was there before.
    upload_id = sender.row().upload_id
    hashing_ahead.files[upload_id] = stale = Ahead(blob_storage().staging_path(upload_id), with_md5=False)
    stale.hasher.update(CONTENT)
    assert sender.complete().status_code == 200
    assert_stored(sender, CHANGED)


def test_the_sweep_leaves_what_is_staged_apart(sender: Sender) -> None:
    send_all(sender)
    put(sender, 3, OTHER)
    later = timezone.now() + 2 * settings.BLOB_GRACE
    assert list(collect_staged(now=later)) == []
    assert sender.complete().status_code == 200
    assert_stored(sender, CHANGED)


@pytest.mark.parametrize("way", ["abort", "cancel", "whole", "batch"])
def test_whatever_ends_the_parts_ends_what_is_staged_apart(sender: Sender, way: str) -> None:
    send_all(sender)
    put(sender, 3, OTHER)
    if way == "abort":
        assert sender.abort().status_code == 200
    elif way == "cancel":
        assert sender.client.put(f"/upload-tasks/{sender.task_id}/cancel").status_code == 200
    elif way == "whole":
        assert sender.whole(CONTENT).status_code == 200
    else:
        form = {sender.file_id: SimpleUploadedFile("x", CONTENT)}
        url = f"/upload-tasks/{sender.task_id}/files/batch"
        assert sender.client.post(url, form, format="multipart").json()["landed"] == 1
    assert (staged(), UploadPart.objects.count()) == ([], 0)


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
    for sender in senders:
        sender.start()
        put(sender, 1, PARTS[0])
    assert list(hashing_ahead.files) == [sender.row().upload_id for sender in senders[2:]]
    for number, sender in enumerate(senders):
        for index, part in enumerate(chunks(CONTENT + bytes([number])), 1):
            put(sender, index, part)
        assert sender.complete().status_code == 200
        assert content_of(sender.row().file) == CONTENT + bytes([number])  # type: ignore[arg-type]


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
