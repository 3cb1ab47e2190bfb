"""A file in one request: POST …/files/{id}/upload."""

import os
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import User
from common.postgresql.disk import WAIT
from drives.models import Blob, Drive, File, Folder
from drives.services.blobs import Kept
from drives.services.drives import create_drive, delete_drive
from drives.services.moving import Destination, move, rename
from drives.services.trash import trash
from drives.storage import blob_storage
from tests.conftest import Client
from tests.factories import put
from tests.racing import race
from tests.uploads.conftest import (
    announced,
    assert_stored,
    assert_untouched,
    begin,
    content_of,
    md5_of,
    sha256_of,
    staged,
    sums,
)
from uploads.models import TaskFile, UploadTask

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(3_000_000)


def test_content_arrives_as_it_was_sent(
    owner: User, owner_api: Client, anonymous: Client, drive: Drive
) -> None:
    (sender,) = begin(owner_api, announced("/场景/木.png", CONTENT, md5=md5_of(CONTENT).upper()))
    answer = sender.whole(CONTENT)
    assert answer.status_code == 200
    result = answer.json()
    file = File.objects.select_related("folder", "blob").get()
    assert result == {
        "task_file_id": sender.file_id,
        "file_id": str(file.pk),
        "file_size": len(CONTENT),
        "md5": md5_of(CONTENT),
        "sha256": sha256_of(CONTENT),
        "oss_key": "/场景/木.png",
        "oss_url": result["oss_url"],
        "is_duplicated": False,
        "instant_upload": False,
        "upload_duration": result["upload_duration"],
    }
    assert (file.folder_path, file.name, file.mime_type, file.uploaded_by) == (
        "/场景",
        "木.png",
        "image/png",
        owner,
    )
    assert content_of(file) == CONTENT
    assert b"".join(anonymous.get(urlsplit(result["oss_url"]).path)) == CONTENT
    assert owner_api.get(f"/files/{file.pk}").json()["sha256"] == sha256_of(CONTENT)
    assert sums(drive) == (len(CONTENT), 0)
    assert staged() == []
    task = owner_api.get(f"/upload-tasks/{sender.task_id}").json()
    assert (task["status"], task["uploaded_files"], task["uploaded_size"]) == ("completed", 1, len(CONTENT))


def test_the_same_upload_again_changes_nothing(owner_api: Client, drive: Drive) -> None:
    sender, _other = begin(owner_api, announced("/x", b"content"), announced("/y", b"y"))
    first = sender.whole(b"content").json()
    again = sender.whole(b"content")
    assert again.status_code == 200
    # Also other bytes are not taken any more.
    other = sender.whole(b"CONTENT")
    assert other.status_code == 200
    for answer in (again.json(), other.json()):
        assert (answer["file_id"], answer["sha256"]) == (first["file_id"], sha256_of(b"content"))
    task = owner_api.get(f"/upload-tasks/{sender.task_id}").json()
    assert (task["uploaded_files"], task["uploaded_size"], task["progress_percentage"]) == (1, 7, 50.0)
    assert (File.objects.count(), Blob.objects.count(), staged()) == (1, 1, [])
    assert sums(drive) == (7, 1)


@pytest.mark.parametrize("sent", [b"conten", b"content!", b""])
def test_another_size_is_refused(owner_api: Client, drive: Drive, sent: bytes) -> None:
    (sender,) = begin(owner_api, announced("/x", b"content"))
    answer = sender.whole(sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "size_mismatch")
    assert (answer.json()["expected"], answer.json()["actual"]) == (7, len(sent))
    assert_untouched(sender)
    assert not Blob.objects.exists()
    assert sums(drive) == (0, 7)
    assert sender.whole(b"content").status_code == 200


def test_another_digest_is_refused(owner_api: Client, drive: Drive) -> None:
    (sender,) = begin(owner_api, announced("/x", b"content", md5=md5_of(b"content")))
    answer = sender.whole(b"CONTENT")
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert (answer.json()["expected"], answer.json()["actual"]) == (md5_of(b"content"), md5_of(b"CONTENT"))
    assert_untouched(sender)
    assert not Blob.objects.exists()
    assert sums(drive) == (0, 7)
    assert sender.whole(b"content").status_code == 200


def test_a_form_without_the_file_is_refused(owner_api: Client) -> None:
    (sender,) = begin(owner_api, announced("/x", b"content"))
    empty = owner_api.post(f"{sender.url}/upload", {"file": "text"}, format="multipart")
    for answer in (sender.whole(b"content", field="data"), empty, owner_api.post(f"{sender.url}/upload", {})):
        assert (answer.status_code, answer.json()["code"]) == (422, "file_missing")
        assert answer.json()["errors"][0]["loc"] == ["body", "file"]
        assert_untouched(sender)


