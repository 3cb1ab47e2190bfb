"""A file in parts: any order, any number of times, resumable."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from drives.errors import SizeMismatch
from drives.models import Blob, Drive
from drives.storage import blob_storage
from tests.conftest import Client
from tests.factories import put
from tests.uploads.conftest import (
    PART,
    Sender,
    announced,
    assert_stored,
    begin,
    chunks,
    md5_of,
    sha256_of,
    staged,
    sums,
)
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.services.files import part_size_for

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(4 * PART + 123)
PARTS = chunks(CONTENT)
MIB = 2**20


@pytest.fixture
def sender(owner_api: Client, drive: Drive) -> Sender:
    (found,) = begin(owner_api, announced("/big.blend", CONTENT))
    return found


def test_parts_become_the_file(sender: Sender, drive: Drive) -> None:
    started = sender.start().json()
    assert started == {
        "task_file_id": sender.file_id,
        "upload_id": started["upload_id"],
        "chunk_size": PART,
        "total_chunks": 5,
        "uploaded_chunks": [],
    }
    for number, chunk in enumerate(PARTS, 1):
        answer = sender.part(number, chunk, chunk_md5=md5_of(chunk))
        assert answer.status_code == 200
        assert answer.json() == {
            "chunk_index": number,
            "etag": md5_of(chunk),
            "chunk_etag": md5_of(chunk),
            "uploaded_chunks": number,
            "total_chunks": 5,
            "progress_percentage": 20.0 * number,
        }
    result = sender.complete().json()
    assert (result["file_size"], result["sha256"]) == (len(CONTENT), sha256_of(CONTENT))
    assert result["file_id"] == str(sender.row().file_id)
    assert_stored(sender, CONTENT)
    assert sums(drive) == (len(CONTENT), 0)
    assert UploadTask.objects.get().status == UploadTask.Status.COMPLETED


def test_the_second_start_finds_the_first(sender: Sender) -> None:
    first = sender.start().json()
    sender.part(2, PARTS[1])
    again = sender.start().json()
    assert again == {**first, "uploaded_chunks": [2]}
    assert staged() == [first["upload_id"]]
    assert UploadTask.objects.get().status == UploadTask.Status.UPLOADING


def test_parts_come_in_any_order_and_more_than_once(sender: Sender) -> None:
    sender.start()
    for number in (5, 2, 2, 1, 4, 5, 3, 1):
        assert sender.part(number, PARTS[number - 1]).status_code == 200
    assert UploadPart.objects.count() == 5
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_a_part_sent_again_replaces_the_first(sender: Sender) -> None:
    sender.start()
    for number, chunk in enumerate(PARTS, 1):
        sender.part(number, chunk[::-1])
    for number, chunk in enumerate(PARTS, 1):
        sender.part(number, chunk)
    assert sender.complete(chunk_etags={str(n): md5_of(c) for n, c in enumerate(PARTS, 1)}).status_code == 200
    assert_stored(sender, CONTENT)


def test_a_refused_part_leaves_the_good_one(sender: Sender) -> None:
    sender.send_parts(CONTENT)
    wrong = PARTS[1][::-1]
    for answer, code in (
        (sender.part(2, wrong, chunk_md5=md5_of(PARTS[1])), "digest_mismatch"),
        (sender.part(2, wrong[:-1]), "size_mismatch"),
        (sender.part(2, wrong + b"x"), "size_mismatch"),
        (sender.part(2, b""), "size_mismatch"),
        (sender.part(5, PARTS[0]), "size_mismatch"),
        (sender.part(0, wrong), "part_number_invalid"),
        (sender.part(-1, wrong), "part_number_invalid"),
        (sender.part(6, wrong), "part_number_invalid"),
        (sender.part(10**12, wrong), "part_number_invalid"),
        (sender.part("two", wrong), "validation_error"),
        (sender.part("", wrong), "validation_error"),
        (sender.part(2, wrong, chunk_md5="abc"), "validation_error"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    no_chunk = sender.client.post(f"{sender.url}/multipart/upload", {"chunk_index": "2"}, format="multipart")
    assert (no_chunk.status_code, no_chunk.json()["code"]) == (422, "file_missing")
    assert sender.parts().json()["uploaded_chunks"] == [1, 2, 3, 4, 5]
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_nothing_before_the_start(sender: Sender) -> None:
    for answer in (sender.part(1, PARTS[0]), sender.complete()):
        assert (answer.status_code, answer.json()["code"]) == (409, "multipart_not_started")
    assert not UploadPart.objects.exists()


def test_missing_parts_are_named_and_can_be_sent(sender: Sender) -> None:
    sender.start()
    for number in (1, 4):
        sender.part(number, PARTS[number - 1])
    answer = sender.complete()
    assert (answer.status_code, answer.json()["code"], answer.json()["missing"]) == (
        409,
        "parts_missing",
        [2, 3, 5],
    )
    assert sender.row().status == TaskFile.Status.UPLOADING
    for number in (2, 3, 5):
        sender.part(number, PARTS[number - 1])
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_another_client_goes_on_where_the_first_stopped(owner: User, sender: Sender) -> None:
    sender.start()
    for number in (1, 3):
        sender.part(number, PARTS[number - 1])
    later = sender.again(Client(owner))
    state = later.parts().json()
    assert state["uploaded_chunks"] == [1, 3]
    assert state == later.start().json()
    shown = later.client.get(f"/upload-tasks/{sender.task_id}/files").json()["files"][0]
    assert (shown["status"], shown["upload_progress"]) == (
        "uploading",
        round(100 * 2 * PART / len(CONTENT), 2),
    )
    for number in set(range(1, state["total_chunks"] + 1)) - set(state["uploaded_chunks"]):
        later.part(number, PARTS[number - 1])
    assert later.complete().status_code == 200
    assert_stored(sender, CONTENT)


ETAGS = {number: md5_of(chunk) for number, chunk in enumerate(PARTS, 1)}


@pytest.mark.parametrize(
    "etags",
    [
        {str(number): etag for number, etag in ETAGS.items()},
        {str(number): f'"{etag.upper()}"' for number, etag in ETAGS.items()},
        [{"part_number": number, "etag": etag} for number, etag in ETAGS.items()],
        [{"part_number": number} for number in ETAGS],
        [{"part_number": str(number), "etag": None} for number in ETAGS],
        {"2": ETAGS[2]},
        [],
        {},
        None,
    ],
)
def test_etags_in_every_form_that_clients_send(sender: Sender, etags: Any) -> None:
    sender.send_parts(CONTENT)
    assert sender.complete(chunk_etags=etags).status_code == 200
    assert_stored(sender, CONTENT)


@pytest.mark.parametrize(
    "etags", ["x", 5, [1], ["x"], [{"etag": "x"}], {"one": "x"}, [{"part_number": None}]]
)
def test_what_is_no_list_of_etags_is_refused(sender: Sender, etags: Any) -> None:
    sender.send_parts(CONTENT)
    answer = sender.complete(chunk_etags=etags)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.json()["errors"][0]["loc"] == ["body", "chunk_etags"]


@pytest.mark.parametrize("etags", [{"2": ETAGS[1]}, [{"part_number": 2, "etag": "x"}], {"9": ETAGS[1]}])
def test_an_etag_that_is_not_that_of_the_part(sender: Sender, etags: Any) -> None:
    sender.send_parts(CONTENT)
    answer = sender.complete(chunk_etags=etags)
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    # Nothing is lost: without the wrong claim it is the file.
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_completing_again_answers_the_same(sender: Sender, drive: Drive) -> None:
    sender.send_parts(CONTENT)
    first, second = sender.complete().json(), sender.complete()
    assert second.status_code == 200
    assert {**second.json(), "upload_duration": 0, "oss_url": ""} == {
        **first,
        "upload_duration": 0,
        "oss_url": "",
    }
    task = UploadTask.objects.get()
    assert (task.uploaded_files, task.uploaded_size) == (1, len(CONTENT))
    assert sums(drive) == (len(CONTENT), 0)


def test_parts_grow_so_that_ten_thousand_suffice(settings: Settings) -> None:
    settings.UPLOAD_PART_SIZE = 5 * MIB
    for size, part_size in (
        (0, 5 * MIB),
        (50_000 * MIB, 5 * MIB),
        (50_000 * MIB + 1, 10 * MIB),
        (400_000 * MIB, 40 * MIB),
        (400_000 * MIB + 1, 64 * MIB),
        (640_000 * MIB, 64 * MIB),
    ):
        assert part_size_for(size) == part_size
    with pytest.raises(SizeMismatch):
        part_size_for(640_000 * MIB + 1)


def test_bytes_lie_where_they_belong_before_the_last_part_came(sender: Sender) -> None:
    """Parts are written at their offset as they arrive: completion moves no bytes."""
    upload_id = sender.start().json()["upload_id"]
    sender.part(4, PARTS[3])
    sender.part(2, PARTS[1])
    lying = Path(blob_storage().staging_path(upload_id)).read_bytes()
    assert lying == bytes(PART) + PARTS[1] + bytes(PART) + PARTS[3] + bytes(len(CONTENT) - 4 * PART)
    assert UploadPart.objects.filter(created_at__lte=timezone.now()).count() == 2


def test_an_empty_file_has_no_parts(owner_api: Client) -> None:
    (sender,) = begin(owner_api, announced("/empty", b"", md5=md5_of(b"")))
    assert sender.start().json()["total_chunks"] == 1
    assert sender.complete().status_code == 200
    assert_stored(sender, b"")
    (other,) = begin(owner_api, announced("/other", b""))
    other.start()
    assert other.part(1, b"").status_code == 200
    assert other.complete().status_code == 200
    assert_stored(other, b"")


def test_known_content_is_stored_once(owner: User, sender: Sender) -> None:
    known = put(owner, "/known", CONTENT)
    sender.send_parts(CONTENT)
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)
    assert Blob.objects.get() == known.blob
