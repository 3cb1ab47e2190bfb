"""Requests that looked at a file before another one changed it: they change nothing that they did not mean."""

from threading import Event
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from common.errors import NotVisible
from common.ids import new_id
from drives.models import Drive, File
from drives.services.blobs import Digests, Hasher, find_kept, store_staged
from drives.storage import blob_storage
from tests.conftest import Client
from tests.racing import race, somebody_waits_for_a_lock, wait_for
from tests.uploads.conftest import (
    Sender,
    announced,
    assert_stored,
    assert_untouched,
    begin,
    chunks,
    staged,
    sums,
)
from uploads.errors import UploadClosed, UploadPaused
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.services import batches, desktop, files
from uploads.services.tasks import cancel_task

pytestmark = pytest.mark.django_db
CONTENT = bytes(range(250)) * 10
PARTS = chunks(CONTENT)


@pytest.fixture
def sender(owner_api: Client, drive: Drive) -> Sender:
    (found,) = begin(owner_api, announced("/big", CONTENT))
    return found


def stage(content: bytes) -> tuple[str, Digests]:
    """Bytes as a form leaves them."""
    staging_id, hasher = new_id().hex, Hasher()
    hasher.update(content)
    blob_storage().staging_path(staging_id).write_bytes(content)
    return staging_id, hasher.digests()


def upload(row: TaskFile) -> TaskFile:
    staging_id, digests = stage(CONTENT)
    return files.upload_whole(task_file=row, actor=row.task.user, staging_id=staging_id, digests=digests)


def test_a_failure_of_ours_is_none_of_a_file_that_has_landed_meanwhile(sender: Sender) -> None:
    slow = sender.row()
    assert sender.whole(CONTENT).status_code == 200
    files.count_our_failure(slow)
    row = sender.row()
    assert (row.status, row.retry_count, row.error_message) == (TaskFile.Status.COMPLETED, 0, "")


def test_a_file_given_up_meanwhile_does_not_land(sender: Sender, drive: Drive) -> None:
    slow = sender.row()
    sender.abort()
    with pytest.raises(UploadClosed):
        upload(slow)
    assert sender.row().status == TaskFile.Status.FAILED
    assert (File.objects.count(), staged(), sums(drive)) == (0, [], (0, len(CONTENT)))


def test_a_paused_task_takes_no_whole_file_whatever_the_door(sender: Sender) -> None:
    sender.client.put(f"/upload-tasks/{sender.task_id}/pause")
    with pytest.raises(UploadPaused):
        upload(sender.row())
    assert_untouched(sender)