def test_further_files_of_the_form_leave_nothing(owner_api: Client) -> None:
    (sender,) = begin(owner_api, announced("/x", b"content"))
    form = {"file": SimpleUploadedFile("x", b"content"), "more": SimpleUploadedFile("y", b"more")}
    assert owner_api.post(f"{sender.url}/upload", form, format="multipart").status_code == 200
    assert (Blob.objects.count(), staged()) == (1, [])


def test_the_name_in_the_form_says_nothing(owner_api: Client) -> None:
    (sender,) = begin(owner_api, announced("/a/x.bin", b"content"))
    before = {found.key for found in blob_storage().objects()}
    assert sender.whole(b"content", name="../../../evil.sh").status_code == 200
    assert [file.name for file in File.objects.all()] == ["x.bin"]
    assert [len(found.key) for found in blob_storage().objects() if found.key not in before] == [35]


def test_an_empty_file(owner_api: Client, drive: Drive) -> None:
    (sender,) = begin(owner_api, announced("/empty", b"", md5=md5_of(b"")))
    assert sender.whole(b"").status_code == 200
    assert content_of(File.objects.get()) == b""
    task = owner_api.get(f"/upload-tasks/{sender.task_id}").json()
    assert (task["status"], task["size_progress_percentage"]) == ("completed", 100.0)


def test_a_large_body_is_refused_before_it_is_read(owner_api: Client, settings: Settings) -> None:
    (sender,) = begin(owner_api, announced("/x", b"x" * 5000))
    settings.MAX_BODY = 4000
    answer = sender.whole(b"x" * 5000)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert_untouched(sender)


@pytest.mark.parametrize("state", ["cancelled", "failed"])
def test_a_closed_task_takes_no_bytes(owner_api: Client, drive: Drive, state: str) -> None:
    (sender,) = begin(owner_api, announced("/x", b"content"))
    if state == "cancelled":
        owner_api.put(f"/upload-tasks/{sender.task_id}/cancel")
    else:
        UploadTask.objects.update(status=state)
    answer = sender.whole(b"content")
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (
        409,
        "upload_closed",
        state,
    )
    assert not File.objects.exists()
    assert staged() == []


def test_a_deleted_drive_takes_no_bytes(owner: User, owner_api: Client, drive: Drive) -> None:
    (sender,) = begin(owner_api, announced("/x", b"content"))
    delete_drive(drive=drive, actor=owner)
    answer = sender.whole(b"content")
    assert (answer.status_code, answer.json()["code"]) == (403, "drive_read_only")
    assert_untouched(sender)


def test_a_task_cancelled_while_the_bytes_come_keeps_nothing(
    owner_api: Client, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sender,) = begin(owner_api, announced("/x", b"content"))
    from uploads.services import files

    real = files.keep

    def cancel_first(**arguments: Any) -> Kept:
        assert owner_api.put(f"/upload-tasks/{sender.task_id}/cancel").status_code == 200
        return real(**arguments)

    monkeypatch.setattr(files, "keep", cancel_first)
    answer = sender.whole(b"content")
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_closed")
    assert not File.objects.exists()
    assert sums(drive) == (0, 0)
    assert staged() == []


def test_a_drive_deleted_while_the_bytes_come_takes_nothing(
    owner: User, owner_api: Client, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sender,) = begin(owner_api, announced("/x", b"content"))
    from uploads.services import files

    real = files.keep

    def delete_first(**arguments: Any) -> Kept:
        delete_drive(drive=drive, actor=owner)
        return real(**arguments)

    monkeypatch.setattr(files, "keep", delete_first)
    answer = sender.whole(b"content")
    assert (answer.status_code, answer.json()["code"]) == (403, "drive_read_only")
    assert_untouched(sender)


def test_files_follow_a_renamed_folder_and_make_a_trashed_one_anew(owner: User, owner_api: Client) -> None:
    first, second = begin(owner_api, announced("/a/1", b"1"), announced("/a/2", b"2"))
    folder = Folder.objects.select_related("drive").get(path="/a")
    rename(entry=folder, actor=owner, name="b")
    assert first.whole(b"1").status_code == 200
    assert File.objects.get(name="1").folder_path == "/b"
    trash(entry=folder, actor=owner)
    assert second.whole(b"2").status_code == 200
    assert File.objects.select_related("folder").get(name="2").folder_path == "/b"
    assert [entry["name"] for entry in owner_api.get("/files?folder_path=/b").json()["files"]] == ["2"]


