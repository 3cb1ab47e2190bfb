"""Parts and completions at once."""

import os
import random
import threading
from typing import Any

import pytest

from accounts.models import User
from drives.models import Blob, Drive, File
from tests.conftest import Client
from tests.racing import race
from tests.uploads.conftest import (
    PART,
    Sender,
    announced,
    begin,
    chunks,
    content_of,
    md5_of,
    sha256_of,
    staged,
    sums,
)
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.services import files, parts

pytestmark = pytest.mark.django_db(transaction=True)
CONTENT = os.urandom(23 * PART + 17)
PARTS = chunks(CONTENT)


@pytest.fixture
def sender(owner: User, drive: Drive) -> Sender:
    return begin(Client(owner), announced("/big.blend", CONTENT), announced("/other", b"other"))[0]


def assert_landed_once(sender: Sender, drive: Drive, content: bytes = CONTENT) -> None:
    file = File.objects.select_related("blob").get()
    assert content_of(file) == content
    assert file.blob.sha256 == sha256_of(content)
    assert (Blob.objects.count(), UploadPart.objects.count(), staged()) == (1, 0, [])
    task = UploadTask.objects.get()
    assert (task.status, task.uploaded_files, task.uploaded_size) == ("uploading", 1, len(content))
    assert sums(drive) == (len(content), 5)


def test_one_upload_is_started(owner: User, sender: Sender) -> None:
    answers = race(8, lambda _number: sender.again(Client(owner)).start().json())
    assert len({answer["upload_id"] for answer in answers}) == 1
    assert staged() == [answers[0]["upload_id"]]


def test_parts_in_parallel(owner: User, sender: Sender, drive: Drive) -> None:
    sender.start()

    def send(number: int) -> None:
        mine = sender.again(Client(owner))
        order = list(enumerate(PARTS, 1))
        random.Random(number).shuffle(order)
        # Every part comes from two of the clients.
        for part, chunk in order:
            if part % 4 in (number, (number + 1) % 4):
                answer = mine.part(part, chunk, chunk_md5=md5_of(chunk))
                assert answer.status_code == 200
                assert answer.json()["progress_percentage"] <= 100

    race(4, send)
    assert UploadPart.objects.count() == len(PARTS)
    assert sender.complete().status_code == 200
    assert_landed_once(sender, drive)


def test_different_bytes_for_one_part_never_mix(owner: User, drive: Drive) -> None:
    """Whatever is last: the ETag of the part is that of the bytes that the file gets."""
    [sender] = begin(Client(owner), announced("/one", bytes(PART)))
    sender.start()
    contents = [bytes([number]) * PART for number in range(8)]

    def send(number: int) -> None:
        mine = sender.again(Client(owner))
        for _time in range(4):
            assert mine.part(1, contents[number]).status_code == 200

    race(8, send)
    etag = UploadPart.objects.get().etag
    assert len(staged()) <= 2  # where it began, and the last one
    assert sender.complete().status_code == 200
    stored = content_of(File.objects.get())
    assert (md5_of(stored), stored in contents, staged()) == (etag, True, [])


def test_ten_complete_at_once(owner: User, sender: Sender, drive: Drive) -> None:
    sender.send_parts(CONTENT)
    answers = race(10, lambda _number: sender.again(Client(owner)).complete())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["file_id"] for answer in answers}) == 1
    assert_landed_once(sender, drive)


def test_eight_complete_what_is_wrong(owner: User, drive: Drive) -> None:
    sender, _other = begin(
        Client(owner), announced("/x", CONTENT, md5=md5_of(b"x")), announced("/other", b"other")
    )
    sender.send_parts(CONTENT)
    answers = race(8, lambda _number: sender.again(Client(owner)).complete())
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} <= {
        (422, "digest_mismatch"),
        (409, "upload_closed"),
    }
    assert "digest_mismatch" in {answer.json()["code"] for answer in answers}
    assert sender.row().status == TaskFile.Status.FAILED
    assert (Blob.objects.count(), File.objects.count(), UploadPart.objects.count(), staged()) == (0, 0, 0, [])


def test_whole_and_parts_at_once(owner: User, sender: Sender, drive: Drive) -> None:
    sender.send_parts(CONTENT)

    def send(number: int) -> Any:
        mine = sender.again(Client(owner))
        return mine.whole(CONTENT) if number % 2 else mine.complete()

    answers = race(6, send)
    assert {answer.status_code for answer in answers} == {200}
    assert_landed_once(sender, drive)


def test_late_parts_do_not_reach_what_is_being_stored(
    owner: User, sender: Sender, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between hashing and keeping, clients send other bytes for parts that are there already."""
    sender.send_parts(CONTENT)
    slow = [sender.row() for _number in range(4)]
    started = threading.Barrier(5)
    real = files.hash_parts

    def hash_and_wait(*arguments: Any, **options: Any) -> Any:
        found = real(*arguments, **options)
        started.wait(20)  # the writers are on their way now
        return found

    monkeypatch.setattr(files, "hash_parts", hash_and_wait)

    def act(number: int) -> bool:
        if number == 4:
            return bool(sender.again(Client(owner)).complete().status_code == 200)
        started.wait(20)
        try:
            files.receive_part(
                task_file=slow[number], number=number + 1, source=parts.laid_out([PARTS[number][::-1]])
            )
        except files.UploadClosed:
            return False
        return True

    assert race(5, act) == [False] * 4 + [True]
    assert_landed_once(sender, drive)


def test_abort_and_completion_at_once(owner: User, sender: Sender, drive: Drive) -> None:
    """One of them wins; in no case is there a file without its count, or a count without its file."""
    sender.send_parts(CONTENT)

    def act(number: int) -> int:
        mine = sender.again(Client(owner))
        return int((mine.abort() if number % 2 else mine.complete()).status_code)

    answers = race(4, act)
    assert set(answers) <= {200, 409}
    row = sender.row()
    if row.status == TaskFile.Status.COMPLETED:
        assert_landed_once(sender, drive)
    else:
        assert row.status == TaskFile.Status.FAILED
        assert (File.objects.count(), UploadPart.objects.count(), staged()) == (0, 0, [])
        assert UploadTask.objects.get().uploaded_files == 0
        assert sums(drive) == (0, len(CONTENT) + 5)


def test_cancel_and_completion_at_once(owner: User, sender: Sender, drive: Drive) -> None:
    sender.send_parts(CONTENT)

    def act(number: int) -> int:
        client = Client(owner)
        if number:
            return int(client.put(f"/upload-tasks/{sender.task_id}/cancel").status_code)
        return int(sender.again(client).complete().status_code)

    completed, cancelled = race(2, act)
    assert cancelled == 200
    assert UploadTask.objects.get().status == UploadTask.Status.CANCELLED
    landed = len(CONTENT) if completed == 200 else 0
    assert sums(drive) == (landed, 0)
    assert File.objects.count() == (1 if landed else 0)
    assert (UploadPart.objects.count(), staged()) == (0, [])
