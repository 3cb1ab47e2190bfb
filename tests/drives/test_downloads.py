"""Signed links and the bytes behind them (RFC 9110, RFC 6266)."""

import os
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from django.test import Client as PlainClient
from django.utils import timezone
from django.utils.http import http_date
from pytest_django import Settings

from accounts.models import User
from drives.links import link_to
from drives.models import Blob, File
from drives.storage import blob_storage
from tests.conftest import Client
from tests.factories import put

pytestmark = pytest.mark.django_db
CONTENT = bytes(range(256)) * 12_000  # more than one block of a megabyte
SIZE = len(CONTENT)


@pytest.fixture
def file(owner: User) -> File:
    return put(owner, "/scene/t.bin", CONTENT)


def link(file: File, name: str = "", **options: Any) -> str:
    return link_to(file.blob_id, name or file.name, request=None, **options)


def body(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else answer.content


def test_a_link_serves_the_content_to_whoever_has_it(
    owner_api: Client, anonymous: Client, file: File
) -> None:
    answer = owner_api.get(f"/files/{file.pk}/download").json()
    assert answer == {
        "download_url": answer["download_url"],
        "filename": "t.bin",
        "size": SIZE,
        "etag": file.blob.sha256,
        "expires_in": 3600,
    }
    url = urlsplit(answer["download_url"])
    assert (url.scheme, url.netloc, url.path.endswith("/t.bin")) == ("http", "testserver", True)
    served = anonymous.get(url.path)
    assert served.status_code == 200
    assert body(served) == CONTENT
    assert served.headers["Content-Length"] == str(SIZE)
    assert served.headers["ETag"] == f'"{file.blob.sha256}"'
    assert served.headers["Accept-Ranges"] == "bytes"
    assert served.headers["Content-Type"] == "application/octet-stream"
    assert served.headers["Content-Disposition"] == 'attachment; filename="t.bin"'
    assert served.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(("asked", "given"), [("60", 60), ("59", 60), ("86400", 86400), ("99999", 86400)])
def test_the_life_of_a_link_has_bounds(owner_api: Client, file: File, asked: str, given: int) -> None:
    assert owner_api.get(f"/files/{file.pk}/download?expires_in={asked}").json()["expires_in"] == given
    assert owner_api.get(f"/files/{file.pk}/download?expires_in=soon").status_code == 422


def test_links_begin_with_the_public_address(owner_api: Client, file: File, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://api.example.com/"
    url = owner_api.get(f"/files/{file.pk}/download").json()["download_url"]
    assert url.startswith("https://api.example.com/blobs/")


def test_a_changed_link_opens_nothing(anonymous: Client, file: File, owner: User) -> None:
    path = link(file)
    _empty, _blobs, token, name = path.split("/")
    other = link(put(owner, "/other", b"other"), "t.bin").split("/")[2]
    claims, signature = token.rsplit(":", 1)
    for changed in (
        f"/blobs/{token}/other.html",
        f"/blobs/{token}/t.bin%0A",
        f"/blobs/{token}x/{name}",
        f"/blobs/{claims[:-1]}:{signature}/{name}",
        f"/blobs/{other.rsplit(':', 1)[0]}:{signature}/{name}",
        f"/blobs/{claims}/{name}",
        f"/blobs/x/{name}",
        f"/blobs/%FF/{name}",
    ):
        answer = anonymous.get(changed)
        assert (changed, answer.status_code, answer.json()["code"]) == (changed, 403, "link_invalid")
        assert answer.headers["Content-Type"] == "application/json"


def test_a_link_expires(anonymous: Client, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    path = link(file, seconds=120)
    now = timezone.now()
    monkeypatch.setattr("drives.links.timezone.now", lambda: now + timedelta(seconds=119))
    assert anonymous.get(path).status_code == 200
    monkeypatch.setattr("drives.links.timezone.now", lambda: now + timedelta(seconds=122))
    answer = anonymous.get(path)
    assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid")


def test_a_link_to_swept_content_is_404(anonymous: Client, file: File) -> None:
    path = link(file)
    file.delete()
    Blob.objects.all().delete()
    answer = anonymous.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("Bytes=10-19", 10, 19),
        ("bytes=1000000-1100000", 1_000_000, 1_100_000),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("bytes=5-", 5, SIZE - 1),
        ("bytes=-5", SIZE - 5, SIZE - 1),
        (f"bytes=-{SIZE * 2}", 0, SIZE - 1),
        (f"bytes=10-{SIZE * 2}", 10, SIZE - 1),
        (f"bytes=10-{'9' * 19}", 10, SIZE - 1),
    ],
)
def test_a_range_is_answered(anonymous: Client, file: File, asked: str, first: int, last: int) -> None:
    answer = anonymous.get(link(file), headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert body(answer) == CONTENT[first : last + 1]


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
def test_a_range_beyond_the_end_cannot_be_satisfied(
    anonymous: Client, file: File, settings: Settings, asked: str
) -> None:
    for prefix in ("", "/protected/"):  # also where nginx would send the bytes: its own refusal has no code
        settings.ACCEL_REDIRECT_PREFIX = prefix
        answer = anonymous.get(link(file), headers={"Range": asked})
        assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
        assert (answer.json()["code"], answer.json()["size"]) == ("range_not_satisfiable", SIZE)
        assert not answer.has_header("Content-Disposition")


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=9-5",
        "bytes=-",
        "bytes=a-b",
        "bytes",
        "items=0-5",
        "bytes=0--5",
        f"bytes={'9' * 5000}-",
    ],
)
def test_other_ranges_are_ignored(anonymous: Client, file: File, asked: str) -> None:
    answer = anonymous.get(link(file), headers={"Range": asked})
    assert (answer.status_code, "Content-Range" in answer.headers) == (200, False)
    assert body(answer) == CONTENT


