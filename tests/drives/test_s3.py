"""S3 alone: signed payloads, encryption, the endpoints of links, keys from elsewhere."""

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from drives.storage import StorageError, new_key
from drives.storage.s3 import S3BlobStorage
from tests.drives.storages import PART, Choose, content_of, keep
from tests.racing import race
from tests.standins.s3 import BUCKET, S3Server


@pytest.fixture
def storage(choose: Choose) -> S3BlobStorage:
    found = choose("s3")
    assert isinstance(found, S3BlobStorage)
    return found


def test_the_guard_of_the_server_is_strict(storage: S3BlobStorage, s3: S3Server) -> None:
    """moto believes everything: what is refused is refused by the guard, over the header and over the payload."""
    assert httpx.get(f"{s3.endpoint}/{BUCKET}").status_code == 403
    seen: list[dict[str, str]] = []
    events = storage.client.meta.events
    events.register("before-send.s3.PutObject", lambda request, **_: seen.append(dict(request.headers)))
    key = keep(storage, b"content")
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in seen[0].items()}
    url = f"{s3.endpoint}/{BUCKET}/{storage.name_of(key)}"
    assert httpx.put(url, content=b"content", headers=headers).status_code == 200
    # The same signature over other bytes, and over other headers.
    tampered = httpx.put(url, content=b"CONTENT", headers=headers)
    assert (tampered.status_code, "XAmzContentSHA256Mismatch" in tampered.text) == (403, True)
    headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
    assert "SignatureDoesNotMatch" in httpx.put(url, content=b"CONTENT", headers=headers).text
    assert content_of(storage, key) == b"content"


def test_objects_are_encrypted_by_the_bucket(storage: S3BlobStorage, s3: S3Server) -> None:
    safe = S3BlobStorage(**s3.options(location=storage.location, encryption="AES256", part_size=PART))
    small, large = keep(safe, b"small"), keep(safe, os.urandom(PART + 1))
    link = safe.upload_link("ab/direct", seconds=60)
    assert link.headers == {"If-None-Match": "*", "x-amz-server-side-encryption": "AES256"}
    assert httpx.put(link.url, content=b"x").status_code == 403  # the header is part of the signature
    assert httpx.put(link.url, content=b"x", headers=link.headers).status_code == 200
    for key, expected in (
        (small, "AES256"),
        (large, "AES256"),
        ("ab/direct", "AES256"),
        (keep(storage, b"y"), None),
    ):
        assert storage.client.head_object(**storage.place(key)).get("ServerSideEncryption") == expected


def test_links_name_the_public_endpoint(s3: S3Server) -> None:
    storage = S3BlobStorage(**s3.options(public_endpoint_url="https://files.example.com"))
    for link in (
        storage.link("ab/x", seconds=60, content_type="text/plain", disposition="inline"),
        storage.upload_link("ab/x", seconds=60).url,
        storage.part_link("ab/x", "id", 1, seconds=60).url,
    ):
        assert link.partition("?")[0] == f"https://files.example.com/{BUCKET}/blobs/ab/x"
        assert parse_qs(urlsplit(link).query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert storage.client.meta.endpoint_url == s3.endpoint


def test_without_keys_boto3_looks_elsewhere(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StorageError, match="Unable to locate credentials"):
        list(S3BlobStorage(**s3.options(access_key="", secret_key="")).objects())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ak")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sk")
    storage = S3BlobStorage(**s3.options(access_key="", secret_key="", location=new_key()))
    assert list(storage.objects()) == []


def test_one_client_serves_all_threads(s3: S3Server) -> None:
    storage = S3BlobStorage(**s3.options(location=new_key()))
    clients = race(4, lambda _number: storage.client)
    assert len({id(client) for client in clients}) == 1
    assert storage.public_client is storage.client
