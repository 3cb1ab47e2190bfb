"""The tus protocol at /tus, asked request by request."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from django.utils.http import parse_http_date
from pytest_django import Settings

from accounts.models import User
from drives.models import Blob, Drive, File, Folder
from drives.services.drives import create_drive
from tests.conftest import Client
from tests.uploads.conftest import announced, begin, content_of, md5_of, sha256_of, staged, sums
from tests.uploads.tus_client import BYTES, Tus, metadata_of, row_of
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.services.tasks import expire_tasks, pause_task, resume_task

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(2_500_000)


@pytest.fixture
def tus(owner_api: Client) -> Tus:
    return Tus(owner_api)


def assert_answer(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Tus-Resumable"] == "1.0.0"


def assert_landed(url: str, content: bytes) -> File:
    row = row_of(url)
    assert row.file is not None
    assert content_of(row.file) == content
    assert row.file.blob.sha256 == sha256_of(content)
    assert (row.status, row.task.status) == ("completed", "completed")
    assert staged() == []
    assert not UploadPart.objects.exists()
    return row.file


def test_a_file_in_three_pieces(tus: Tus, owner: User, drive: Drive) -> None:
    answer = tus.create(
        len(CONTENT), filename="木.png", path="/场景/树", filetype="image/x-mine", md5=md5_of(CONTENT).upper()
    )
    assert (answer.status_code, answer.content) == (201, b"")
    url = answer["Location"]
    row = row_of(url)
    assert url == f"/api/v1/tus/{row.pk}"
    assert (answer["Upload-Offset"], answer["Tus-Resumable"]) == ("0", "1.0.0")
    assert sums(drive) == (0, len(CONTENT))
    assert (row.task.task_name, row.task.user, row.task.total_size) == ("木.png", owner, len(CONTENT))

    for start, end in ((0, 1_000_000), (1_000_000, 1_000_001), (1_000_001, len(CONTENT))):
        before = tus.head(url)
        assert (before.status_code, before.content) == (200, b"")
        assert (before["Upload-Offset"], before["Upload-Length"]) == (str(start), str(len(CONTENT)))
        assert before["Cache-Control"] == "no-store"
        assert "Yuntu-File-Id" not in before
        answer = tus.patch(url, start, CONTENT[start:end])
        assert (answer.status_code, answer.content, answer["Upload-Offset"]) == (204, b"", str(end))

    file = assert_landed(url, CONTENT)
    assert answer["Yuntu-File-Id"] == str(file.pk)
    assert (file.folder_path, file.name, file.mime_type) == ("/场景/树", "木.png", "image/x-mine")
    assert (file.uploaded_by, file.blob.md5) == (owner, md5_of(CONTENT))
    assert sums(drive) == (len(CONTENT), 0)
    after = tus.head(url)
    assert (after["Upload-Offset"], after["Yuntu-File-Id"]) == (str(len(CONTENT)), str(file.pk))
    assert "Upload-Expires" not in after


def test_an_interrupted_client_sees_progress_and_goes_on(tus: Tus, owner_api: Client) -> None:
    url = tus.begin(1000)
    tus.patch(url, 0, b"x" * 400)
    task = f"/upload-tasks/{row_of(url).task_id}"
    progress = owner_api.get(f"{task}/progress").json()
    assert (progress["uploaded_size"], progress["size_progress_percentage"]) == (400, 40.0)
    assert (progress["status"], progress["uploaded_files"]) == ("uploading", 0)
    assert owner_api.get(f"{task}/files").json()["files"][0]["upload_progress"] == 40.0
    assert tus.patch(url, 400, b"x" * 600).status_code == 204
    assert_landed(url, b"x" * 1000)


def test_creation_with_the_first_bytes_or_all(tus: Tus) -> None:
    part = tus.create(7, b"con", BYTES, filename="part")
    assert (part.status_code, part["Upload-Offset"]) == (201, "3")
    assert tus.head(part["Location"])["Upload-Offset"] == "3"
    whole = tus.create(7, b"content", BYTES, filename="whole")
    assert (whole.status_code, whole["Upload-Offset"]) == (201, "7")
    assert whole["Yuntu-File-Id"] == str(File.objects.get(name="whole").pk)
    assert tus.patch(part["Location"], 3, b"tent").status_code == 204
    assert_landed(part["Location"], b"content")


def test_what_may_come_at_once_at_other_doors_is_no_limit_here(tus: Tus, settings: Settings) -> None:
    settings.UPLOAD_DIRECT_MAX_SIZE = 6
    whole = tus.create(7, b"content", BYTES, filename="whole")
    assert (whole.status_code, whole["Upload-Offset"]) == (201, "7")
    assert_landed(whole["Location"], b"content")


def test_an_empty_file_lands_at_once(tus: Tus) -> None:
    answer = tus.create(0, filename="empty")
    assert (answer.status_code, answer["Upload-Offset"]) == (201, "0")
    assert answer["Yuntu-File-Id"] == str(assert_landed(answer["Location"], b"").pk)
    assert tus.head(answer["Location"])["Upload-Offset"] == "0"


def test_metadata_as_uppy_sends_it(tus: Tus) -> None:
    url = tus.create(1, name="a.png", type="image/png", relativePath="scene/tex/a.png", path="/in")[
        "Location"
    ]
    row = row_of(url)
    assert (row.virtual_path, row.mime_type) == ("/in/scene/tex/a.png", "image/png")
    url = tus.create(1, name="b.png", type="", relativePath="null")["Location"]
    assert row_of(url).virtual_path == "/b.png"


def test_metadata_is_answered_as_it_was_sent(tus: Tus) -> None:
    sent = metadata_of(filename="x", caption="任意") + ", starred"
    answer = tus.ask("POST", "/tus", kind="", HTTP_UPLOAD_LENGTH="3", HTTP_UPLOAD_METADATA=sent)
    assert answer.status_code == 201
    assert tus.head(answer["Location"])["Upload-Metadata"] == sent


def test_another_drive_of_mine_and_of_others(tus: Tus, owner: User, stranger: User) -> None:
    mine, theirs = create_drive(user=owner, name="b"), create_drive(user=stranger, name="c")
    url = tus.begin(3, drive_id=str(mine.pk))
    tus.patch(url, 0, b"abc")
    assert assert_landed(url, b"abc").drive == mine
    answer = tus.create(3, filename="x", drive_id=str(theirs.pk))
    assert_answer(answer, 404, "not_found")
    assert UploadTask.objects.count() == 1


@pytest.mark.parametrize(
    ("metadata", "code", "field"),
    [
        ({}, "validation_error", "filename"),
        ({"filename": ""}, "validation_error", "filename"),
        ({"filename": "../x"}, "bad_name", "file_name"),
        ({"filename": "x", "path": "/a/../b"}, "bad_name", "target_folder_path"),
        ({"filename": "x", "drive_id": "7"}, "validation_error", "drive_id"),
        ({"filename": "x", "md5": "abc"}, "validation_error", "md5"),
        ({"filename": "x", "filetype": "a\x00b"}, "validation_error", "filetype"),
        ({"filename": "setup.EXE"}, "file_type_not_allowed", "file_name"),
    ],
)
def test_metadata_that_is_refused(tus: Tus, drive: Drive, metadata: Any, code: str, field: str) -> None:
    answer = tus.create(3, **metadata)
    assert_answer(answer, 422, code)
    assert answer.json()["errors"][0]["loc"][-1] == field
    assert (UploadTask.objects.count(), Folder.objects.count(), sums(drive), staged()) == (0, 0, (0, 0), [])


@pytest.mark.parametrize(
    "sent", ["filename %%%", "filename eA==,filename eA==", "filename eA==,", "filename gA=="]
)
def test_malformed_metadata(tus: Tus, sent: str) -> None:
    answer = tus.ask("POST", "/tus", kind="", HTTP_UPLOAD_LENGTH="3", HTTP_UPLOAD_METADATA=sent)
    assert_answer(answer, 400, "tus_header_invalid")
    assert answer.json()["header"] == "Upload-Metadata"
    assert not UploadTask.objects.exists()


@pytest.mark.parametrize("length", ["", "-1", "1.5", "x", "１", "9" * 19])
def test_malformed_length(tus: Tus, length: str) -> None:
    answer = tus.create(length, filename="x")
    assert_answer(answer, 400, "tus_header_invalid")
    assert answer.json()["header"] == "Upload-Length"
    assert not UploadTask.objects.exists()


def test_a_length_to_be_told_later_is_not_offered(tus: Tus) -> None:
    answer = tus.ask(
        "POST", "/tus", kind="", HTTP_UPLOAD_DEFER_LENGTH="1", HTTP_UPLOAD_METADATA=metadata_of(filename="x")
    )
    assert_answer(answer, 400, "tus_header_invalid")


def test_too_large_for_the_server_and_for_the_drive(tus: Tus, drive: Drive) -> None:
    limit = int(tus.ask("OPTIONS", "/tus")["Tus-Max-Size"])
    assert_answer(tus.create(limit + 1, filename="x"), 413, "too_large")
    Drive.objects.filter(pk=drive.pk).update(total_size=100)
    answer = tus.create(101, filename="x")
    assert_answer(answer, 413, "quota_exceeded")
    assert (answer.json()["required"], answer.json()["available"]) == (101, 100)
    assert (UploadTask.objects.count(), sums(drive)) == (0, (0, 0))
    assert tus.create(100, filename="x").status_code == 201


@pytest.mark.parametrize("offset", [0, 2, 4, 7])
def test_a_wrong_offset_writes_nothing(tus: Tus, offset: int) -> None:
    url = tus.begin(7)
    tus.patch(url, 0, b"abc")
    answer = tus.patch(url, offset, b"zzz")
    assert_answer(answer, 409, "offset_mismatch")
    assert answer.json()["offset"] == 3
    assert tus.head(url)["Upload-Offset"] == "3"
    assert tus.patch(url, 3, b"defg").status_code == 204
    assert_landed(url, b"abcdefg")


@pytest.mark.parametrize("offset", ["", "-3", "x"])
def test_a_malformed_offset(tus: Tus, offset: str) -> None:
    url = tus.begin(7)
    answer = tus.patch(url, offset, b"abc")
    assert_answer(answer, 400, "tus_header_invalid")
    assert tus.head(url)["Upload-Offset"] == "0"


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/json", ""])
def test_another_content_type(tus: Tus, kind: str) -> None:
    url = tus.begin(3)
    answer = tus.patch(url, 0, b"abc", kind)
    assert_answer(answer, 415, "unsupported_media_type")
    assert (tus.head(url)["Upload-Offset"], staged()) == ("0", [])


def test_more_than_was_announced(tus: Tus) -> None:
    url = tus.begin(3)
    assert_answer(tus.patch(url, 0, b"abcd"), 413, "too_large")
    assert (tus.head(url)["Upload-Offset"], staged()) == ("0", [])
    tus.patch(url, 0, b"abc")
    assert_answer(tus.patch(url, 3, b"d"), 413, "too_large")
    assert tus.patch(url, 3, b"").status_code == 204
    assert_landed(url, b"abc")


def test_content_of_another_digest_ends_the_upload(tus: Tus, drive: Drive) -> None:
    url = tus.begin(3, md5=md5_of(b"abc"))
    assert_answer(tus.patch(url, 0, b"abd"), 422, "digest_mismatch")
    assert_answer(tus.patch(url, 3, b""), 410, "upload_gone")
    assert tus.head(url).status_code == 410
    assert (File.objects.count(), Blob.objects.count(), staged()) == (0, 0, [])


@pytest.mark.parametrize("version", ["", "0.2.2", "2.0.0"])
def test_another_version_is_not_processed(tus: Tus, version: str) -> None:
    url = tus.begin(3)
    headers: dict[str, Any] = {"HTTP_TUS_RESUMABLE": version}
    for answer in (
        tus.ask("POST", "/tus", kind="", HTTP_UPLOAD_LENGTH="3", **headers),
        tus.patch(url, 0, b"abc", **headers),
        tus.delete(url, **headers),
    ):
        assert_answer(answer, 412, "tus_version_unknown")
        assert answer["Tus-Version"] == "1.0.0"
    assert tus.head(url, **headers).status_code == 412
    assert tus.head(url)["Upload-Offset"] == "0"
    assert UploadTask.objects.count() == 1


def test_what_the_server_can_do_is_told_to_anybody(anonymous: Client) -> None:
    for answer in (
        anonymous.generic("OPTIONS", "/tus"),
        anonymous.generic("OPTIONS", "/tus/"),
        anonymous.generic("OPTIONS", "/tus/0196e9f6-0000-7000-8000-000000000000"),
    ):
        assert (answer.status_code, answer.content) == (204, b"")
        assert (answer["Tus-Version"], answer["Tus-Resumable"]) == ("1.0.0", "1.0.0")
        assert answer["Tus-Extension"] == "creation,creation-with-upload,expiration,termination"
        assert int(answer["Tus-Max-Size"]) >= 600 * 2**30


def test_nobody_without_a_token(anonymous: Client, tus: Tus) -> None:
    url, nobody = tus.begin(3), Tus(anonymous)
    for answer in (nobody.create(3, filename="x"), nobody.patch(url, 0, b"abc"), nobody.delete(url)):
        assert_answer(answer, 401, "not_authenticated")
        assert answer["WWW-Authenticate"] == "Bearer"
    assert nobody.head(url).status_code == 401
    assert (tus.head(url)["Upload-Offset"], UploadTask.objects.count()) == ("0", 1)


def test_another_users_upload_is_out_of_sight(stranger_api: Client, tus: Tus) -> None:
    url, stranger = tus.begin(3), Tus(stranger_api)
    for answer in (stranger.patch(url, 0, b"abc"), stranger.delete(url)):
        assert_answer(answer, 404, "not_found")
    assert stranger.head(url).status_code == 404
    assert (tus.head(url)["Upload-Offset"], row_of(url).status) == ("0", TaskFile.Status.PENDING)


def test_termination(tus: Tus, drive: Drive) -> None:
    url = tus.begin(7)
    tus.patch(url, 0, b"abc")
    assert (len(staged()), sums(drive)) == (1, (0, 7))
    answer = tus.delete(url)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (staged(), sums(drive), UploadPart.objects.count()) == ([], (0, 0), 0)
    assert UploadTask.objects.get().status == UploadTask.Status.CANCELLED
    assert tus.head(url).status_code == 410
    assert_answer(tus.patch(url, 3, b"defg"), 410, "upload_gone")
    assert_answer(tus.delete(url), 410, "upload_gone")


def test_a_file_that_has_landed_is_not_terminated(tus: Tus) -> None:
    url = tus.begin(3)
    tus.patch(url, 0, b"abc")
    assert_answer(tus.delete(url), 409, "upload_closed")
    assert_landed(url, b"abc")


def test_expiration(tus: Tus, drive: Drive, settings: Settings) -> None:
    answer = tus.create(7, filename="x")
    url = answer["Location"]
    due = datetime.fromtimestamp(parse_http_date(answer["Upload-Expires"]), UTC)
    assert abs(due - (timezone.now() + settings.UPLOAD_LIFETIME)) < timedelta(seconds=30)
    assert tus.patch(url, 0, b"abc")["Upload-Expires"] == answer["Upload-Expires"]
    assert tus.head(url)["Upload-Expires"] == answer["Upload-Expires"]
    assert expire_tasks(now=due + timedelta(seconds=2)) == 1
    assert tus.head(url).status_code == 410
    assert (staged(), sums(drive)) == ([], (0, 0))


def test_a_paused_upload_takes_no_bytes(tus: Tus) -> None:
    url = tus.begin(7)
    tus.patch(url, 0, b"abc")
    pause_task(task=UploadTask.objects.get())
    assert_answer(tus.patch(url, 3, b"defg"), 409, "upload_paused")
    assert tus.head(url)["Upload-Offset"] == "3"
    resume_task(task=UploadTask.objects.get())
    assert tus.patch(url, 3, b"defg").status_code == 204
    assert_landed(url, b"abcdefg")


def test_methods_that_a_browser_cannot_send(tus: Tus) -> None:
    url = tus.begin(3)
    sent = tus.ask("POST", url, b"abc", HTTP_X_HTTP_METHOD_OVERRIDE="PATCH", HTTP_UPLOAD_OFFSET="0")
    assert (sent.status_code, sent["Upload-Offset"]) == (204, "3")
    assert tus.ask("POST", url, HTTP_X_HTTP_METHOD_OVERRIDE="HEAD")["Upload-Offset"] == "3"
    other = tus.begin(3, "/other")
    assert tus.ask("POST", other, HTTP_X_HTTP_METHOD_OVERRIDE="delete").status_code == 204
    assert row_of(other).task.status == UploadTask.Status.CANCELLED
    for answer in (tus.ask("POST", url), tus.ask("GET", url), tus.ask("GET", "/tus")):
        assert_answer(answer, 405, "method_not_allowed")
    assert_answer(tus.ask("GET", url, HTTP_X_HTTP_METHOD_OVERRIDE="DELETE"), 405, "method_not_allowed")


def test_files_of_a_manifest_are_sent_this_way_too(tus: Tus, owner_api: Client, drive: Drive) -> None:
    first, second = begin(owner_api, announced("/a/x", b"content"), announced("/a/y", b"other"))
    url = f"/tus/{first.file_id}"
    assert tus.head(url)["Upload-Offset"] == "0"
    assert tus.head(url)["Upload-Metadata"] == metadata_of(filename="x")
    assert tus.patch(url, 0, b"content")["Yuntu-File-Id"] == str(first.row().file_id)
    tus.patch(f"/tus/{second.file_id}", 0, b"ot")
    assert tus.delete(f"/tus/{second.file_id}").status_code == 204
    # The task goes on: its file can be tried again, by another way too.
    assert (second.row().status, sums(drive)) == ("failed", (7, 5))
    assert tus.head(f"/tus/{second.file_id}").status_code == 410
    assert second.retry().status_code == 200
    assert tus.head(f"/tus/{second.file_id}")["Upload-Offset"] == "0"
    assert second.whole(b"other").status_code == 200
    assert tus.head(f"/tus/{second.file_id}")["Upload-Offset"] == "5"
    assert (sums(drive), staged()) == ((12, 0), [])


def test_parts_and_order_do_not_mix(tus: Tus, owner_api: Client) -> None:
    parts, order = begin(owner_api, announced("/x", b"x" * 1500), announced("/y", b"y" * 1500))
    parts.start()
    assert tus.head(f"/tus/{parts.file_id}").status_code == 409
    assert_answer(tus.patch(f"/tus/{parts.file_id}", 0, b"x"), 409, "sent_in_parts")
    assert_answer(tus.delete(f"/tus/{parts.file_id}"), 409, "sent_in_parts")
    tus.patch(f"/tus/{order.file_id}", 0, b"y" * 100)
    for answer in (order.start(), order.part(2, b"y" * 500), order.complete()):
        assert (answer.status_code, answer.json()["code"]) == (409, "sent_in_order")
    assert tus.head(f"/tus/{order.file_id}")["Upload-Offset"] == "100"
    assert tus.patch(f"/tus/{order.file_id}", 100, b"y" * 1400).status_code == 204


def test_browsers_on_other_origins_may_read_and_send_the_headers(anonymous: Client, tus: Tus) -> None:
    origin = {"HTTP_ORIGIN": "http://localhost:5173"}
    asked = "authorization,content-type,tus-resumable,upload-length,upload-metadata,upload-offset"
    preflight = anonymous.generic(
        "OPTIONS",
        "/tus",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="PATCH",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS=asked,
        **origin,
    )
    assert preflight.status_code == 200
    allowed = {name.strip() for name in preflight["Access-Control-Allow-Headers"].split(",")}
    assert set(asked.split(",")) | {"x-http-method-override", "x-request-id"} <= allowed
    assert {"PATCH", "DELETE"} <= set(preflight["Access-Control-Allow-Methods"].split(", "))
    shown = tus.head(tus.begin(3), **origin)["Access-Control-Expose-Headers"].split(", ")
    assert {"Location", "Upload-Offset", "Upload-Length", "Tus-Resumable", "Yuntu-File-Id"} <= set(shown)


def test_the_address_behind_a_proxy(tus: Tus, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://yuntu.example.com/"
    location = tus.create(3, filename="x")["Location"]
    assert location == f"https://yuntu.example.com/api/v1/tus/{TaskFile.objects.get().pk}"
