"""Whole scene files of older clients, and what they call object keys."""

import os
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import Settings

from accounts.models import User
from drives.models import Blob, Drive, File
from drives.services.drives import create_drive
from tests.conftest import Client
from tests.factories import put
from tests.uploads.conftest import sha256_of, staged, sums
from uploads.models import UploadTask

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(3007)


def assert_nothing_made(drive: Drive) -> None:
    assert not UploadTask.objects.exists()
    assert not File.objects.exists()
    assert not Blob.objects.exists()
    assert staged() == []
    assert sums(drive) == (0, 0)


def send_scene(client: Client, content: bytes, name: str = "scene.ma", query: str = "?task_id=t1") -> Any:
    form = {"file": SimpleUploadedFile(name, content)}
    return client.post(f"/files/upload{query}", form, format="multipart")


def test_a_scene_is_sent_found_and_deleted(owner_api: Client, anonymous: Client, drive: Drive) -> None:
    answer = send_scene(owner_api, CONTENT)
    assert answer.status_code == 200, answer.content
    file = File.objects.select_related("blob").get()
    body = answer.json()
    assert {name: body[name] for name in ("filename", "object_key", "size", "file_id")} == {
        "filename": "scene.ma", "object_key": "/scenes/scene.ma", "size": len(CONTENT), "file_id": str(file.pk),
    }  # fmt: skip
    assert sums(drive) == (len(CONTENT), 0)
    link = owner_api.get("/files/download/t1/scene.ma?expire_time=120").json()
    assert (link["filename"], link["object_key"], link["expires_in"]) == ("scene.ma", "/scenes/scene.ma", 120)
    assert b"".join(anonymous.get(urlsplit(link["download_url"]).path)) == CONTENT
    shown = {
        "object_key": "/scenes/scene.ma",
        "file_id": str(file.pk),
        "size": len(CONTENT),
        "content_type": file.mime_type,
        "last_modified": int(file.updated_at.timestamp()),
        "etag": sha256_of(CONTENT),
    }
    for key in ("scenes/scene.ma", "/scenes/scene.ma", file.pk, f"scenes/scene.ma?drive_id={drive.pk}"):
        assert owner_api.get(f"/files/info/{key}").json() == shown
    gone = owner_api.delete("/files/scenes/scene.ma")
    assert (gone.status_code, gone.json()["object_key"]) == (200, "/scenes/scene.ma")
    assert sums(drive) == (0, 0)
    for path in ("/files/info/scenes/scene.ma", f"/files/info/{file.pk}", "/files/download/t1/scene.ma"):
        assert owner_api.get(path).status_code == 404


@pytest.mark.parametrize(("name", "code"), [("evil.exe", "file_type_not_allowed"), ("nul.ma", "bad_name")])
def test_a_scene_that_is_refused_leaves_nothing(
    owner_api: Client, drive: Drive, name: str, code: str
) -> None:
    answer = send_scene(owner_api, CONTENT, name=name)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert_nothing_made(drive)


def test_a_scene_too_large_for_one_request_or_the_drive(
    owner_api: Client, drive: Drive, settings: Settings
) -> None:
    settings.UPLOAD_DIRECT_MAX_SIZE = len(CONTENT) - 1
    answer = send_scene(owner_api, CONTENT)
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (
        413,
        "too_large",
        len(CONTENT) - 1,
    )
    settings.UPLOAD_DIRECT_MAX_SIZE = len(CONTENT)
    Drive.objects.filter(pk=drive.pk).update(total_size=5)
    answer = send_scene(owner_api, CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (413, "quota_exceeded")
    assert_nothing_made(drive)


def test_a_form_without_a_scene(owner_api: Client, drive: Drive) -> None:
    answer = owner_api.post("/files/upload", {"task_id": "x"}, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (422, "file_missing")
    long = send_scene(owner_api, CONTENT, query="?task_id=" + "x" * 101)
    assert (long.status_code, long.json()["code"]) == (422, "validation_error")
    assert_nothing_made(drive)


def test_keys_of_others_are_out_of_sight(owner: User, owner_api: Client, stranger_api: Client) -> None:
    send_scene(owner_api, CONTENT)
    file = File.objects.get()
    second = create_drive(user=owner, name="second")
    kept = put(owner, "/x", b"x", drive=second)
    for key in (
        "scenes/scene.ma",
        file.pk,
        f"scenes/scene.ma?drive_id={file.drive_id}",
        "x",
        "scenes?drive_id=5",
    ):
        assert stranger_api.get(f"/files/info/{key}").status_code == 404
        assert stranger_api.delete(f"/files/{key}").status_code == 404
    assert stranger_api.get("/files/download/t1/scene.ma").status_code == 404
    assert owner_api.get("/files/info/x").status_code == 404
    assert owner_api.get(f"/files/info/x?drive_id={second.pk}").json()["file_id"] == str(kept.pk)
    bad = owner_api.get("/files/info/scenes/../x")
    assert (bad.status_code, bad.json()["code"]) == (422, "bad_name")
    assert File.objects.filter(trashed_at=None).count() == 2


def test_an_address_to_put_to_is_not_offered(owner_api: Client) -> None:
    answer = owner_api.post("/files/upload-url?task_id=t1&filename=scene.ma")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_supported")


def test_without_a_token_nothing(anonymous: Client, owner: User, drive: Drive) -> None:
    kept = put(owner, "/scenes/scene.ma", b"x")
    for answer in (
        anonymous.post("/files/upload/chunk", {}), anonymous.post("/files/upload/merge", {}),
        send_scene(anonymous, b"x"),
        anonymous.get("/files/download/t1/scene.ma"), anonymous.post("/files/upload-url?filename=x"),
        anonymous.get("/files/info/scenes/scene.ma"), anonymous.delete("/files/scenes/scene.ma"),
    ):  # fmt: skip
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert not UploadTask.objects.exists()
    assert File.objects.get().trashed_at is None
    assert kept.pk == File.objects.get().pk
    assert staged() == []