def test_a_closed_upload_is_refused_before_its_form_is_read(sender: Sender) -> None:
    sender.client.put(f"/upload-tasks/{sender.task_id}/cancel")
    for path in ("upload", "multipart/upload"):
        answer = sender.client.post(f"{sender.url}/{path}", {}, format="multipart")
        assert (answer.status_code, answer.json()["code"]) == (409, "upload_closed"), path
    answer = sender.client.post(f"/upload-tasks/{sender.task_id}/files/batch", {}, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_closed")


def test_a_second_start_finds_the_upload_of_the_first(sender: Sender) -> None:
    slow = sender.row()
    started = sender.start().json()
    sender.part(1, PARTS[0])
    assert files.start_multipart(task_file=slow).upload_id == started["upload_id"]
    assert staged() == [started["upload_id"]]
    assert sender.parts().json() == {**started, "uploaded_chunks": [1]}


def test_a_start_does_not_revive_what_was_given_up(sender: Sender) -> None:
    slow = sender.row()
    sender.abort()
    with pytest.raises(UploadClosed):
        files.start_multipart(task_file=slow)
    row = sender.row()
    assert (row.status, row.upload_id, staged()) == (TaskFile.Status.FAILED, "", [])


def test_a_task_that_is_gone_cannot_be_cancelled(sender: Sender, drive: Drive) -> None:
    task = UploadTask.objects.get()
    sender.client.delete(f"/upload-tasks/{sender.task_id}")
    with pytest.raises(NotVisible):
        cancel_task(task=task)
    assert sums(drive) == (0, 0)


def test_a_cancelled_upload_lets_go_of_its_parts(sender: Sender) -> None:
    sender.start()
    sender.part(1, PARTS[0])
    sender.client.put(f"/upload-tasks/{sender.task_id}/cancel")
    shown = sender.parts().json()
    assert (shown["upload_id"], shown["uploaded_chunks"], staged()) == ("", [], [])


def test_a_slow_completion_leaves_the_next_upload_alone(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.send_parts(CONTENT)
    real = files.hash_parts

    def slow(*arguments: Any) -> Digests:
        monkeypatch.setattr(files, "hash_parts", real)
        found = real(*arguments)
        sender.abort()
        sender.retry()
        sender.start()
        return found

    monkeypatch.setattr(files, "hash_parts", slow)
    answer = sender.complete()
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_closed")
    row = sender.row()
    assert (row.status, row.sha256, row.retry_count) == (TaskFile.Status.UPLOADING, "", 1)
    assert staged() == [row.upload_id]


def test_bytes_that_two_write_down_stay_where_they_are(db: None) -> None:
    """One was only slow, not dead: the same bytes under the same key are not in anybody's way."""
    staging_id, digests = stage(CONTENT)
    blob = store_staged(staging_id=staging_id, digests=digests)
    assert find_kept(staging_id=staging_id, sha256=digests.sha256) == blob
    assert find_kept(staging_id=staging_id, sha256="0" * 64) is None
    with blob_storage().open_blob(blob.storage_key) as kept:
        assert kept.read() == CONTENT


@pytest.fixture
def three(owner_api: Client, drive: Drive) -> list[Sender]:
    return begin(owner_api, *(announced(f"/{name}", name.encode()) for name in ("one", "two", "six")))


def batch(task: UploadTask, *senders: Sender) -> list[batches.Outcome]:
    """The first files of the three, sent together to a task as the caller knows it."""
    sent = []
    for sender, content in zip(senders, (b"one", b"two"), strict=True):
        staging_id, digests = stage(content)
        sent.append(batches.SentFile(UUID(sender.file_id), staging_id, digests, timezone.now()))
    return batches.upload_batch(task=task, actor=task.user, sent=sent)


def test_a_batch_of_a_task_that_is_cancelled_meanwhile_keeps_nothing(
    three: list[Sender], drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batches.keep_all

    def keep_all(**options: Any) -> list[Any]:
        found = real(**options)
        assert three[0].client.put(f"/upload-tasks/{three[0].task_id}/cancel").status_code == 200
        return found

    monkeypatch.setattr(batches, "keep_all", keep_all)
    outcomes = batch(UploadTask.objects.get(), *three[:2])
    assert [type(outcome) for outcome in outcomes] == [UploadClosed, UploadClosed]
    assert (File.objects.count(), staged(), sums(drive)) == (0, [], (0, 0))
    assert UploadTask.objects.get().uploaded_files == 0


def test_a_file_of_a_batch_that_is_given_up_meanwhile_spoils_no_other(
    three: list[Sender], drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batches.keep_all

    def keep_all(**options: Any) -> list[Any]:
        found = real(**options)
        assert three[0].abort().status_code == 200
        return found

    monkeypatch.setattr(batches, "keep_all", keep_all)
    refused, landed = batch(UploadTask.objects.get(), *three[:2])
    assert isinstance(refused, UploadClosed)
    assert isinstance(landed, TaskFile)
    assert [sender.row().status for sender in three] == ["failed", "completed", "pending"]
    assert (File.objects.get().name, staged(), sums(drive)) == ("two", [], (3, 6))


def test_a_paused_task_takes_no_batch_whatever_the_door(three: list[Sender]) -> None:
    three[0].client.put(f"/upload-tasks/{three[0].task_id}/pause")
    with pytest.raises(UploadPaused):
        batch(UploadTask.objects.get(), *three[:2])
    assert (File.objects.count(), staged()) == (0, [])


def test_two_last_chunks_settle_the_reservation_once(owner: User, drive: Drive) -> None:
    slow = desktop.begin_upload(owner, "scene-1", desktop.CHUNK_SIZE)
    for _time in range(2):
        assert desktop.resize(slow, 100).file_size == 100
    assert (UploadTask.objects.get().total_size, sums(drive)) == (100, (0, 100))


@pytest.mark.django_db(transaction=True)
def test_giving_up_waits_for_a_file_that_is_landing(sender: Sender, drive: Drive) -> None:
    """Its last try is spent: counted as given up and as landed it would be more files than the task has."""
    TaskFile.objects.update(retry_count=TaskFile.MAX_RETRIES)
    written = Event()

    def act(number: int) -> Any:
        if number:
            assert written.wait(20)
            return sender.abort()
        with transaction.atomic():
            answer = sender.whole(CONTENT)
            written.set()
            wait_for(somebody_waits_for_a_lock)
        return answer

    assert [answer.status_code for answer in race(2, act)] == [200, 200]
    assert_stored(sender, CONTENT)
    task = UploadTask.objects.get()
    assert (task.status, task.failed_files) == (UploadTask.Status.COMPLETED, 0)
    assert (UploadPart.objects.count(), sums(drive)) == (0, (len(CONTENT), 0))
