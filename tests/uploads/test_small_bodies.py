"""A small file as the body of one request: POST …/files/{id}/upload, from memory into the drive."""

import errno
import os
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from common.postgresql.disk import WAIT
from drives.models import Blob, Drive, DriveMember, File
from drives.storage import blob_storage
from tests.conftest import Client
from tests.racing import race, somebody_waits_for_a_lock, wait_for
from tests.uploads.conftest import (
    Sender,
    announced,
    assert_stored,
    assert_untouched,
    begin,
    md5_of,
    sha256_of,
    staged,
    sums,
)
from uploads.models import TaskFile, UploadTask
from uploads.services.whole import IN_MEMORY

pytestmark = pytest.mark.django_db
TYPE = 'image/png; a="b\\c", {NULL}'


def send(sender: Sender, content: bytes) -> Any:
    return sender.client.generic(
        "POST", f"{sender.url}/upload", content, content_type="application/octet-stream"
    )


@pytest.fixture
def kept_before() -> set[str]:
    """Keys of the storage before the test."""
    return {found.key for found in blob_storage().objects()}


def stored_since(before: set[str]) -> int:
    return len({found.key for found in blob_storage().objects()} - before)


@pytest.mark.parametrize("size", [0, 1, 20_480, IN_MEMORY, IN_MEMORY + 1])
def test_content_arrives_as_it_was_sent(owner_api: Client, drive: Drive, size: int) -> None:
    content = os.urandom(size)
    file = announced("/木/x.png", content, md5=md5_of(content))
    [sender] = begin(owner_api, {**file, "mime_type": TYPE})
    answer = send(sender, content)
    assert answer.status_code == 200
    body = answer.json()
    landed = sender.row().file
    assert landed is not None
    assert body["oss_url"]
    assert (body["file_id"], body["file_size"], body["md5"], body["sha256"], body["is_duplicated"]) == (
        str(landed.pk),
        size,
        md5_of(content),
        sha256_of(content),
        False,
    )
    assert landed.mime_type == TYPE
    assert_stored(sender, content)
    assert sums(drive) == (size, 0)
    task = UploadTask.objects.get(pk=sender.task_id)
    assert (task.status, task.uploaded_files, task.uploaded_size) == ("completed", 1, size)


@pytest.mark.django_db(transaction=True)
def test_it_takes_three_statements_the_last_of_which_waits_for_the_disk(owner: User) -> None:
    api = Client(owner)
    first, second, _third = begin(api, *(announced(f"/a/{name}", b"content") for name in "123"))
    send(first, b"warm up")
    with CaptureQueriesContext(connection) as captured:
        assert send(second, b"CONTENT").status_code == 200
    find, land, wait = [query["sql"] for query in captured if "accounts_session" not in query["sql"]]
    assert "uploads_under_way(" in find
    assert "uploads_land(" in land
    assert wait == WAIT


@pytest.mark.parametrize("rows_known", [-1, 0])
def test_a_file_costs_the_same_however_many_its_task_has(owner_api: Client, rows_known: int) -> None:
    """The tables have no statistics (-1), or those of a VACUUM while they were empty (0): then all were read."""
    first, *_others = begin(owner_api, *(announced(f"/a/{number}", b"content") for number in range(200)))

    def rows_read() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = %s",
                [TaskFile._meta.db_table],
            )
            [(count,)] = cursor.fetchall()
        return int(count)

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_class SET relpages = 0, reltuples = %s WHERE relname LIKE 'uploads\\_%%'", [rows_known]
        )
        cursor.execute("DISCARD PLANS")
    before = rows_read()
    assert send(first, b"content").status_code == 200
    assert rows_read() - before <= 3  # to know it, to see what becomes of it, to change it


def test_what_is_refused_leaves_nothing(
    owner_api: Client, stranger_api: Client, drive: Drive, kept_before: set[str]
) -> None:
    [sender] = begin(owner_api, announced("/x", b"content", md5=md5_of(b"content")))
    for content, code in (
        (b"conten", "size_mismatch"),
        (b"", "size_mismatch"),
        (b"CONTENT", "digest_mismatch"),
    ):
        answer = send(sender, content)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert send(sender.again(stranger_api), b"content").status_code == 404
    owner_api.put(f"/upload-tasks/{sender.task_id}/pause")
    assert send(sender, b"content").json()["code"] == "upload_paused"
    assert_untouched(sender)
    assert (Blob.objects.count(), stored_since(kept_before), sums(drive)) == (0, 0, (0, 7))
    owner_api.put(f"/upload-tasks/{sender.task_id}/resume")
    assert send(sender, b"content").status_code == 200
    again = send(sender, b"CONTENT")
    assert (again.status_code, again.json()["sha256"]) == (200, sha256_of(b"content"))
    assert stored_since(kept_before) == 1
    [cancelled, _other] = begin(owner_api, announced("/y", b"content"), announced("/z", b"content"))
    owner_api.put(f"/upload-tasks/{cancelled.task_id}/cancel")
    assert send(cancelled, b"content").json()["code"] == "upload_closed"


