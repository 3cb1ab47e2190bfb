"""The way of a file through the doors, wherever blobs lie: uploaded, downloaded, fetched by a render node."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pytest_django import Settings

from accounts.models import User
from drives.models import Blob, Drive, File
from drives.services.blobs import store_file
from drives.services.drives import default_drive
from drives.storage import BlobStorage, blob_storage
from rendering.node.cache import BlobCache
from tests.conftest import Client
from tests.drives.storages import Choose, content_of
from tests.standins.oss import OSSServer, stored_names
from tests.uploads.conftest import Sender, announced, begin, md5_of, sha256_of

pytestmark = pytest.mark.django_db
MIB = 2**20
CONTENT = os.urandom(12 * MIB + 7)


@pytest.fixture
def drive(owner: User) -> Drive:
    return default_drive(user=owner)


def got(anonymous: Client, link: str, **headers: str) -> tuple[int, Any, bytes]:
    """Status, headers and body behind a download link, as a browser gets them."""
    url = urlsplit(link)
    answer = anonymous.get(url.path, headers=headers)
    if answer.status_code == 302:
        assert answer.headers["Cache-Control"] == "no-store"
        found = httpx.get(answer.headers["Location"], headers=headers)
        return found.status_code, found.headers, found.content
    return answer.status_code, answer.headers, b"".join(answer)


def send_in_parts(sender: Sender, content: bytes, size: int) -> Any:
    assert sender.start().status_code == 200
    for number, start in enumerate(range(0, len(content), size), 1):
        assert sender.part(number, content[start : start + size]).status_code == 200
    return sender.complete()


def test_a_file_goes_in_and_out(
    storage: BlobStorage,
    owner_api: Client,
    anonymous: Client,
    drive: Drive,
    tmp_path: Path,
    settings: Settings,
) -> None:
    settings.UPLOAD_PART_SIZE = 5 * MIB
    small, large = begin(
        owner_api,
        announced("/场景/木 纹(1).png", b"small", md5=md5_of(b"small")),
        announced("/场景/scene.blend", CONTENT, md5=md5_of(CONTENT)),
    )
    assert small.whole(b"small").status_code == 200
    assert send_in_parts(large, CONTENT, 5 * MIB).status_code == 200
    assert list(storage.staging_path("").iterdir()) == []
    stored = {found.key: found.size for found in storage.objects()}
    assert stored == {blob.storage_key: blob.size for blob in Blob.objects.all()}

    for sender, content in ((small, b"small"), (large, CONTENT)):
        file = sender.row().file
        assert file is not None
        answer = owner_api.get(f"/files/{file.pk}/download").json()
        assert (answer["size"], answer["etag"]) == (len(content), sha256_of(content))
        status, headers, body = got(anonymous, answer["download_url"])
        assert (status, body) == (200, content)
        assert sender is large or headers["Content-Type"] == "image/png"
        status, headers, body = got(anonymous, answer["download_url"], Range="bytes=1-3")
        assert (status, body, headers["Content-Range"]) == (206, content[1:4], f"bytes 1-3/{len(content)}")
        name = headers["Content-Disposition"]
        expected = "attachment; filename*=utf-8''%E6%9C%A8%20%E7%BA%B9%281%29.png"
        assert name == (expected if sender is small else 'attachment; filename="scene.blend"')
        # What the client has is not sent again, and nobody asks the bucket.
        etag = {"If-None-Match": f'"{sha256_of(content)}"'}
        assert anonymous.get(urlsplit(answer["download_url"]).path, headers=etag).status_code == 304

        fetched = BlobCache(tmp_path / "cache").fetch(file.blob)
        assert fetched.read_bytes() == content
        assert oct(fetched.stat().st_mode)[-3:] == "444"

    (tmp_path / "frame.png").write_bytes(b"picture")
    blob = store_file(tmp_path / "frame.png")
    assert content_of(storage, blob.storage_key) == b"picture"


def test_a_head_of_a_link(storage: BlobStorage, owner_api: Client, anonymous: Client, drive: Drive) -> None:
    (sender,) = begin(owner_api, announced("/x.png", b"content"))
    sender.whole(b"content")
    link = owner_api.get(f"/files/{File.objects.get().pk}/download").json()["download_url"]
    answer = anonymous.head(urlsplit(link).path)
    if answer.status_code == 302:
        found = httpx.head(answer.headers["Location"])
        assert (found.status_code, found.headers["Content-Length"]) == (200, "7")
    else:
        assert (answer.status_code, answer.headers["Content-Length"]) == (200, "7")


def test_a_link_of_the_bucket_ends_when_ours_does(
    owner_api: Client, anonymous: Client, drive: Drive, choose: Choose, oss: OSSServer
) -> None:
    choose("oss")
    (sender,) = begin(owner_api, announced("/x.png", b"content"))
    sender.whole(b"content")
    url = owner_api.get(f"/files/{File.objects.get().pk}/download?expires_in=900").json()["download_url"]
    target = anonymous.get(urlsplit(url).path).headers["Location"]
    seconds = int(httpx.URL(target).params["x-oss-expires"])
    assert 890 <= seconds <= 900
    assert httpx.get(target).content == b"content"
    # The name in the link is ours to sign, and the bucket's.
    assert anonymous.get(urlsplit(url).path.replace("x.png", "y.html")).status_code == 403


def test_what_is_known_is_not_sent_to_the_bucket_again(
    owner_api: Client, stranger_api: Client, drive: Drive, choose: Choose, oss: OSSServer
) -> None:
    choose("oss")
    for client in (owner_api, stranger_api):
        (sender,) = begin(client, announced("/x", b"content"))
        assert sender.whole(b"content").status_code == 200
    assert [operation for operation, _key in oss.log] == ["PutObject"]
    assert (len(stored_names(oss)), Blob.objects.count(), File.objects.count()) == (1, 1, 2)


def test_a_bucket_that_is_away_costs_no_bytes(
    owner_api: Client, drive: Drive, choose: Choose, oss: OSSServer, settings: Settings
) -> None:
    """What was received stays staged: the client completes again, and sends nothing twice."""
    settings.UPLOAD_PART_SIZE = 5 * MIB
    storage = choose("oss")
    (sender,) = begin(owner_api, announced("/scene.blend", CONTENT))
    oss.faults += [("UploadPart", "unavailable")] * 9
    refused = send_in_parts(sender, CONTENT, 5 * MIB)
    assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
    assert (list(storage.objects()), oss.bucket.uploads, File.objects.count()) == ([], {}, 0)
    oss.faults.clear()
    assert sender.complete().status_code == 200
    file = File.objects.select_related("blob").get()
    assert content_of(blob_storage(), file.blob.storage_key) == CONTENT


def test_a_fetch_that_fails_leaves_nothing_in_the_cache(
    choose: Choose, oss: OSSServer, owner: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose("oss")
    monkeypatch.setattr("rendering.node.patience.SECONDS", -1)
    (tmp_path / "frame.png").write_bytes(CONTENT)
    blob = store_file(tmp_path / "frame.png")
    oss.faults += [("GetObject", "cut")] * 2
    cache = BlobCache(tmp_path / "cache")
    with pytest.raises(OSError, match="broke off"):
        cache.fetch(blob)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    assert cache.fetch(blob).read_bytes() == CONTENT


def test_health_asks_the_bucket(anonymous: Client, choose: Choose, oss: OSSServer) -> None:
    choose("oss")
    assert anonymous.get("/health").json()["components"]["storage"]["status"] == "up"
    oss.faults += [("HeadObject", "unavailable")] * 2
    answer = anonymous.get("/health")
    assert answer.status_code == 503
    assert answer.json()["components"]["storage"] == {"status": "down", "error": "StorageError"}
    assert stored_names(oss) == []
