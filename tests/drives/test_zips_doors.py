"""Folders and selections as one ZIP: links, ranges, what is in it, and who may have it."""

import io
import zipfile
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from django.test import Client as Browser
from django.utils import timezone

from accounts.models import User
from drives.models import Archive, Blob, Drive, DriveMember, File, FileOperation
from drives.services import archives
from drives.services.trash import trash
from drives.tasks import empty_trash
from tests.conftest import Client
from tests.drives.manager import id_at, post
from tests.factories import put

pytestmark = pytest.mark.django_db
CONTENTS = {"场景/木 1.png": b"wood" * 50, "场景/深/x": b"deep", "场景/deep/empty": b""}


@pytest.fixture
def folder(owner: User, owner_api: Client, drive: Drive) -> str:
    """Id of /场景 with files, folders below it and an empty one, beside other things."""
    for path, content in CONTENTS.items():
        put(owner, f"/{path}", content)
    put(owner, "/场景2/no", b"no")
    put(owner, "/other", b"other")
    body = {"drive_id": str(drive.pk), "folder_path": "/场景", "file_name": "nothing"}
    post(owner_api, "/files", 201, **body)
    return id_at("/场景")


def link(api: Client, folder: str) -> dict[str, Any]:
    answer = api.get(f"/files/{folder}/archive")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def fetch(url: str, method: str = "get", **headers: str) -> Any:
    return getattr(Browser(), method)(urlsplit(url).path, headers=headers)


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def unpacked(url: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body(fetch(url)))) as found:
        assert found.testzip() is None
        return {info.filename: found.read(info) for info in found.infolist()}


def test_a_folder_with_all_below_it(owner_api: Client, folder: str) -> None:
    answer = link(owner_api, folder)
    url = answer["download_url"]
    assert (answer["filename"], answer["expires_in"]) == ("场景.zip", 3600)
    assert unquote(urlsplit(url).path.rpartition("/")[2]) == "场景.zip"
    folders = dict.fromkeys(["场景/", "场景/deep/", "场景/nothing/", "场景/深/"], b"")
    assert unpacked(url) == {**folders, **CONTENTS}
    got = fetch(url)
    assert (got.status_code, got["Content-Type"], got["ETag"]) == (
        200,
        "application/zip",
        f'"{answer["etag"]}"',
    )
    assert (got["Content-Length"], len(body(got))) == (str(answer["size"]), answer["size"])
    assert "filename*=utf-8''%E5%9C%BA%E6%99%AF.zip" in got["Content-Disposition"]
    assert (got["Accept-Ranges"], got["X-Accel-Buffering"]) == ("bytes", "no")
    head = fetch(url, "head")
    assert (head.status_code, head["Content-Length"], head.content) == (200, str(answer["size"]), b"")


def test_a_download_goes_on_where_it_broke_off(owner_api: Client, folder: str) -> None:
    answer = link(owner_api, folder)
    url, size = answer["download_url"], answer["size"]
    whole, tag = body(fetch(url)), f'"{answer["etag"]}"'
    for asked, first, last in (("100-", 100, size - 1), ("10-99", 10, 99), ("-30", size - 30, size - 1)):
        part = fetch(url, Range=f"bytes={asked}")
        assert (part.status_code, part["Content-Range"]) == (206, f"bytes {first}-{last}/{size}")
        assert body(part) == whole[first : last + 1]
    beyond = fetch(url, Range=f"bytes={size}-")
    assert (beyond.status_code, beyond["Content-Range"]) == (416, f"bytes */{size}")
    assert beyond.json()["code"] == "range_not_satisfiable"
    for condition, code in ((tag, 206), ('"other"', 200)):
        assert fetch(url, Range="bytes=5-", **{"If-Range": condition}).status_code == code
    for condition, code in ((tag, 304), (f"W/{tag}", 304), ('"other"', 200)):
        assert fetch(url, **{"If-None-Match": condition}).status_code == code


@pytest.mark.parametrize("change", ["content", "name", "trash"])
def test_what_has_changed_is_not_put_together(
    owner: User, owner_api: Client, folder: str, change: str
) -> None:
    """Another ETag; a client that goes on without naming the one it has gets the whole."""
    answer = link(owner_api, folder)
    url = answer["download_url"]
    if change == "content":
        put(owner, "/场景/木 1.png", b"dowo" * 50)
    elif change == "name":
        owner_api.put(f"/files/{id_at('/场景/木 1.png')}", {"file_name": "木 2.png"})
    else:
        owner_api.delete(f"/files/{id_at('/场景/木 1.png')}")
    fresh = fetch(url)["ETag"]
    assert fresh != f'"{answer["etag"]}"'
    assert fetch(url, Range="bytes=10-").status_code == 200
    assert fetch(url, Range="bytes=10-", **{"If-Range": f'"{answer["etag"]}"'}).status_code == 200
    assert fetch(url, Range="bytes=10-", **{"If-Range": fresh}).status_code == 206