@pytest.mark.parametrize("door", ["body", "form", "batch"])
def test_who_may_not_write_any_more_leaves_nothing_in_the_storage(
    stranger: User, stranger_api: Client, drive: Drive, kept_before: set[str], door: str
) -> None:
    """No row would name it, so that no sweep would find it."""
    member = DriveMember.objects.create(drive=drive, user=stranger, role=DriveMember.Role.EDITOR)
    [sender] = begin(stranger_api, announced("/x", b"content"), drive_id=str(drive.pk))
    DriveMember.objects.filter(pk=member.pk).update(role=DriveMember.Role.VIEWER)
    if door == "batch":
        form = {sender.file_id: SimpleUploadedFile("x", b"content")}
        answer = stranger_api.post(f"/upload-tasks/{sender.task_id}/files/batch", form, format="multipart")
    else:
        answer = send(sender, b"content") if door == "body" else sender.whole(b"content")
    assert (answer.status_code, answer.json()["code"]) == (403, "drive_read_only")
    assert (stored_since(kept_before), Blob.objects.count(), staged()) == (0, 0, [])


def test_content_that_is_known_is_not_stored_again(
    owner_api: Client, stranger_api: Client, kept_before: set[str]
) -> None:
    [theirs] = begin(stranger_api, announced("/x", b"content"))
    assert send(theirs, b"content").status_code == 200
    # About to be swept, and it came without an MD5.
    Blob.objects.update(unreferenced_at=timezone.now() - timedelta(days=9), md5="")
    [sender] = begin(owner_api, announced("/x", b"content"))
    answer = send(sender, b"content").json()
    assert (answer["md5"], answer["is_duplicated"]) == (md5_of(b"content"), False)
    blob = Blob.objects.get()
    assert (blob.unreferenced_at, blob.md5) == (None, md5_of(b"content"))
    row = sender.row()
    assert (row.status, row.was_stored, row.file and row.file.blob_id) == ("completed", True, blob.pk)
    assert stored_since(kept_before) == 1


@pytest.mark.parametrize("failing", ["write", "fsync of the file", "fsync of its folder"])
def test_what_the_disk_does_not_take_can_come_again(
    owner_api: Client, drive: Drive, kept_before: set[str], monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    [sender] = begin(owner_api, announced("/x", b"content"))
    calls = {"pwrite": 0, "fsync": 0}
    name, fails_at = ("pwrite", 1) if failing == "write" else ("fsync", 1 if "file" in failing else 2)
    real = getattr(os, name)

    def full(*arguments: Any) -> Any:
        calls[name] += 1
        if calls[name] == fails_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    for number in range(256):  # a new folder is synced, too
        Path(blob_storage().path(f"{number:02x}")).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(os, name, full)
    answer = send(sender, b"content")
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    row = sender.row()
    assert (row.status, row.retry_count, bool(row.error_message)) == (TaskFile.Status.PENDING, 1, True)
    assert (File.objects.count(), Blob.objects.count(), staged(), stored_since(kept_before)) == (0, 0, [], 0)
    assert sums(drive) == (0, 7)
    assert send(sender, b"content").status_code == 200
    assert_stored(sender, b"content")


@pytest.mark.django_db(transaction=True)
def test_racing_uploads_store_a_content_and_count_a_file_once(owner: User, kept_before: set[str]) -> None:
    api = Client(owner)
    one, *others = begin(api, *(announced(f"/a/{number}", b"content") for number in range(5)))
    senders = [one, one, one, one, *others]
    answers = race(8, lambda number: send(senders[number].again(Client(owner)), b"content"))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.json()["file_id"] for answer in answers}) == 5
    assert (Blob.objects.count(), File.objects.count(), stored_since(kept_before)) == (1, 5, 1)
    task = UploadTask.objects.get(pk=one.task_id)
    assert (task.status, task.uploaded_files, task.uploaded_size) == ("completed", 5, 35)
    task.drive.refresh_from_db()
    assert (task.drive.used_size, task.drive.reserved_size) == (35, 0)


@pytest.mark.django_db(transaction=True)
def test_content_that_is_swept_at_this_moment_is_stored_anew(owner: User) -> None:
    api = Client(owner)
    first, second = begin(api, announced("/x", b"content"), announced("/y", b"content"))
    assert send(first, b"content").status_code == 200
    TaskFile.objects.update(file=None)
    File.objects.all().delete()
    deleted = Event()

    def act(number: int) -> int:
        if number:
            assert deleted.wait(20)
            return int(send(second.again(Client(owner)), b"content").status_code)
        with transaction.atomic():
            blob = Blob.objects.select_for_update().get()
            blob.delete()
            deleted.set()
            wait_for(somebody_waits_for_a_lock)
        blob_storage().delete(blob.storage_key)
        return 0

    assert race(2, act) == [0, 200]
    assert_stored(second, b"content")
