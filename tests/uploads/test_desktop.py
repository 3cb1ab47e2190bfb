"""Chunks of older clients, under ids of their own."""

import base64
import os
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import User
from drives.models import Blob, Drive, File, Folder
from drives.services import hashing_ahead
from drives.storage import blob_storage
from tests.conftest import Client
from tests.factories import put
from tests.racing import race
from tests.uploads.conftest import content_of, md5_of, sha256_of, staged, sums
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.services import desktop
from uploads.services.tasks import expire_tasks

pytestmark = pytest.mark.django_db
KEY = "local_1690000000"
CHUNK = 1000
CONTENT = os.urandom(3 * CHUNK + 7)
CHUNKS = [CONTENT[start : start + CHUNK] for start in range(0, len(CONTENT), CHUNK)]
QT: dict[str, Any] = {"HTTP_USER_AGENT": "YuntuClient/1.0.0"}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks as small as the parts of the other tests; one test sends those of real clients."""
    monkeypatch.setattr(desktop, "CHUNK_SIZE", CHUNK)


def as_form(
    client: Client, index: Any, content: bytes, *, key: str = KEY, total: Any = 4, **fields: Any
) -> Any:
    form = {"taskId": key, "chunkIndex": str(index), "totalChunks": str(total), **fields}
    file = {"chunkData": SimpleUploadedFile("blob", content)}
    return client.post("/files/upload/chunk", {**form, **file}, format="multipart")


def as_json(
    client: Client, index: Any, content: bytes, *, key: str = KEY, total: Any = 4, **fields: Any
) -> Any:
    data = base64.b64encode(content).decode()
    body = {"taskId": key, "chunkIndex": index, "totalChunks": total, "chunkData": data, **fields}
    return client.post("/files/upload/chunk", body, **QT)


def merge(
    client: Client, *, key: str = KEY, name: str = "scene.ma", total: int = 4, size: int = len(CONTENT)
) -> Any:
    body = {"taskId": key, "fileName": name, "totalChunks": total, "fileSize": size}
    return client.post("/files/upload/merge", body, **QT)


def send_all(client: Client, key: str = KEY) -> None:
    for index, chunk in enumerate(CHUNKS):
        assert as_form(client, index, chunk, key=key).status_code == 200


def assert_nothing_made(drive: Drive) -> None:
    assert not UploadTask.objects.exists()
    assert not File.objects.exists()
    assert not Blob.objects.exists()
    assert staged() == []
    assert sums(drive) == (0, 0)


def test_chunks_become_a_scene_file(owner: User, owner_api: Client, anonymous: Client, drive: Drive) -> None:
    for index in (2, 0, 3, 1, 3):
        send = as_json if index % 2 else as_form
        answer = send(owner_api, index, CHUNKS[index], chunkHash=md5_of(CHUNKS[index]))
        assert answer.status_code == 200, answer.content
        assert (answer.json()["success"], answer.json()["chunkIndex"]) == (True, index)
    answer = merge(owner_api)
    assert answer.status_code == 200, answer.content
    file = File.objects.select_related("folder", "blob").get()
    body = answer.json()
    assert {name: body[name] for name in ("success", "objectKey", "fileName", "fileSize", "fileId")} == {
        "success": True,
        "objectKey": "/scenes/scene.ma",
        "fileName": "scene.ma",
        "fileSize": len(CONTENT),
        "fileId": str(file.pk),
    }
    assert (file.folder_path, file.name, file.drive_id, file.uploaded_by) == (
        "/scenes",
        "scene.ma",
        drive.pk,
        owner,
    )
    assert (content_of(file), file.blob.sha256) == (CONTENT, sha256_of(CONTENT))
    assert b"".join(anonymous.get(urlsplit(body["url"]).path)) == CONTENT
    assert sums(drive) == (len(CONTENT), 0)
    assert (staged(), UploadPart.objects.count()) == ([], 0)
    listed = owner_api.get("/upload-tasks").json()["tasks"]
    assert [(task["task_name"], task["status"]) for task in listed] == [("scene.ma", "completed")]


def test_the_chunk_of_the_real_client(owner_api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """5 MiB in base64 is a body of 7 MB."""
    monkeypatch.setattr(desktop, "CHUNK_SIZE", 5 * 2**20)
    content = os.urandom(5 * 2**20 + 1)
    chunks = [content[: 5 * 2**20], content[5 * 2**20 :]]
    for index, chunk in enumerate(chunks):
        assert as_json(owner_api, index, chunk, total=2, chunkHash=md5_of(chunk).upper()).status_code == 200
    assert merge(owner_api, total=2, size=len(content)).status_code == 200
    assert content_of(File.objects.get()) == content
    too_long = as_json(owner_api, 0, content, key="other", total=1)
    assert (too_long.status_code, too_long.json()["code"], too_long.json()["limit"]) == (
        413,
        "too_large",
        5 * 2**20,
    )


def test_merging_again_answers_the_same_file(owner_api: Client, drive: Drive) -> None:
    send_all(owner_api)
    first, again = merge(owner_api).json(), merge(owner_api)
    assert (again.status_code, again.json()["fileId"]) == (200, first["fileId"])
    assert (File.objects.count(), UploadTask.objects.count()) == (1, 1)
    assert sums(drive) == (len(CONTENT), 0)
    # Another name or size is no repetition.
    for other in (merge(owner_api, name="other.ma"), merge(owner_api, size=1)):
        assert (other.status_code, other.json()["code"]) == (404, "not_found")


def test_one_id_may_bring_one_file_after_the_other(owner_api: Client, drive: Drive) -> None:
    for name in ("a.ma", "b.ma"):
        send_all(owner_api)
        assert merge(owner_api, name=name).json()["objectKey"] == f"/scenes/{name}"
    assert sorted(File.objects.values_list("name", flat=True)) == ["a.ma", "b.ma"]
    assert (Blob.objects.count(), sums(drive)) == (1, (2 * len(CONTENT), 0))


def test_new_content_for_an_old_name(owner: User, owner_api: Client) -> None:
    old = put(owner, "/scenes/scene.ma", b"old")
    send_all(owner_api)
    assert merge(owner_api).json()["fileId"] == str(old.pk)
    assert content_of(File.objects.get()) == CONTENT


def test_missing_chunks_are_named_from_0(owner_api: Client) -> None:
    for index in (1, 3):
        as_form(owner_api, index, CHUNKS[index])
    answer = merge(owner_api)
    assert (answer.status_code, answer.json()["code"], answer.json()["missing"]) == (
        409,
        "parts_missing",
        [0, 2],
    )
    for index in (0, 2):
        as_form(owner_api, index, CHUNKS[index])
    assert merge(owner_api).status_code == 200


def test_chunks_that_the_disk_has_lost_are_named_from_0(owner_api: Client) -> None:
    send_all(owner_api)
    hashing_ahead.files.clear()
    with blob_storage().staging_path(TaskFile.objects.get().upload_id).open("r+b") as file:
        file.seek(CHUNK)
        file.write(bytes(CHUNK))
    answer = merge(owner_api)
    assert (answer.json()["code"], answer.json()["missing"]) == ("parts_missing", [1])
    assert as_form(owner_api, 1, CHUNKS[1]).status_code == 200
    assert merge(owner_api).status_code == 200
    assert content_of(File.objects.get()) == CONTENT


def test_nothing_to_merge(owner_api: Client, drive: Drive) -> None:
    answer = merge(owner_api)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert_nothing_made(drive)


@pytest.mark.parametrize("send", [as_form, as_json])
@pytest.mark.parametrize(
    ("index", "content", "fields", "status", "code"),
    [
        (0, CHUNKS[0], {"chunkHash": md5_of(b"other")}, 422, "digest_mismatch"),
        (0, CHUNKS[0], {"chunkHash": "abc"}, 422, "validation_error"),
        (0, CHUNKS[0][:-1], {}, 422, "size_mismatch"),
        (0, CHUNKS[0] + b"x", {}, 422, "size_mismatch"),
        (3, CHUNKS[0] + b"x", {}, 422, "size_mismatch"),
        (4, CHUNKS[0], {}, 422, "part_number_invalid"),
        (-1, CHUNKS[0], {}, 422, "validation_error"),
        (0, CHUNKS[0], {"total": 0}, 422, "validation_error"),
        (0, CHUNKS[0], {"total": 10_001}, 422, "validation_error"),
        (0, CHUNKS[0], {"key": ""}, 422, "validation_error"),
        (0, CHUNKS[0], {"key": "x" * 101}, 422, "validation_error"),
        (0, CHUNKS[0], {"key": "a\nb"}, 422, "validation_error"),
    ],
)
def test_a_bad_chunk_makes_nothing(
    owner_api: Client,
    drive: Drive,
    send: Any,
    index: int,
    content: bytes,
    fields: Any,
    status: int,
    code: str,
) -> None:
    answer = send(owner_api, index, content, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert_nothing_made(drive)


def test_a_chunk_without_its_data(owner_api: Client, drive: Drive) -> None:
    fields = {"taskId": KEY, "chunkIndex": 0, "totalChunks": 4}
    form = owner_api.post("/files/upload/chunk", fields, format="multipart")
    assert (form.status_code, form.json()["code"]) == (422, "file_missing")
    for data in ({}, {"chunkData": "*" * 8}, {"chunkData": "AAA"}, {"chunkData": 5}):
        answer = owner_api.post("/files/upload/chunk", {**fields, **data})
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert_nothing_made(drive)


@pytest.mark.parametrize(
    "key", ["..", "../../etc/passwd", "/", "a/b\\c", "01a2057e-de3c-407f-b809-2f2197adae66", "本地 1"]
)
def test_an_id_is_never_a_path(owner_api: Client, key: str) -> None:
    send_all(owner_api, key=key)
    assert merge(owner_api, key=key).status_code == 200
    assert list(Folder.objects.values_list("path", flat=True)) == ["/scenes"]
    assert [file.name for file in File.objects.all()] == ["scene.ma"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../scene.ma", "bad_name"), ("a\\scene.ma", "bad_name"), ("..", "bad_name"), ("CON.ma", "bad_name"),
        ("", "validation_error"), ("x" * 256, "bad_name"), ("evil.EXE", "file_type_not_allowed"),
    ],
)  # fmt: skip
def test_a_bad_name_can_be_mended(owner_api: Client, drive: Drive, name: str, code: str) -> None:
    send_all(owner_api)
    answer = merge(owner_api, name=name)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not File.objects.exists()
    assert merge(owner_api).status_code == 200
    assert sums(drive) == (len(CONTENT), 0)


def test_a_folder_in_the_way_can_be_evaded(owner: User, owner_api: Client) -> None:
    put(owner, "/scenes/scene.ma/below", b"x")
    send_all(owner_api)
    answer = merge(owner_api)
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    assert merge(owner_api, name="other.ma").status_code == 200


def test_what_the_merge_says_must_be_true(owner_api: Client) -> None:
    send_all(owner_api)
    for answer, status, code in (
        (merge(owner_api, total=3), 409, "total_chunks_changed"),
        (merge(owner_api, size=len(CONTENT) + 1), 422, "size_mismatch"),
        (as_form(owner_api, 0, CHUNKS[0], total=5), 409, "total_chunks_changed"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not File.objects.exists()
    assert merge(owner_api).status_code == 200


def test_a_shorter_last_chunk_takes_the_place_of_a_longer_one(owner_api: Client, drive: Drive) -> None:
    send_all(owner_api)
    assert as_form(owner_api, 3, b"end").status_code == 200
    assert sums(drive) == (0, 3 * CHUNK + 3)
    assert as_form(owner_api, 3, b"the end").status_code == 200
    assert as_form(owner_api, 3, b"fin").status_code == 200
    assert merge(owner_api, size=3 * CHUNK + 3).status_code == 200
    assert content_of(File.objects.get()) == CONTENT[: 3 * CHUNK] + b"fin"
    assert sums(drive) == (3 * CHUNK + 3, 0)


def test_room_for_a_longer_last_chunk_is_none_of_the_file(owner: User, owner_api: Client) -> None:
    """The last chunk tells the true size while the first one, which knows another, makes room."""
    first = desktop.begin_upload(owner, KEY, 4 * CHUNK)
    desktop.resize(first, len(CONTENT))
    desktop.start_upload(task_file=first, part_size=CHUNK)
    send_all(owner_api)
    assert merge(owner_api).status_code == 200
    assert content_of(File.objects.get()) == CONTENT


def test_ids_are_the_users_own(owner_api: Client, stranger: User, stranger_api: Client) -> None:
    send_all(owner_api)
    assert merge(stranger_api).status_code == 404
    for index, chunk in enumerate(CHUNKS):
        as_form(stranger_api, index, chunk[::-1])
    assert merge(stranger_api).status_code == 200
    assert merge(owner_api).status_code == 200
    own = File.objects.get(drive__user=stranger)
    assert content_of(own) == b"".join(chunk[::-1] for chunk in CHUNKS)
    assert File.objects.exclude(pk=own.pk).get().blob.sha256 == sha256_of(CONTENT)


def test_the_quota_is_asked_with_the_first_chunk(owner: User, owner_api: Client, drive: Drive) -> None:
    Drive.objects.filter(pk=drive.pk).update(total_size=len(CONTENT) - 1)
    answer = as_form(owner_api, 0, CHUNKS[0])
    assert (answer.status_code, answer.json()["code"]) == (413, "quota_exceeded")
    assert_nothing_made(drive)
    # With the last chunk first its true size is known.
    Drive.objects.filter(pk=drive.pk).update(total_size=len(CONTENT))
    assert as_form(owner_api, 3, CHUNKS[3]).status_code == 200
    assert sums(drive) == (0, len(CONTENT))


def test_an_upload_given_up_elsewhere_begins_anew(owner_api: Client, drive: Drive) -> None:
    as_form(owner_api, 0, CHUNKS[0])
    row = TaskFile.objects.get()
    owner_api.post(f"/upload-tasks/{row.task_id}/files/{row.pk}/multipart/abort", {})
    send_all(owner_api)
    assert merge(owner_api).status_code == 200
    assert sums(drive) == (len(CONTENT), 0)


def test_chunks_that_were_merged_are_found_by_their_id(owner_api: Client) -> None:
    send_all(owner_api)
    merge(owner_api)
    assert owner_api.get(f"/files/download/{KEY}/scene.ma").json()["object_key"] == "/scenes/scene.ma"
    assert owner_api.get("/files/download/other/scene.ma").status_code == 404


def test_what_is_never_merged_is_swept(owner_api: Client, drive: Drive) -> None:
    as_form(owner_api, 0, CHUNKS[0])
    task = UploadTask.objects.get()
    assert len(staged()) == 1
    assert expire_tasks(now=task.expires_at) == 1
    assert (staged(), UploadPart.objects.count(), sums(drive)) == ([], 0, (0, 0))
    assert merge(owner_api).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_racing_chunks_are_one_upload(owner: User, drive: Drive) -> None:
    def send(number: int) -> int:
        return int(as_form(Client(owner), number % 4, CHUNKS[number % 4]).status_code)

    assert race(8, send) == [200] * 8
    assert (UploadTask.objects.count(), UploadPart.objects.count(), len(staged())) == (1, 4, 1)
    answers = race(6, lambda _number: merge(Client(owner)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["fileId"] for answer in answers}) == 1
    assert content_of(File.objects.get()) == CONTENT
    assert (sums(drive), staged()) == ((len(CONTENT), 0), [])
