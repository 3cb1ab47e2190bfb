"""Many small files in one request: each with its own result."""

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import User
from drives.models import Blob, Drive, File, Folder
from drives.storage import blob_storage
from tests.conftest import Client
from tests.factories import put
from tests.racing import race
from tests.uploads.conftest import PART, Sender, announced, begin, content_of, md5_of, sha256_of, staged, sums
from uploads.models import TaskFile, UploadPart, UploadTask

pytestmark = pytest.mark.django_db


def send(client: Client, task_id: str, *files: tuple[str, bytes]) -> Any:
    form: dict[str, Any] = {}
    for name, content in files:
        form.setdefault(name, []).append(SimpleUploadedFile("x.bin", content))
    return client.post(f"/upload-tasks/{task_id}/files/batch", form, format="multipart")


def code_of(result: dict[str, Any]) -> str | None:
    return result.get("error", {}).get("code")


def contents(count: int, prefix: str = "") -> list[bytes]:
    return [f"{prefix} content {number}".encode() for number in range(count)]


def announce(client: Client, *found: bytes, prefix: str = "s") -> list[Sender]:
    return begin(
        client, *(announced(f"/{prefix}/{n % 7}/{n}.png", content) for n, content in enumerate(found))
    )


def test_each_file_has_its_result_in_the_order_of_the_form(owner_api: Client, drive: Drive) -> None:
    sent = contents(30)
    senders = announce(owner_api, *sent)
    pairs = list(zip([sender.file_id for sender in senders], sent, strict=True))[::-1]
    answer = send(owner_api, senders[0].task_id, *pairs)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["landed"], body["refused"]) == (30, 0)
    rows = {str(row.pk): row for row in TaskFile.objects.select_related("file__blob")}
    for (file_id, content), result in zip(pairs, body["results"], strict=True):
        file = rows[file_id].file
        assert file is not None
        assert content_of(file) == content
        assert result == {
            "task_file_id": file_id,
            "status": "completed",
            "file_id": str(file.pk),
            "file_size": len(content),
            "md5": md5_of(content),
            "sha256": sha256_of(content),
            "is_duplicated": False,
        }
        assert rows[file_id].started_at is not None
    task = UploadTask.objects.get()
    assert (task.status, task.uploaded_files, task.uploaded_size) == ("completed", 30, task.total_size)
    assert sums(drive) == (task.total_size, 0)
    assert staged() == []


def test_a_file_that_is_refused_spoils_no_other(
    owner_api: Client, stranger_api: Client, drive: Drive, settings: Settings
) -> None:
    settings.UPLOAD_DIRECT_MAX_SIZE = 20
    good, size, digest, large, failed, again = begin(
        owner_api,
        announced("/good", b"good"),
        announced("/size", b"size"),
        announced("/digest", b"digest", md5=md5_of(b"digest")),
        announced("/large", bytes(21)),
        announced("/failed", b"failed"),
        announced("/again", b"again"),
    )
    (foreign,) = begin(stranger_api, announced("/x", b"x"))
    (other,) = begin(owner_api, announced("/other", b"other"))
    failed.abort()
    first = again.whole(b"again").json()
    unknown = str(uuid4())
    answer = send(
        owner_api,
        good.task_id,
        (size.file_id, b"longer"),
        (digest.file_id, b"DIGEST"),
        (large.file_id, bytes(21)),
        (failed.file_id, b"failed"),
        (foreign.file_id, b"x"),
        (other.file_id, b"other"),
        (unknown, b"x"),
        ("file", b"x"),
        (good.file_id, b"good"),
        (again.file_id, b"again"),
    )
    body = answer.json()
    assert (answer.status_code, body["landed"], body["refused"]) == (200, 2, 8)
    assert [(result["status"], code_of(result)) for result in body["results"]] == [
        ("refused", "size_mismatch"),
        ("refused", "digest_mismatch"),
        ("refused", "too_large"),
        ("refused", "upload_closed"),
        ("refused", "not_found"),
        ("refused", "not_found"),
        ("refused", "not_found"),
        ("refused", "not_found"),
        ("completed", None),
        ("completed", None),
    ]
    refusal = body["results"][0]["error"]
    assert (refusal["expected"], refusal["actual"], bool(refusal["detail"])) == (4, 6, True)
    assert body["results"][-1]["file_id"] == first["file_id"]
    assert sorted(File.objects.values_list("name", flat=True)) == ["again", "good"]
    assert (Blob.objects.count(), staged()) == (2, [])
    assert {sender.row().status for sender in (size, digest, large, foreign, other)} == {
        TaskFile.Status.PENDING
    }


