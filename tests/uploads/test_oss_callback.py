"""What OSS tells: taken only with its signature, and then looked at all the same."""

import base64
import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings as live_settings
from django.core.cache import cache
from pytest_django import Settings

from drives.models import Blob, Drive, File
from drives.storage.oss_callback import address_of_key
from tests.conftest import Client
from tests.standins.sts import STS
from tests.uploads.conftest import Sender, content_of, sums
from tests.uploads.sts import announce, giving, keys_for, ours, put_with  # noqa: F401

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(1000)
PATH = "/api/v1/oss-callback/upload-complete"
FORM = "application/x-www-form-urlencoded"


class KeyServer:
    """Serves the public key as gosspublic.alicdn.com does, and signs as OSS does."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(65537, 2048)
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                body = server.private.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
                self.send_response(200 if self.path.endswith(".pem") else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        self.place = f"http://127.0.0.1:{self.http.server_port}/"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def headers(self, body: bytes, query: str = "", key_url: str = "") -> dict[str, str]:
        signed = f"{PATH}{query}\n".encode() + body
        signature = self.private.sign(signed, padding.PKCS1v15(), hashes.MD5())  # noqa: S303  (what OSS signs with)
        address = key_url or f"{self.place}callback_pub_key_v1.pem"
        return {
            "HTTP_AUTHORIZATION": base64.b64encode(signature).decode(),
            "HTTP_X_OSS_PUB_KEY_URL": base64.b64encode(address.encode()).decode(),
        }


@pytest.fixture(scope="module")
def key_server() -> Iterator[KeyServer]:
    server = KeyServer()
    yield server
    server.close()


@pytest.fixture
def keys(key_server: KeyServer, settings: Settings) -> KeyServer:
    settings.OSS_CALLBACK_KEYS = key_server.place
    cache.clear()
    key_server.asked.clear()
    return key_server


@pytest.fixture
def sender(owner_api: Client, drive: Drive, giving: STS) -> Sender:  # noqa: F811
    """A client that has put its file and not said so."""
    sender = announce(owner_api, CONTENT)
    put_with(keys_for(sender), sender, CONTENT)
    return sender


def name_of(sender: Sender) -> str:
    return ours().name_of(f"direct/{sender.task_id}/{sender.file_id}")


def told(name: str, **fields: object) -> bytes:
    return urlencode({"oss_key": name, **fields}).encode()


def say(body: bytes, headers: dict[str, str], query: str = "", kind: str = FORM) -> tuple[int, str]:
    answer = Client().generic("POST", f"{PATH}{query}", body, kind, **headers)
    return answer.status_code, answer.json().get("code") or answer.json()["Status"]


def test_a_file_lands_when_oss_tells_of_it(sender: Sender, drive: Drive, keys: KeyServer) -> None:
    body = told(name_of(sender), size=1, task_file_id="other")
    assert say(body, keys.headers(body)) == (200, "OK")
    file = sender.row().file
    assert file is not None
    assert (content_of(file), file.drive, sums(drive)) == (CONTENT, drive, (len(CONTENT), 0))
    assert say(body, keys.headers(body)) == (200, "OK")
    assert (File.objects.count(), Blob.objects.count()) == (1, 1)
    # As JSON, and with a query that is part of what is signed; the key was asked for once.
    as_json = json.dumps({"oss_key": name_of(sender)}).encode()
    assert say(as_json, keys.headers(as_json, "?a=%2F1"), "?a=%2F1", "application/json") == (200, "OK")
    assert keys.asked == ["/callback_pub_key_v1.pem"]


@pytest.mark.parametrize(
    "key_url",
    [
        "https://gosspublic.alicdn.com.evil.example/callback_pub_key_v1.pem",
        "https://gosspublic.alicdn.com@evil.example/key.pem",
        "ftp://gosspublic.alicdn.com/callback_pub_key_v1.pem",
        "https://evil.example/https://gosspublic.alicdn.com/key.pem",
        "file:///etc/passwd",
    ],
)
def test_a_key_of_somebody_else_is_not_asked_for(
    sender: Sender, key_server: KeyServer, key_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert live_settings.OSS_CALLBACK_KEYS == "https://gosspublic.alicdn.com/"
    asked: list[object] = []
    monkeypatch.setattr("drives.storage.oss_callback.httpx.get", lambda *a, **k: asked.append(a))
    body = told(name_of(sender))
    assert say(body, key_server.headers(body, key_url=key_url)) == (403, "callback_forged")
    assert asked == []
    assert sender.row().file is None


def test_a_forged_callback_changes_nothing(sender: Sender, keys: KeyServer) -> None:
    body = told(name_of(sender))
    good = keys.headers(body)
    other = KeyServer()
    try:
        forged = {**good, "HTTP_AUTHORIZATION": other.headers(body)["HTTP_AUTHORIZATION"]}
    finally:
        other.close()
    cases = [
        (body + b"&x=1", good, ""),
        (body, good, "?x=1"),
        (body, {}, ""),
        (body, {**good, "HTTP_AUTHORIZATION": "no base64"}, ""),
        (body, {**good, "HTTP_AUTHORIZATION": base64.b64encode(b"x").decode()}, ""),
        (body, {**good, "HTTP_X_OSS_PUB_KEY_URL": ""}, ""),
        (body, forged, ""),
    ]
    for sent, headers, query in cases:
        assert say(sent, headers, query) == (403, "callback_forged")
    row = sender.row()
    assert (row.status, row.file_id, row.storage_key) == ("pending", None, "")
    assert not Blob.objects.exists()
    assert say(body, good) == (200, "OK")


def test_what_oss_tells_is_looked_at(sender: Sender, keys: KeyServer, owner_api: Client) -> None:
    """Any customer of OSS has it tell anything: the bucket and our own rows are what counts."""
    location = name_of(sender).partition("/")[0]
    for name in (
        "x",
        f"{location}/direct/../x",
        f"{location}/direct/{sender.task_id}/{sender.task_id}",
        f"{location}/direct/{sender.file_id}/{sender.file_id}",
        f"direct/{sender.task_id}/{sender.file_id}",
        f"{name_of(sender)}/x",
    ):
        body = told(name)
        assert say(body, keys.headers(body)) == (404, "not_found"), name
    body = b"size=1"
    assert say(body, keys.headers(body)) == (422, "validation_error")
    body = told("x" * 20_000)
    assert say(body, keys.headers(body)) == (413, "too_large")
    assert owner_api.put(f"/upload-tasks/{sender.task_id}/cancel").status_code == 200
    body = told(name_of(sender))
    assert say(body, keys.headers(body)) == (409, "upload_closed")
    assert not File.objects.exists()


def test_a_key_that_cannot_be_had_is_our_fault(sender: Sender, keys: KeyServer) -> None:
    body = told(name_of(sender))
    headers = keys.headers(body, key_url=f"{keys.place}nothing")
    assert say(body, headers) == (503, "storage_unavailable")
    assert say(body, keys.headers(body)) == (200, "OK")


def test_clients_are_told_how_to_have_oss_call(sender: Sender, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://yuntu.example.com/"
    parameter = json.loads(base64.b64decode(keys_for(sender)["callback"]))
    assert parameter == {
        "callbackUrl": f"https://yuntu.example.com{PATH}",
        "callbackBody": "oss_key=${object}&size=${size}",
        "callbackBodyType": FORM,
    }


def test_a_key_is_asked_for_by_https_whatever_the_callback_says() -> None:
    """Aliyun documents both spellings of the address."""
    for scheme in ("http", "https"):
        asked = address_of_key(f"{scheme}://gosspublic.alicdn.com/callback_pub_key_v1.pem")
        assert asked == "https://gosspublic.alicdn.com/callback_pub_key_v1.pem"