def test_a_folder_that_went_into_another_drive_is_made_anew(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    """Neither the bytes nor the file of one drive end in a folder of another."""
    [sender] = begin(owner_api, announced("/a/b/x", b"12345"))
    other = create_drive(user=owner, name="other")
    top = Folder.objects.select_related("drive").get(path="/a")
    move(entry=top, actor=owner, to=Destination(other, "/", name="away"))
    assert sender.whole(b"12345").status_code == 200
    file = File.objects.select_related("folder").get()
    assert (file.drive, file.folder_path) == (drive, "/a/b")
    assert file.folder is not None and file.folder.drive_id == drive.pk
    assert (sums(drive), sums(other)) == ((5, 0), (0, 0))


def test_a_folder_that_is_gone_for_good_is_made_anew(owner_api: Client) -> None:
    (sender,) = begin(owner_api, announced("/a/b/1", b"1"))
    Folder.objects.all().delete()
    assert sender.whole(b"1").status_code == 200
    assert File.objects.select_related("folder").get().folder_path == "/a/b"


def test_a_folder_at_the_files_place_is_a_conflict(owner: User, owner_api: Client, drive: Drive) -> None:
    (sender,) = begin(owner_api, announced("/x", b"content"))
    put(owner, "/x/below", b"y")
    answer = sender.whole(b"content")
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    assert sender.row().status == TaskFile.Status.PENDING
    assert sums(drive) == (1, 7)


def test_new_content_for_an_old_name(owner: User, owner_api: Client, drive: Drive) -> None:
    old = put(owner, "/a/x", b"old content")
    (sender,) = begin(owner_api, announced("/a/x", b"new"))
    assert sender.whole(b"new").json()["file_id"] == str(old.pk)
    assert content_of(File.objects.get()) == b"new"
    assert sums(drive) == (3, 0)


@pytest.mark.django_db(transaction=True)
def test_racing_uploads_of_one_file_count_once(owner: User, drive: Drive) -> None:
    sender, _other = begin(Client(owner), announced("/x", CONTENT), announced("/y", b"y"))
    answers = race(8, lambda _number: sender.again(Client(owner)).whole(CONTENT))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["file_id"] for answer in answers}) == 1
    task = UploadTask.objects.get()
    assert (task.status, task.uploaded_files, task.uploaded_size) == ("uploading", 1, len(CONTENT))
    assert (File.objects.count(), Blob.objects.count(), staged()) == (1, 1, [])
    assert sums(drive) == (len(CONTENT), 1)


@pytest.mark.django_db(transaction=True)
def test_racing_files_of_one_task_complete_it(owner: User, drive: Drive) -> None:
    contents = [os.urandom(1000 + number) for number in range(16)]
    senders = begin(
        Client(owner), *(announced(f"/{n % 3}/{n}", content) for n, content in enumerate(contents))
    )

    def send(number: int) -> None:
        client = Client(owner)
        for place in (number, number + 8):
            assert senders[place].again(client).whole(contents[place]).status_code == 200

    race(8, send)
    task = UploadTask.objects.get()
    assert (task.status, task.uploaded_files, task.uploaded_size) == ("completed", 16, task.total_size)
    assert task.completed_at is not None
    assert sums(drive) == (task.total_size, 0)
    for sender, content in zip(senders, contents, strict=True):
        file = sender.row().file
        assert file is not None
        assert content_of(file) == content


@pytest.mark.django_db(transaction=True)
def test_a_small_file_takes_few_queries_and_is_on_the_disk(owner: User) -> None:
    """A scene has thousands of textures; each statement here is paid for every one of them."""
    api = Client(owner)
    first, second, _third = begin(api, *(announced(f"/a/{name}", b"content") for name in "123"))
    first.whole(b"warm up")
    with CaptureQueriesContext(connection) as captured:
        assert second.whole(b"content").status_code == 200
    statements = [query["sql"] for query in captured]
    assert len(statements) <= 5
    # The landing lets go of its locks first (docs/adr/0021-locks-are-let-go-before-the-disk.md).
    [landed] = [number for number, sql in enumerate(statements) if "uploads_land(" in sql]
    assert statements[landed + 1] == WAIT


def test_a_file_as_the_body(owner_api: Client, drive: Drive) -> None:
    content = os.urandom(3 * 2**20)
    [sender] = begin(owner_api, announced("/a/x.bin", content, md5=md5_of(content)))
    short = owner_api.generic(
        "POST", f"{sender.url}/upload", content[:-1], content_type="application/octet-stream"
    )
    assert (short.status_code, short.json()["code"]) == (422, "size_mismatch")
    other = owner_api.generic(
        "POST", f"{sender.url}/upload", content[::-1], content_type="application/octet-stream"
    )
    assert (other.status_code, other.json()["code"]) == (422, "digest_mismatch")
    assert_untouched(sender)
    answer = owner_api.generic(
        "POST", f"{sender.url}/upload", content, content_type="application/octet-stream"
    )
    assert (answer.status_code, answer.json()["md5"]) == (200, md5_of(content))
    assert_stored(sender, content)
    assert sums(drive) == (len(content), 0)