def test_of_two_for_one_file_the_first_counts(owner_api: Client, drive: Drive) -> None:
    (sender,) = begin(owner_api, announced("/x", b"1234"))
    answer = send(owner_api, sender.task_id, (sender.file_id, b"1234"), (sender.file_id, b"4321")).json()
    assert [result["sha256"] for result in answer["results"]] == [sha256_of(b"1234")] * 2
    assert (File.objects.count(), Blob.objects.count(), staged()) == (1, 1, [])
    assert sums(drive) == (4, 0)


def test_one_content_many_times_is_stored_once(owner: User, owner_api: Client) -> None:
    put(owner, "/known", b"known")
    Blob.objects.update(md5="")  # as of content that came in parts
    files = [b"same", b"same", b"same", b"known"]
    senders = announce(owner_api, *files)
    send(owner_api, senders[0].task_id, *zip([s.file_id for s in senders], files, strict=True))
    assert Blob.objects.count() == 2
    assert set(Blob.objects.values_list("md5", flat=True)) == {md5_of(b"same"), md5_of(b"known")}
    assert [content_of(file) for file in File.objects.order_by("name")] == [
        b"same",
        b"same",
        b"same",
        b"known",
        b"known",
    ]
    assert list(TaskFile.objects.order_by("position").values_list("was_stored", flat=True)) == [False] * 3 + [
        True
    ]


def test_a_folder_in_the_way_of_one(owner: User, owner_api: Client, drive: Drive) -> None:
    first, second, third = begin(owner_api, *(announced(f"/{name}", name.encode()) for name in "abc"))
    put(owner, "/b/below", b"x")
    answer = send(
        owner_api, first.task_id, (first.file_id, b"a"), (second.file_id, b"b"), (third.file_id, b"c")
    )
    results = answer.json()["results"]
    assert [(result["status"], code_of(result)) for result in results] == [
        ("completed", None), ("refused", "name_taken"), ("completed", None),
    ]  # fmt: skip
    assert (first.row().status, second.row().status, third.row().status) == (
        "completed",
        "pending",
        "completed",
    )
    assert sums(drive) == (3, 1)


def test_parts_of_a_file_that_comes_whole_after_all(owner_api: Client) -> None:
    content = os.urandom(2 * PART)
    senders = announce(owner_api, content, b"other")
    senders[0].start()
    senders[0].part(1, content[:PART])
    send(owner_api, senders[0].task_id, (senders[0].file_id, content), (senders[1].file_id, b"other"))
    assert (UploadPart.objects.count(), staged()) == (0, [])
    assert UploadTask.objects.get().status == UploadTask.Status.COMPLETED


