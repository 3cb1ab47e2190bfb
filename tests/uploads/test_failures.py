"""Whose fault it was: ours costs a retry by itself, the client's waits for one; after three a file is given up."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from drives.models import Blob, Drive, File
from drives.services.blobs import Digests, store_staged
from drives.storage import StorageError, blob_storage, filesystem
from tests.conftest import Client
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
from uploads.services import files, parts

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(2 * PART + 5)
PARTS = chunks(CONTENT)


@pytest.fixture
def sender(owner_api: Client, drive: Drive) -> Sender:
    (found,) = begin(owner_api, announced("/big", CONTENT))
    return found


def shown(sender: Sender) -> dict[str, Any]:
    found: dict[str, Any] = sender.client.get(f"/upload-tasks/{sender.task_id}").json()
    return found


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keeping staged bytes fails as often as the list says; then it works again."""
    times, real = [1], type(blob_storage()).take_in

    def take_in(storage: Any, path: Path, key: str) -> None:
        if times[0]:
            times[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        real(storage, path, key)

    monkeypatch.setattr(type(blob_storage()), "take_in", take_in)
    return times


def test_a_whole_file_that_we_could_not_keep_can_come_again(
    sender: Sender, drive: Drive, full_disk: list[int]
) -> None:
    answer = sender.whole(CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert answer["Retry-After"] == "5"
    assert "device" not in answer.content.decode()
    row = sender.row()
    assert (row.status, row.retry_count, bool(row.error_message)) == (TaskFile.Status.PENDING, 1, True)
    assert (File.objects.count(), Blob.objects.count(), staged(), sums(drive)) == (
        0,
        0,
        [],
        (0, len(CONTENT)),
    )
    assert sender.whole(CONTENT).status_code == 200
    assert_stored(sender, CONTENT)
    assert (sender.row().retry_count, sender.row().error_message) == (1, "")


def test_parts_that_we_could_not_keep_are_still_there(sender: Sender, full_disk: list[int]) -> None:
    sender.send_parts(CONTENT)
    answer = sender.complete()
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert sender.parts().json()["uploaded_chunks"] == [1, 2, 3]
    assert (sender.row().status, sender.row().retry_count) == (TaskFile.Status.UPLOADING, 1)
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_bytes_that_the_disk_has_failed_to_take_come_again(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever syncs them a second time is told that all is well, and reads what the disk may not have (fsync(2))."""
    real = filesystem.sync
    failed: list[Path] = []

    def sync(path: Path) -> None:
        if path.is_file() and not failed:
            failed.append(path)
            raise OSError(errno.EIO, "Input/output error")
        real(path)

    monkeypatch.setattr(filesystem, "sync", sync)
    monkeypatch.setattr(files.await_landing, "__defaults__", (0.1,))
    sender.send_parts(CONTENT)
    assert sender.complete().json()["code"] == "storage_unavailable"
    answer = sender.complete()
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_interrupted")
    assert (sender.row().status, File.objects.count(), Blob.objects.count(), staged()) == (
        TaskFile.Status.PENDING,
        0,
        0,
        [],
    )
    sender.send_parts(CONTENT)
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_after_three_of_our_failures_the_upload_has_failed(
    sender: Sender, drive: Drive, full_disk: list[int]
) -> None:
    full_disk[0] = 4
    sender.send_parts(CONTENT)
    for count in (1, 2, 3):
        assert sender.complete().status_code == 503
        assert sender.row().retry_count == count
    assert sender.complete().status_code == 503
    assert sender.row().status == TaskFile.Status.FAILED
    task = shown(sender)
    assert (task["status"], task["failed_files"], bool(task["error_message"])) == ("failed", 1, True)
    assert (sums(drive), staged(), UploadPart.objects.count()) == ((0, 0), [], 0)
    for refused in (sender.retry(), sender.start(), sender.whole(CONTENT)):
        assert (refused.status_code, refused.json()["status"]) == (409, "failed")


def test_a_part_that_we_could_not_write_was_not_acknowledged(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.start()
    real = parts.note_part

    def fail(*arguments: Any, **options: Any) -> UploadPart:
        monkeypatch.setattr(parts, "note_part", real)
        raise StorageError("the disk is away")

    monkeypatch.setattr(parts, "note_part", fail)
    answer = sender.part(1, PARTS[0])
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert sender.parts().json()["uploaded_chunks"] == []
    sender.send_parts(CONTENT)
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)
    assert sender.row().retry_count == 0


def test_a_form_that_we_could_not_stage(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*arguments: Any) -> Path:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(type(blob_storage()), "staging_path", away)
        answer = sender.whole(CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert sender.row().status == TaskFile.Status.PENDING
    assert sender.whole(CONTENT).status_code == 200


def test_a_process_that_died_after_storing_takes_nothing_with_it(sender: Sender, drive: Drive) -> None:
    """Killed between keeping the bytes and landing the file: the next completion finds the content by its digest."""
    sender.send_parts(CONTENT)
    row = sender.row()
    digests = Digests(len(CONTENT), sha256_of(CONTENT), 0)
    TaskFile.objects.filter(pk=row.pk).update(sha256=digests.sha256)
    store_staged(staging_id=row.upload_id, digests=digests)
    assert staged() == []
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)
    assert sender.row().retry_count == 0
    assert sums(drive) == (len(CONTENT), 0)


def test_the_digest_of_an_earlier_upload_finds_nothing(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other bytes of the same length came once, and were given up; they are never taken for those of now."""
    sender.send_parts(CONTENT[::-1])
    TaskFile.objects.update(sha256=sha256_of(CONTENT[::-1]))
    other = Digests(len(CONTENT), sha256_of(CONTENT[::-1]), 0)
    store_staged(staging_id=sender.row().upload_id, digests=other)
    sender.abort()
    sender.retry()
    sender.send_parts(CONTENT)
    blob_storage().discard(sender.row().upload_id)
    monkeypatch.setattr(files.await_landing, "__defaults__", (0.1,))
    answer = sender.complete()
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_interrupted")
    assert not File.objects.exists()


def give_up(sender: Sender) -> None:
    """Fail a file until its retries are spent."""
    for _count in range(3):
        sender.abort()
        assert sender.retry().status_code == 200
    sender.abort()


def test_the_others_may_still_land_and_then_the_task_has_failed(owner_api: Client, drive: Drive) -> None:
    bad, good, late = begin(
        owner_api, *(announced(f"/{name}", name.encode()) for name in ("bad", "good", "late"))
    )
    good.whole(b"good")
    give_up(bad)
    task = shown(bad)
    assert (task["status"], task["failed_files"], task["uploaded_files"]) == ("uploading", 1, 1)
    refused = bad.retry()
    assert (refused.status_code, refused.json()["status"], bad.row().retry_count) == (409, "failed", 3)
    assert sums(drive) == (4, 7)
    assert late.whole(b"late").status_code == 200
    task = shown(bad)
    assert (task["status"], task["failed_files"], task["uploaded_files"]) == ("failed", 1, 2)
    assert task["completed_at"] is None
    assert sums(drive) == (8, 0)
    assert File.objects.count() == 2


def test_a_failed_file_with_retries_left_keeps_the_task_open(owner_api: Client) -> None:
    first, second = begin(owner_api, announced("/1", b"1", md5=md5_of(b"2")), announced("/2", b"2"))
    second.whole(b"2")
    first.start()
    first.part(1, b"1")
    assert first.complete().status_code == 422
    assert (shown(first)["status"], first.row().status) == ("uploading", TaskFile.Status.FAILED)
    assert first.retry().json()["retry_count"] == 1


def test_given_up_files_of_a_closed_task_are_not_counted(sender: Sender) -> None:
    TaskFile.objects.update(retry_count=3)
    sender.client.put(f"/upload-tasks/{sender.task_id}/cancel")
    assert sender.abort().status_code == 200
    assert (shown(sender)["status"], shown(sender)["failed_files"]) == ("cancelled", 0)
    assert UploadTask.objects.get().status == UploadTask.Status.CANCELLED
