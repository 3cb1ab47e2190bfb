"""What bad input gets: a code of its own, and nothing stored, nothing half linked."""

import unicodedata
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import Settings

from accounts.models import User
from drives.models import Blob, Drive, File, Folder
from tests.conftest import Client
from tests.factories import put
from tests.uploads.conftest import (
    PART,
    announced,
    assert_untouched,
    begin,
    chunks,
    manifest,
    md5_of,
    staged,
    sums,
)
from uploads.models import TaskFile, UploadPart, UploadTask

pytestmark = pytest.mark.django_db


def assert_nothing_made(drive: Drive) -> None:
    for model in (UploadTask, TaskFile, UploadPart, Folder, File, Blob):
        assert not model._default_manager.exists()
    assert (sums(drive), staged()) == ((0, 0), [])


@pytest.mark.parametrize(
    "name",
    [
        "CON",
        "con",
        "NUL.",
        "nul.txt",
        "Aux.tar.gz",
        "COM1",
        "lpt9.x",
        "com¹",
        "CONIN$",
        "prn .txt",
        "x.",
        "x ",
        "...",
    ],
)
def test_names_that_mean_something_else_on_windows(owner_api: Client, drive: Drive, name: str) -> None:
    for file in ({**announced("/x", b"x"), "file_name": name}, announced(f"/{name}/x", b"x")):
        answer = owner_api.post("/upload-tasks", manifest(file))
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_name")
        assert_nothing_made(drive)


@pytest.mark.parametrize(
    "name", ["console", "null.txt", "com", "com10", "lpt", "auxiliary.png", ".x", "x.y.z", "a b"]
)
def test_names_that_only_look_alike(owner_api: Client, name: str) -> None:
    answer = owner_api.post("/upload-tasks", manifest({**announced("/x", b"x"), "file_name": name}))
    assert answer.status_code == 201 or name.endswith(".com")


@pytest.mark.parametrize("name", ["x" * 300, "木" * 86, "é" * 128])
def test_names_of_more_than_255_bytes(owner_api: Client, drive: Drive, name: str) -> None:
    answer = owner_api.post("/upload-tasks", manifest({**announced("/x", b"x"), "file_name": name}))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_name")
    assert_nothing_made(drive)


def test_names_that_differ_by_normal_form_alone_are_one(owner_api: Client, drive: Drive) -> None:
    composed, decomposed = (unicodedata.normalize(form, "/é/ü.png") for form in ("NFC", "NFD"))
    assert composed != decomposed
    both = owner_api.post("/upload-tasks", manifest(announced(composed, b"1"), announced(decomposed, b"2")))
    assert (both.status_code, both.json()["code"]) == (422, "manifest_invalid")
    assert_nothing_made(drive)
    for path, content in ((composed, b"1"), (decomposed, b"2")):
        (sender,) = begin(owner_api, announced(path, content))
        assert sender.whole(content).status_code == 200
    assert (File.objects.count(), Folder.objects.count()) == (1, 1)
    assert File.objects.get().size == 1


@pytest.mark.parametrize("name", ["evil.exe", "EVIL.Bat", "a.b.cmd", "x.com", "s.scr", "i.msi"])
def test_types_that_are_refused(owner_api: Client, drive: Drive, name: str) -> None:
    answer = owner_api.post(
        "/upload-tasks", manifest(announced("/ok.png", b"x"), announced(f"/{name}", b"x"))
    )
    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, "file_type_not_allowed")
    assert body["extension"] == "." + name.rpartition(".")[2].lower()
    assert body["errors"][0]["loc"] == ["body", "upload_manifest", "files", 1, "file_name"]
    assert_nothing_made(drive)


def test_the_refusal_says_so_in_chinese(owner_api: Client) -> None:
    answer = owner_api.post(
        "/upload-tasks", manifest(announced("/evil.exe", b"x")), HTTP_ACCEPT_LANGUAGE="zh-hans"
    )
    assert "不支持的文件类型" in answer.json()["detail"]


def test_only_types_that_are_accepted_where_a_list_says_so(owner_api: Client, settings: Settings) -> None:
    settings.UPLOAD_ACCEPTED_TYPES = [".ma", ".png", ".exe"]

    def status(name: str) -> int:
        return int(owner_api.post("/upload-tasks", manifest(announced(f"/{name}", b"x"))).status_code)

    assert [status(name) for name in ("a.ma", "b.PNG", "c.blend", "d", ".png", "e.exe")] == [
        201,
        201,
        422,
        422,
        201,
        422,
    ]