def test_what_the_storage_does_not_take(
    owner_api: Client, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    senders = announce(owner_api, *contents(4))
    real, refused = type(blob_storage()).take_in, [contents(4)[1]]

    def take_in(storage: Any, path: Path, key: str) -> None:
        if path.read_bytes() in refused:
            refused.clear()
            raise OSError("No space left on device")
        real(storage, path, key)

    monkeypatch.setattr(type(blob_storage()), "take_in", take_in)
    pairs = [(sender.file_id, content) for sender, content in zip(senders, contents(4), strict=True)]
    results = send(owner_api, senders[0].task_id, *pairs).json()["results"]
    assert [code_of(result) for result in results] == [None, "storage_unavailable", None, None]
    assert (senders[1].row().status, senders[1].row().retry_count, staged()) == ("pending", 1, [])
    assert send(owner_api, senders[0].task_id, *pairs).json()["landed"] == 4
    assert UploadTask.objects.get().status == UploadTask.Status.COMPLETED


def test_at_most_a_hundred_files(owner_api: Client, drive: Drive) -> None:
    senders = announce(owner_api, *contents(101))
    pairs = [(sender.file_id, content) for sender, content in zip(senders, contents(101), strict=True)]
    answer = send(owner_api, senders[0].task_id, *pairs)
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (422, "too_many_files", 100)
    assert (File.objects.count(), Blob.objects.count(), staged()) == (0, 0, [])
    assert send(owner_api, senders[0].task_id, *pairs[:100]).json()["landed"] == 100
    empty = send(owner_api, senders[0].task_id)
    assert (empty.status_code, empty.json()["code"]) == (422, "file_missing")


@pytest.mark.parametrize("state", ["cancelled", "foreign", "anonymous", "too large"])
def test_a_batch_that_is_refused_as_a_whole(
    owner_api: Client, stranger_api: Client, anonymous: Client, drive: Drive, settings: Settings, state: str
) -> None:
    senders = announce(owner_api, b"1", b"2")
    client = {"foreign": stranger_api, "anonymous": anonymous}.get(state, owner_api)
    if state == "cancelled":
        owner_api.put(f"/upload-tasks/{senders[0].task_id}/cancel")
    if state == "too large":
        settings.MAX_BODY = 10
    answer = send(client, senders[0].task_id, (senders[0].file_id, b"1"), (senders[1].file_id, b"2"))
    expected = {"cancelled": 409, "foreign": 404, "anonymous": 401, "too large": 413}[state]
    assert answer.status_code == expected
    assert (File.objects.count(), Blob.objects.count(), staged()) == (0, 0, [])


def test_a_batch_takes_as_many_queries_for_many_files_as_for_few(owner: User, owner_api: Client) -> None:
    def queries(prefix: str, count: int) -> int:
        sent = contents(count, prefix)
        senders = announce(owner_api, *sent, b"left", prefix=prefix)
        pairs = [(sender.file_id, content) for sender, content in zip(senders, sent, strict=False)]
        with CaptureQueriesContext(connection) as captured:
            assert send(owner_api, senders[0].task_id, *pairs).json()["landed"] == count
        return len([query for query in captured if "SAVEPOINT" not in query["sql"]])

    queries("warm", 8)
    assert queries("few", 8) == queries("many", 100) <= 30


@pytest.mark.django_db(transaction=True)
def test_racing_batches_land_each_file_once(owner: User, drive: Drive) -> None:
    sent = contents(40)
    senders = announce(Client(owner), *sent)
    pairs = [(sender.file_id, content) for sender, content in zip(senders, sent, strict=True)]

    def act(number: int) -> list[str]:
        # Overlapping halves, in opposite orders; some files also come alone.
        client = Client(owner)
        if number == 4:
            return [str(senders[place].again(client).whole(sent[place]).status_code) for place in range(5)]
        half = pairs[10 * number : 10 * number + 20] or pairs[:20]
        answer = send(client, senders[0].task_id, *(half if number % 2 else half[::-1]))
        return [result["status"] for result in answer.json().get("results", [])]

    race(5, act)
    answer = send(Client(owner), senders[0].task_id, *pairs)
    task = UploadTask.objects.get()
    assert (task.status, task.uploaded_files, task.uploaded_size) == ("completed", 40, task.total_size)
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_closed")
    assert sums(drive) == (task.total_size, 0)
    assert (File.objects.count(), Blob.objects.count(), Folder.objects.count(), staged()) == (40, 40, 8, [])