def test_a_selection(owner: User, owner_api: Client, drive: Drive, folder: str) -> None:
    """What lies in a folder of the selection is there once, and two of one name both."""
    put(owner, "/else/other", b"second")
    ids = [folder, id_at("/other"), id_at("/else/other"), id_at("/场景/深"), id_at("/场景/深/x")]
    answer = post(owner_api, "/files/archive", ids=ids)
    assert answer["filename"] == f"{drive.name}.zip"
    found = {name: data for name, data in unpacked(answer["download_url"]).items() if not name.endswith("/")}
    assert found == {**CONTENTS, "other": b"second", "other (2)": b"other"}
    assert post(owner_api, "/files/archive", ids=ids[:1])["filename"] == "场景.zip"
    named = post(owner_api, "/files/archive", ids=ids[1:2], archive_name="a/b")
    assert (named["filename"], unpacked(named["download_url"])) == ("a_b.zip", {"other": b"other"})


def test_only_whoever_may_read_gets_a_link(
    owner: User, owner_api: Client, stranger: User, stranger_api: Client, drive: Drive, folder: str
) -> None:
    assert stranger_api.get(f"/files/{folder}/archive").status_code == 404
    post(stranger_api, "/files/archive", 404, ids=[folder])
    own = put(stranger, "/own", b"own")
    post(owner_api, "/files/archive", 404, ids=[folder, str(own.pk)])
    assert (Archive.objects.count(), FileOperation.objects.filter(action="download").count()) == (0, 0)
    DriveMember.objects.create(drive=drive, user=stranger, role="viewer")
    assert link(stranger_api, folder)["size"] > 0
    post(owner_api, "/files/archive", 422, ids=[])
    post(owner_api, "/files/archive", 422, ids=[folder] * 501)


def test_what_is_gone_is_not_in_it(owner: User, owner_api: Client, drive: Drive, folder: str) -> None:
    other = id_at("/other")
    url = post(owner_api, "/files/archive", ids=[folder, other])["download_url"]
    for path in ("/场景/深", "/场景/木 1.png", "/other"):
        owner_api.delete(f"/files/{id_at(path)}")
    assert set(unpacked(url)) == {"场景/", "场景/deep/", "场景/deep/empty", "场景/nothing/"}
    post(owner_api, "/files/archive", 404, ids=[folder, other])
    owner_api.delete(f"/files/{folder}")
    assert owner_api.get(f"/files/{folder}/archive").status_code == 404
    assert fetch(url).status_code == 404
    single = link(owner_api, id_at("/场景2"))["download_url"]
    Drive.objects.update(is_active=False)
    assert fetch(single).status_code == 404


def test_content_without_a_checksum_has_to_wait(owner_api: Client, folder: str) -> None:
    url = link(owner_api, folder)["download_url"]
    Blob.objects.filter(files__name="x").update(crc32=None)
    refused = owner_api.get(f"/files/{folder}/archive")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_verified_yet")
    assert (fetch(url).status_code, Archive.objects.count()) == (409, 1)


def test_an_archive_has_a_size_it_can_be_held_in(
    owner_api: Client, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, code in ((7, 200), (6, 409), (3, 409)):
        monkeypatch.setattr(archives, "MAX_MEMBERS", limit)
        answer = owner_api.get(f"/files/{folder}/archive")
        assert (limit, answer.status_code) == (limit, code)
    assert (answer.json()["code"], answer.json()["limit"]) == ("too_many_items", 3)


def test_a_link_is_no_other_link_and_ends(owner_api: Client, folder: str) -> None:
    answer = owner_api.get(f"/files/{folder}/archive?expires_in=60").json()
    path = urlsplit(answer["download_url"]).path
    other = urlsplit(link(owner_api, id_at("/场景2"))["download_url"]).path.split("/")[2]
    token = path.split("/")[2]
    mixed = f"{other.split(':')[0]}:{token.split(':')[1]}"
    for forged in (
        path.replace("%E5", "%E6"),
        path.replace(token, mixed),
        path.replace(token, "x"),
        f"/blobs/{token}/{path.rpartition('/')[2]}",
    ):
        refused = fetch(forged)
        assert (refused.status_code, refused.json()["code"]) == (403, "link_invalid"), forged
    assert answer["expires_in"] == 60
    Archive.objects.update(expires_at=timezone.now() + timedelta(seconds=5))
    empty_trash()
    assert fetch(path).status_code == 200
    Archive.objects.update(expires_at=timezone.now())
    assert fetch(path).status_code == 403
    empty_trash()
    assert Archive.objects.count() == 0


def test_each_link_is_logged_once(owner: User, owner_api: Client, folder: str) -> None:
    url = link(owner_api, folder)["download_url"]
    for _time in range(3):
        body(fetch(url))
    row = FileOperation.objects.get(action="download")
    assert (row.actor, str(row.target_id), row.is_folder, row.path) == (owner, folder, True, "/场景")
    post(owner_api, "/files/archive", ids=[folder, id_at("/other")])
    assert FileOperation.objects.filter(action="download").count() == 3


def test_statements_do_not_grow_with_the_folder(
    owner: User, owner_api: Client, folder: str, django_assert_num_queries: Any
) -> None:
    url = link(owner_api, folder)["download_url"]
    with django_assert_num_queries(5):  # the archive; folders, what is below, files
        body(fetch(url))
    for number in range(20):
        put(owner, f"/场景/{number}/{number}", b"more")
    with django_assert_num_queries(5):
        body(fetch(url))


def test_files_that_were_trashed_before_stay_out(owner: User, owner_api: Client, folder: str) -> None:
    trash(entry=File.objects.select_related("drive").get(name="x"), actor=owner)
    assert "场景/深/x" not in unpacked(link(owner_api, folder)["download_url"])