def test_a_range_of_an_old_version_gets_the_whole(anonymous: Client, file: File) -> None:
    etag, modified = f'"{file.blob.sha256}"', http_date(file.blob.created_at.timestamp())
    for condition, status in (
        (etag, 206), ('"other"', 200), (f"W/{etag}", 200), (modified, 206),
        (http_date(file.blob.created_at.timestamp() + 60), 200), ("nonsense", 200),
    ):  # fmt: skip
        answer = anonymous.get(link(file), headers={"Range": "bytes=0-9", "If-Range": condition})
        assert (condition, answer.status_code) == (condition, status)
        assert body(answer) == (CONTENT[:10] if status == 206 else CONTENT)


def test_what_the_client_has_is_not_sent_again(anonymous: Client, file: File) -> None:
    etag, created = f'"{file.blob.sha256}"', file.blob.created_at.timestamp()
    for headers, status in (
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f'"other", W/{etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": http_date(created)}, 304),
        ({"If-Modified-Since": http_date(created - 60)}, 200),
        ({"If-Modified-Since": "nonsense"}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": http_date(created)}, 200),
    ):
        answer = anonymous.get(link(file), headers=headers)
        assert (headers, answer.status_code) == (headers, status)
        assert answer.headers["ETag"] == etag
        if status == 304:
            assert body(answer) == b""
            assert "Content-Disposition" not in answer.headers


def test_head_tells_the_same_without_the_bytes(anonymous: Client, file: File) -> None:
    whole = anonymous.get(link(file))
    for headers in ({}, {"Range": "bytes=0-9"}):  # RFC 9110 §14.2: Range is for GET alone
        answer = anonymous.head(link(file), headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
        for name in (
            "Content-Length",
            "Content-Type",
            "ETag",
            "Accept-Ranges",
            "Content-Disposition",
            "Last-Modified",
        ):
            assert answer.headers[name] == whole.headers[name]


def test_only_get_and_head(file: File) -> None:
    client = PlainClient(enforce_csrf_checks=True)
    for method in ("post", "put", "delete"):
        answer = getattr(client, method)(link(file))
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer["Allow"] == "GET, HEAD, OPTIONS"


def test_empty_content(anonymous: Client, owner: User) -> None:
    empty = put(owner, "/empty", b"")
    answer = anonymous.get(link(empty))
    assert (answer.status_code, answer.headers["Content-Length"], body(answer)) == (200, "0", b"")
    assert anonymous.get(link(empty), headers={"Range": "bytes=0-"}).status_code == 416


@pytest.mark.parametrize("name", ["木 纹(1).png", 'a"b;c.bin', "100%.bin", "a+b&c=d?#.bin", "ひらがな.bin"])
def test_names_arrive_as_they_are(anonymous: Client, owner: User, name: str) -> None:
    file = put(owner, f"/{name}", b"x")
    path = link(file)
    assert unquote(path.rsplit("/", 1)[1]) == name
    disposition = anonymous.get(path).headers["Content-Disposition"]
    if name.isascii():
        escaped = name.replace('"', '\\"')
        assert disposition == f'attachment; filename="{escaped}"'
    else:
        assert disposition == f"attachment; filename*=utf-8''{quote(name)}"


SHOWN = dict.fromkeys(["a.png", "a.jpg", "a.mp4", "a.txt", "a.pdf"], True)
SAVED = dict.fromkeys(["a.html", "a.svg", "a.js", "a.xml", "a", "a.png.htm"], False)


@pytest.mark.parametrize(("name", "shown"), [*SHOWN.items(), *SAVED.items()])
def test_only_harmless_types_are_shown_in_the_browser(
    anonymous: Client, owner: User, name: str, shown: bool
) -> None:
    file = put(owner, f"/{name}", b"<script>")
    inline = anonymous.get(link(file, inline=True))
    assert inline.headers["Content-Disposition"].startswith("inline" if shown else "attachment")
    assert inline.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert anonymous.get(link(file)).headers["Content-Disposition"].startswith("attachment")


def test_nginx_sends_the_bytes_where_it_is_in_front(
    anonymous: Client, file: File, settings: Settings
) -> None:
    settings.ACCEL_REDIRECT_PREFIX = "/protected/"
    answer = anonymous.get(link(file), headers={"Range": "bytes=0-9"})
    assert answer.headers["X-Accel-Redirect"] == f"/protected/{file.blob.storage_key}"
    assert (answer.status_code, body(answer)) == (200, b"")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="t.bin"'
    etag = {"If-None-Match": f'"{file.blob.sha256}"'}
    assert anonymous.get(link(file), headers=etag).status_code == 304
    assert anonymous.get(link(file, seconds=60) + "x").status_code == 403


@pytest.mark.parametrize("prefix", ["", "/protected/"])
def test_lost_bytes_are_an_error_and_not_a_short_answer(
    anonymous: Client, file: File, settings: Settings, prefix: str
) -> None:
    """Also where nginx would send what there is, and tell the length of that."""
    settings.ACCEL_REDIRECT_PREFIX = prefix
    anonymous.raise_request_exception = False
    os.truncate(blob_storage().path(file.blob.storage_key), file.size - 1)
    assert anonymous.get(link(file)).status_code == 500
    blob_storage().delete(file.blob.storage_key)
    assert anonymous.get(link(file)).status_code == 500
