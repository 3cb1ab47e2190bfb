"""A whole task as one ZIP, made as it is read."""

import io
import zipfile
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import pytest
from django.conf import settings
from django.test import Client as Browser
from django.test import RequestFactory
from django.utils import timezone

from accounts.models import User
from common.ids import new_id
from drives.models import Blob, Drive, File
from drives.services.trash import trash
from tests.conftest import Client
from tests.uploads.conftest import announced, begin
from uploads.links import ArchiveLink
from uploads.models import UploadTask

pytestmark = pytest.mark.django_db
CONTENTS = {"scene/木 1.png": b"wood", "scene/empty": b"", "readme.txt": bytes(range(256)) * 9000}


def read(content: bytes) -> dict[str, bytes]:
    """What Python's reader finds; it compares every checksum."""
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        assert found.testzip() is None
        return {info.filename: found.read(info) for info in found.infolist()}


@pytest.fixture
def task(owner_api: Client, drive: Drive) -> str:
    senders = begin(owner_api, *(announced(f"/{path}", content) for path, content in CONTENTS.items()))
    for sender, content in zip(senders, CONTENTS.values(), strict=True):
        assert sender.whole(content).status_code == 200
    return senders[0].task_id


def ask(client: Client, task: str, **body: Any) -> Any:
    return client.post(f"/upload-tasks/{task}/archive", body)


def fetch(url: str, method: str = "get", **headers: str) -> Any:
    return getattr(Browser(), method)(urlsplit(url).path, headers=headers)


def test_a_task_as_one_archive(owner_api: Client, task: str) -> None:
    answer = ask(owner_api, task, archive_name="灯笼")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], set(body)) == (
        "completed",
        {"archive_id", "status", "download_url", "expires_at"},
    )
    left = datetime.fromisoformat(body["expires_at"]) - timezone.now()
    assert timedelta(seconds=settings.DOWNLOAD_LINK_SECONDS - 60) < left <= timedelta(seconds=3600)
    got = fetch(body["download_url"])
    content = b"".join(got.streaming_content)
    assert (got.status_code, got["Content-Type"], got["Content-Length"]) == (
        200,
        "application/zip",
        str(len(content)),
    )
    assert "filename*=utf-8''%E7%81%AF%E7%AC%BC.zip" in got["Content-Disposition"]
    assert read(content) == CONTENTS
    head = fetch(body["download_url"], "head")
    assert (head.status_code, head["Content-Length"], head.content) == (200, str(len(content)), b"")
    assert ask(owner_api, task).json()["archive_id"] != body["archive_id"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("", "scene.zip"), ("x.ZIP", "x.ZIP"), ("../../etc/passwd", ".._.._etc_passwd.zip"), ('a"b', "a_b.zip")],
)
def test_the_name_of_an_archive(owner_api: Client, task: str, name: str, shown: str) -> None:
    url = ask(owner_api, task, archive_name=name).json()["download_url"]
    assert unquote(urlsplit(url).path.rpartition("/")[2]) == shown
    assert fetch(url).status_code == 200


def test_an_archive_goes_on_where_it_broke_off(owner_api: Client, task: str) -> None:
    """Whichever of the two doors gave the link."""
    for url in (
        ask(owner_api, task).json()["download_url"],
        owner_api.get(f"/upload-tasks/{task}/download").json()["download_url"],
    ):
        whole = b"".join(fetch(url).streaming_content)
        rest = fetch(url, Range="bytes=1000-")
        assert (rest.status_code, b"".join(rest.streaming_content)) == (206, whole[1000:])


def test_what_was_deleted_is_not_in_it(owner: User, owner_api: Client, task: str) -> None:
    url = ask(owner_api, task).json()["download_url"]
    trash(entry=File.objects.select_related("drive").get(name="readme.txt"), actor=owner)
    assert set(read(b"".join(fetch(url).streaming_content))) == {"scene/木 1.png", "scene/empty"}
    # Who goes on after that gets the whole: the halves of two archives are none.
    assert fetch(url, Range="bytes=10-").status_code == 200
    for file in File.objects.select_related("drive").filter(trashed_at=None):
        trash(entry=file, actor=owner)
    assert fetch(url).status_code == 404
    assert ask(owner_api, task).status_code == 404


def test_only_what_is_complete_and_checked(owner_api: Client, task: str) -> None:
    (waiting,) = begin(owner_api, announced("/x", b"x"))
    early = ask(owner_api, waiting.task_id)
    assert (early.status_code, early.json()["code"]) == (409, "upload_not_completed")
    other = ask(owner_api, task, format="rar")
    assert (other.status_code, other.json()["code"]) == (422, "validation_error")
    url = ask(owner_api, task).json()["download_url"]
    Blob.objects.update(crc32=None)
    assert (ask(owner_api, task).status_code, ask(owner_api, task).json()["code"]) == (
        409,
        "not_verified_yet",
    )
    assert fetch(url).status_code == 409


def test_a_link_is_no_other_link(owner_api: Client, task: str) -> None:
    url = ask(owner_api, task, archive_name="a").json()["download_url"]
    path = urlsplit(url).path
    for forged in (
        path.replace("a.zip", "b.zip"),
        path[:-20] + ("y" if path[-20] == "x" else "x") + path[-19:],
        "/archives/x/a.zip",
        "/archives/x:y/a.zip",
    ):
        answer = fetch(forged)
        assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid")
    over = ArchiveLink(UUID(task), new_id(), "a.zip", "", timezone.now() - timedelta(seconds=1))
    assert fetch(over.url(RequestFactory().get("/"))).status_code == 403
    UploadTask.objects.all().delete()
    assert fetch(url).status_code == 404
