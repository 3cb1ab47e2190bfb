"""How an upload in parts ends: failed, retried, aborted, closed, or too late."""

import os
from typing import Any

import pytest

from accounts.models import User
from drives.models import Blob, Drive, File
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
    staged,
    sums,
)
from uploads.errors import UploadClosed
from uploads.models import TaskFile, UploadPart
from uploads.services import files, parts

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(4 * PART + 123)
PARTS = chunks(CONTENT)


@pytest.fixture
def sender(owner_api: Client, drive: Drive) -> Sender:
    (found,) = begin(owner_api, announced("/big.blend", CONTENT))
    return found


def test_the_whole_must_have_the_declared_digest(owner_api: Client, drive: Drive) -> None:
    (sender,) = begin(owner_api, announced("/x", CONTENT, md5=md5_of(CONTENT)))
    sender.send_parts(CONTENT[::-1])
    answer = sender.complete()
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    shown = owner_api.get(f"/upload-tasks/{sender.task_id}/files").json()["files"][0]
    assert (shown["status"], shown["is_failed"], shown["can_retry"]) == ("failed", True, True)
    assert shown["error_message"]
    assert not File.objects.exists()
    assert not Blob.objects.exists()
    assert not UploadPart.objects.exists()
    assert staged() == []
    assert sums(drive) == (0, len(CONTENT))
    for refused in (sender.start(), sender.part(1, PARTS[0]), sender.complete(), sender.whole(CONTENT)):
        assert (refused.status_code, refused.json()["status"]) == (409, "failed")

    retried = sender.retry()
    assert retried.status_code == 200
    assert {name: retried.json()[name] for name in ("status", "retry_count")} == {
        "status": "pending",
        "retry_count": 1,
    }
    assert sender.start().json()["uploaded_chunks"] == []
    sender.send_parts(CONTENT)
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)
    assert sender.row().error_message == ""
    assert sums(drive) == (len(CONTENT), 0)


def test_a_file_is_retried_three_times(sender: Sender) -> None:
    assert sender.retry().status_code == 409
    for count in (1, 2, 3):
        sender.start()
        sender.abort()
        assert sender.retry().json()["retry_count"] == count
    sender.abort()
    answer = sender.retry()
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_closed")
    shown = sender.client.get(f"/upload-tasks/{sender.task_id}/files").json()["files"][0]
    assert (shown["retry_count"], shown["can_retry"]) == (3, False)


def test_an_aborted_upload_leaves_nothing(sender: Sender, drive: Drive) -> None:
    sender.send_parts(CONTENT)
    answer = sender.abort(reason="用户取消")
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    row = sender.row()
    assert (row.status, row.error_message, row.upload_id) == ("failed", "用户取消", "")
    assert (staged(), UploadPart.objects.count()) == ([], 0)
    assert sums(drive) == (0, len(CONTENT))
    assert sender.abort().status_code == 200
    assert sender.row().error_message == "用户取消"


def test_what_has_landed_is_not_aborted(sender: Sender) -> None:
    sender.send_parts(CONTENT)
    sender.complete()
    assert sender.abort().status_code == 200
    assert sender.row().status == TaskFile.Status.COMPLETED
    assert_stored(sender, CONTENT)


def test_a_part_after_completion_is_refused(sender: Sender) -> None:
    sender.send_parts(CONTENT)
    sender.complete()
    answer = sender.part(1, PARTS[0][::-1])
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_closed")
    assert sender.start().status_code == 409
    assert_stored(sender, CONTENT)


def test_a_part_that_began_before_completion_does_not_reach_the_blob(sender: Sender) -> None:
    """A slow request has read the row while the upload was open, and writes when the file has landed."""
    sender.send_parts(CONTENT)
    slow = sender.row()
    assert sender.complete().status_code == 200
    with pytest.raises(UploadClosed):
        files.receive_part(task_file=slow, number=1, source=parts.laid_out([PARTS[0][::-1]]))
    assert_stored(sender, CONTENT)


def test_a_part_of_an_aborted_upload_is_none_of_the_next(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row would vouch for bytes that the new upload does not have: a hole in the file."""
    sender.start()
    real = parts.note_part

    def abort_first(*arguments: Any, **options: Any) -> parts.Received:
        monkeypatch.setattr(parts, "note_part", real)
        sender.abort()
        sender.retry()
        sender.start()
        return real(*arguments, **options)

    monkeypatch.setattr(parts, "note_part", abort_first)
    assert sender.part(1, PARTS[0]).status_code == 409
    assert sender.parts().json()["uploaded_chunks"] == []
    for number, chunk in enumerate(PARTS[1:], 2):
        sender.part(number, chunk)
    assert sender.complete().json()["missing"] == [1]


def test_an_old_completion_does_not_end_a_new_upload(sender: Sender) -> None:
    """A client that gave up and began anew is not disturbed by the request it gave up on."""
    sender.send_parts(CONTENT)
    slow = sender.row()
    sender.abort()
    sender.retry()
    sender.send_parts(CONTENT)
    with pytest.raises(UploadClosed):
        files.complete_multipart(task_file=slow, actor=slow.task.user)
    assert sender.row().status == TaskFile.Status.UPLOADING
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_bytes_that_are_gone_must_come_again(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    sender.send_parts(CONTENT)
    blob_storage().discard(sender.row().upload_id)
    monkeypatch.setattr(files.await_landing, "__defaults__", (0.1,))
    answer = sender.complete()
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_interrupted")
    # The fault was ours: it is pending again by itself, and one of its retries is spent.
    row = sender.row()
    assert (row.status, row.retry_count, row.upload_id) == (TaskFile.Status.PENDING, 1, "")
    sender.send_parts(CONTENT)
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_sending_it_whole_after_all_leaves_no_parts(sender: Sender) -> None:
    sender.start()
    sender.part(1, PARTS[0])
    assert sender.whole(CONTENT).status_code == 200
    assert_stored(sender, CONTENT)


def test_a_folder_that_took_the_place_fails_the_file(owner: User, sender: Sender) -> None:
    sender.send_parts(CONTENT)
    put(owner, "/big.blend/below", b"y")
    answer = sender.complete()
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    assert sender.row().status == TaskFile.Status.FAILED
    assert (staged(), UploadPart.objects.count()) == ([], 0)


def test_a_closed_task_takes_no_parts(sender: Sender, drive: Drive) -> None:
    sender.start()
    sender.part(1, PARTS[0])
    slow = sender.row()
    sender.client.put(f"/upload-tasks/{sender.task_id}/cancel")
    assert staged() == []
    for answer in (sender.start(), sender.part(2, PARTS[1]), sender.complete(), sender.retry()):
        assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (
            409,
            "upload_closed",
            "cancelled",
        )
    with pytest.raises(UploadClosed):
        files.receive_part(task_file=slow, number=2, source=parts.laid_out([PARTS[1]]))
    assert (UploadPart.objects.count(), staged(), sums(drive)) == (0, [], (0, 0))


def test_a_start_refused_at_the_last_moment_leaves_nothing(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = sender.row()
    sender.client.put(f"/upload-tasks/{sender.task_id}/cancel")
    with pytest.raises(UploadClosed):
        files.start_multipart(task_file=slow)
    assert staged() == []