def test_the_direct_door_has_its_limit(owner_api: Client, drive: Drive, settings: Settings) -> None:
    settings.UPLOAD_DIRECT_MAX_SIZE = 1000
    large, small = begin(owner_api, announced("/large", bytes(1001)), announced("/small", bytes(1000)))
    for content in (bytes(1001), b"x"):
        answer = large.whole(content)
        assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (413, "too_large", 1000)
        assert_untouched(large)
    assert small.whole(bytes(1000)).status_code == 200
    large.send_parts(bytes(1001))
    assert large.complete().status_code == 200


def test_a_part_again_with_other_content_takes_its_place_only_if_it_is_right(owner_api: Client) -> None:
    content = bytes(range(256)) * 8
    (sender,) = begin(owner_api, announced("/x", content))
    sender.start()
    for number, chunk in enumerate(chunks(content), 1):
        sender.part(number, chunk)
    wrong = sender.part(1, bytes(PART), chunk_md5=md5_of(content[:PART]))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest_mismatch")
    assert sender.part(1, bytes(PART)).json()["etag"] == md5_of(bytes(PART))
    assert sender.part(1, content[:PART]).json()["uploaded_chunks"] == len(chunks(content))
    assert sender.complete().status_code == 200


@pytest.mark.parametrize("field", ["chunk_md5", "chunkHash", "chunk_hash"])
def test_the_digest_of_a_part_under_either_name(owner_api: Client, field: str) -> None:
    content = bytes(2 * PART)
    (sender,) = begin(owner_api, announced("/x", content))
    sender.start()
    wrong = sender.part(1, bytes(PART), **{field: md5_of(b"x")})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest_mismatch")
    assert sender.part(1, bytes(PART), **{field: md5_of(bytes(PART))}).status_code == 200


def test_numbers_from_0_when_the_client_says_so(owner_api: Client) -> None:
    content = b"".join(bytes([number]) * PART for number in range(3))
    (sender,) = begin(owner_api, announced("/x", content))
    sender.start()
    for number, chunk in enumerate(chunks(content)):
        answer = sender.part(number, chunk, index_base="0").json()
        assert (answer["chunk_index"], answer["uploaded_chunks"]) == (number, number + 1)
    beyond = sender.part(3, chunks(content)[2], index_base="0")
    assert (beyond.status_code, beyond.json()["code"]) == (422, "part_number_invalid")
    # Without saying so 0 is no number: nothing is guessed.
    unsaid = sender.part(0, chunks(content)[0])
    assert (unsaid.status_code, unsaid.json()["code"]) == (422, "part_number_invalid")
    assert sender.part(1, chunks(content)[0], index_base="2").status_code == 422
    etags = {str(number): md5_of(chunk) for number, chunk in enumerate(chunks(content))}
    assert sender.complete(chunk_etags=etags).json()["code"] == "digest_mismatch"
    assert sender.complete(chunk_etags=etags, index_base=0).status_code == 200


def test_a_hundred_thousand_and_one_files(owner_api: Client, drive: Drive) -> None:
    files = [{"file_name": f"{number}", "file_size": 0} for number in range(100_001)]
    answer = owner_api.post("/upload-tasks", manifest(*files))
    assert (answer.status_code, answer.json()["code"]) == (422, "manifest_invalid")
    assert answer.json()["limit"] < 100_001
    assert_nothing_made(drive)


def test_a_form_field_that_is_no_file(owner: User, owner_api: Client) -> None:
    put(owner, "/kept", b"x")
    (sender,) = begin(owner_api, announced("/x", b"content"))
    for form in ({"file": "text"}, {"other": SimpleUploadedFile("x", b"content")}):
        answer = owner_api.post(f"{sender.url}/upload", form, format="multipart")
        assert (answer.status_code, answer.json()["code"]) == (422, "file_missing")
    assert (sender.row().status, File.objects.count(), staged()) == (TaskFile.Status.PENDING, 1, [])


def test_ids_of_others_in_every_place(owner_api: Client, stranger_api: Client, drive: Drive) -> None:
    (own,) = begin(owner_api, announced("/x", b"x"))
    (foreign,) = begin(stranger_api, announced("/y", b"y"))
    before: list[Any] = list(TaskFile.objects.order_by("pk").values())
    for task_id, file_id in ((own.task_id, foreign.file_id), (foreign.task_id, own.file_id)):
        base = f"/upload-tasks/{task_id}/files/{file_id}"
        for path in ("upload", "multipart/init", "multipart/upload", "multipart/complete", "multipart/abort"):
            assert owner_api.post(f"{base}/{path}", {}).status_code == 404
        assert owner_api.put(f"{base}/retry").status_code == 404
    assert list(TaskFile.objects.order_by("pk").values()) == before
