"""A whole task as one ZIP: made as it is read, the same for every tool that reads it."""

import io
import itertools
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
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
from uploads import archives
from uploads.archives import Archive, Member, member_names
from uploads.links import ArchiveLink
from uploads.models import UploadTask

NOON = datetime(2026, 3, 4, 12, 30, 10, tzinfo=UTC)


def source(content: bytes) -> Callable[[], AbstractContextManager[BinaryIO]]:
    return lambda: io.BytesIO(content)


def member(name: str, content: bytes) -> Member:
    return Member(name, len(content), zlib.crc32(content), NOON, source(content))


def built(*members: Member) -> bytes:
    archive = Archive(list(members))
    content = b"".join(archive.chunks())
    assert len(content) == archive.size
    return content


def read(content: bytes) -> dict[str, bytes]:
    """What Python's reader finds; it compares every checksum."""
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        assert found.testzip() is None
        return {info.filename: found.read(info) for info in found.infolist()}


CONTENTS = {"scene/木 1.png": b"wood", "scene/empty": b"", "readme.txt": bytes(range(256)) * 9000}


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    content = built(*(member(name, data) for name, data in CONTENTS.items()))
    assert read(content) == CONTENTS
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        info = found.getinfo("readme.txt")
        assert (info.compress_type, info.date_time) == (zipfile.ZIP_STORED, (2026, 3, 4, 20, 30, 10))
    assert read(built()) == {}
    target = tmp_path / "scene.zip"
    target.write_bytes(content)
    if tool := shutil.which("unzip"):
        subprocess.run(
            [tool, "-q", str(target), "-d", str(tmp_path / "out")], check=True, env={"LC_ALL": "C.UTF-8"}
        )
        assert {name: (tmp_path / "out" / name).read_bytes() for name in CONTENTS} == CONTENTS


def test_large_members_and_far_offsets_take_zip64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit lowered: every size and offset then stands in the ZIP64 fields."""
    for limit in (1, 100, 5000):
        monkeypatch.setattr(archives, "LIMIT_32", limit)
        content = built(*(member(name, data) for name, data in CONTENTS.items()))
        assert b"PK\6\6" in content
        assert read(content) == CONTENTS
    monkeypatch.setattr(archives, "LIMIT_16", 2)
    assert read(built(*(member(name, data) for name, data in CONTENTS.items()))) == CONTENTS


def test_more_members_than_the_old_format_counts() -> None:
    names = [f"{number}" for number in range(70_000)]
    with zipfile.ZipFile(io.BytesIO(built(*(member(name, b"") for name in names)))) as found:
        assert found.namelist() == names


def test_a_member_of_five_gigabytes() -> None:
    """Its bytes are not needed to see that the headers tell its size and where the next one begins."""
    size = 5 * 2**30
    archive = Archive([Member("huge", size, 7, NOON, source(b"")), member("next", b"x")])
    parts = list(itertools.islice(archive.chunks(), 3))
    assert len(parts[0]) == 30 + len("huge") + 20
    assert parts[0][-20:] == b"\1\0\x10\0" + size.to_bytes(8, "little") * 2
    assert archive.size > size
    offset = len(parts[0]) + size
    assert offset.to_bytes(8, "little") in bytes(archive.directory)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/b.png", "c"], ["a/b.png", "c"]),
        (["/../x", "/./x", "//x//y", "/"], ["_/x", "_/x (2)", "x/y", "_"]),
        (["/a:b", "/a|b", "/a_b"], ["a_b", "a_b (2)", "a_b (3)"]),
        (["/A.png", "/a.PNG", "/a/.x", "/a/.X"], ["A.png", "a (2).PNG", "a/.x", "a/.X (2)"]),
        (["/b.c/d", "/b.c/D"], ["b.c/d", "b.c/D (2)"]),
        (["/a\\..\\b", "/c\0d"], ["a_.._b", "c_d"]),
    ],
)
def test_names_are_safe_wherever_they_are_unpacked(paths: list[str], names: list[str]) -> None:
    assert member_names(paths) == names


# --- At the door -----------------------------------------------------------------------------------------------


@pytest.fixture
def task(owner_api: Client, drive: Drive) -> str:
    senders = begin(owner_api, *(announced(f"/{path}", content) for path, content in CONTENTS.items()))
    for sender, content in zip(senders, CONTENTS.values(), strict=True):
        assert sender.whole(content).status_code == 200
    return senders[0].task_id


def ask(client: Client, task: str, **body: Any) -> Any:
    return client.post(f"/upload-tasks/{task}/archive", body)


def fetch(url: str, method: str = "get") -> Any:
    return getattr(Browser(), method)(urlsplit(url).path)


pytestmark = pytest.mark.django_db


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


def test_what_was_deleted_is_not_in_it(owner: User, owner_api: Client, task: str) -> None:
    url = ask(owner_api, task).json()["download_url"]
    trash(entry=File.objects.select_related("drive").get(name="readme.txt"), actor=owner)
    assert set(read(b"".join(fetch(url).streaming_content))) == {"scene/木 1.png", "scene/empty"}
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
        path[:-20] + "x" + path[-19:],
        "/archives/x/a.zip",
        "/archives/x:y/a.zip",
    ):
        answer = fetch(forged)
        assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid")
    over = ArchiveLink(UUID(task), new_id(), "a.zip", timezone.now() - timedelta(seconds=1))
    assert fetch(over.url(RequestFactory().get("/"))).status_code == 403
    UploadTask.objects.all().delete()
    assert fetch(url).status_code == 404
