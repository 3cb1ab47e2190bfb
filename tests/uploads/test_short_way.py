"""The short way of small files to their view, which gunicorn takes (config.wsgi), and when it is not taken."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import RequestFactory

from common.short_way import Application
from config.wsgi import application, long_way
from drives.models import FileOperation
from tests.conftest import Client
from tests.factories import token_of
from tests.uploads.conftest import Sender, announced, assert_stored, begin, md5_of
from uploads.services import whole

pytestmark = pytest.mark.django_db
SEEN_BY_BROWSERS = "X-Frame-Options"
"""Only the long way sets it."""


@contextmanager
def connected() -> Iterator[None]:
    """The connection of the test stays open between requests, as Django's own client has it."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


class Answer:
    """What a WSGI application answers."""

    def __init__(self, app: Application, environ: dict[str, Any]) -> None:
        with connected():
            body = app(environ, self.start)
            self.body = b"".join(body)
            body.close()  # type: ignore[attr-defined]

    def start(self, status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        self.status, self.headers = int(status.split()[0]), dict(headers)

    def json(self) -> Any:
        return json.loads(self.body)


def send(
    sender: Sender, content: bytes, *, app: Application = application, end: str = "", **meta: Any
) -> Answer:
    meta.setdefault("HTTP_AUTHORIZATION", f"Bearer {token_of(sender.client.user)}")  # type: ignore[arg-type]
    path = f"/api/v1{sender.url}/upload{end}"
    method = meta.pop("method", "POST")
    request = RequestFactory().generic(method, path, content, "application/octet-stream", **meta)
    return Answer(app, request.environ)


def test_a_file_lands_as_by_the_long_way(owner_api: Client) -> None:
    first, second = begin(owner_api, announced("/a/x", b"first"), announced("/a/y", b"second"))
    told: dict[str, Any] = {"HTTP_USER_AGENT": "pipeline/1", "HTTP_X_REQUEST_ID": "0123456789abcdef"}
    short = send(first, b"first", **told)
    long = send(second, b"second", app=long_way, **told)
    assert (short.status, long.status) == (200, 200), short.body
    assert short.json().keys() == long.json().keys()
    assert short.json()["md5"] == md5_of(b"first")
    for name in ("Content-Type", "X-Request-Id"):
        assert short.headers[name] == long.headers[name]
    assert int(short.headers["Content-Length"]) == len(short.body)
    assert SEEN_BY_BROWSERS in long.headers
    assert SEEN_BY_BROWSERS not in short.headers
    for sender, content in ((first, b"first"), (second, b"second")):
        assert_stored(sender, content)
    devices = FileOperation.objects.filter(action="upload").values_list("device", flat=True)
    assert list(devices) == ["pipeline/1", "pipeline/1"]


def test_a_refusal_is_the_same_in_the_language_of_the_client(owner_api: Client, stranger_api: Client) -> None:
    [sender] = begin(owner_api, announced("/x", b"content"))
    foreign = Sender(stranger_api, sender.task_id, sender.file_id)
    for language in ("en", "zh-hans"):
        for who, meta, status in (
            (sender, {}, 422),
            (foreign, {}, 404),
            (sender, {"HTTP_AUTHORIZATION": ""}, 401),
            (sender, {"method": "GET"}, 405),
            (sender, {"HTTP_HOST": "elsewhere.example"}, 400),
        ):
            told: dict[str, Any] = {**meta, "HTTP_ACCEPT_LANGUAGE": language, "HTTP_ACCEPT": "text/html"}
            short, long = (send(who, b"short", app=app, **told) for app in (application, long_way))
            assert SEEN_BY_BROWSERS not in short.headers
            assert (short.status, short.json()) == (long.status, long.json())
            assert short.status == status
            for name in ("WWW-Authenticate", "Allow", "Content-Type"):
                assert short.headers.get(name) == long.headers.get(name)
    assert sender.row().status == "pending"


def test_what_a_browser_sends_goes_the_long_way(owner_api: Client) -> None:
    [sender] = begin(owner_api, announced("/x", b"content"))
    answer = send(sender, b"content", HTTP_ORIGIN="http://localhost:5173")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert SEEN_BY_BROWSERS in answer.headers


def test_every_other_address_goes_the_long_way(owner_api: Client) -> None:
    [sender] = begin(owner_api, announced("/x", b"content"))
    answer = send(sender, b"content", end="/")  # a slash at the end
    assert answer.status == 200
    assert SEEN_BY_BROWSERS in answer.headers
    ping = Answer(application, RequestFactory().get("/api/v1/ping").environ)
    assert (ping.status, ping.json()) == (200, {"message": "pong"})


def test_a_crash_is_an_error_of_the_api(owner_api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_arguments: Any) -> None:
        raise RuntimeError("a fault of ours")

    [sender] = begin(owner_api, announced("/x", b"content"))
    monkeypatch.setattr(whole, "digests_in_memory", crash)
    answer = send(sender, b"content")
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert SEEN_BY_BROWSERS not in answer.headers


def test_what_is_declared_too_large_is_refused_before_it_comes(owner_api: Client) -> None:
    [sender] = begin(owner_api, announced("/x", b"content"))
    answer = send(sender, b"content", CONTENT_LENGTH=str(1 << 40))
    assert (answer.status, answer.json()["code"]) == (413, "too_large")
