"""What holds at every door: slashes, errors as JSON, bodies, paging, request ids, health."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from asgiref.testing import ApplicationCommunicator
from django.core.files.storage import storages
from django.db import DataError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.utils import translation
from redis.backoff import NoBackoff
from redis.retry import Retry

from common import health, realtime
from common.middleware import BodyLimit, JsonErrorMiddleware
from common.views import VisibleViewSet
from config.asgi import application
from tests.conftest import Client

ORIGIN = "http://localhost:5173"


@pytest.fixture
def quiet_api(owner_api: Client) -> Client:
    """A client that gets the 500 instead of the exception."""
    owner_api.raise_request_exception = False
    return owner_api


def break_balance(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_args: Any) -> None:
        raise error

    monkeypatch.setattr("billing.api.views.wallet_of", fail)


# --- routes and errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/ping", "/api/v1/users/balance", "/api/v1/drives", "/health"])
def test_both_slash_forms_answer_without_redirect(owner_api: Client, path: str) -> None:
    assert owner_api.get(path).status_code == owner_api.get(f"{path}/").status_code == 200


def test_a_posted_body_survives_the_slash(anonymous: Client) -> None:
    answer = anonymous.post("/auth/login/", {"username": "nobody_here", "password": "secret-word"})
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")


def test_unknown_route(anonymous: Client) -> None:
    answer = anonymous.get("/no-such-thing", headers={"Origin": ORIGIN})
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert answer.json() == {"detail": "未找到。", "code": "not_found"}
    assert answer["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize(
    ("method", "path"), [("delete", "/ping"), ("post", "/users/balance"), ("put", "/health")]
)
def test_wrong_method(owner_api: Client, method: str, path: str) -> None:
    answer = getattr(owner_api, method)(path, {}, headers={"Origin": ORIGIN})
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/json")
    assert answer.json()["code"] == "method_not_allowed"
    assert "GET" in answer["Allow"]
    assert answer["Access-Control-Allow-Origin"] == ORIGIN


def test_a_crash_is_json_with_cors_and_tells_nothing(
    quiet_api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_balance(monkeypatch, RuntimeError("the secret cause"))
    answer = quiet_api.get("/users/balance", headers={"Origin": ORIGIN})
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/json")
    assert answer.json() == {"detail": "服务器内部错误。", "code": "internal_error"}
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert answer["X-Request-Id"]


@pytest.mark.parametrize(
    "error", [OperationalError("gone"), redis.ConnectionError("gone"), redis.TimeoutError("slow")]
)
def test_a_service_that_is_away_is_503(
    owner_api: Client, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    break_balance(monkeypatch, error)
    answer = owner_api.get("/users/balance")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer["Retry-After"]) > 0


def test_a_value_no_column_takes_is_422(owner_api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    break_balance(monkeypatch, DataError("integer out of range"))
    answer = owner_api.get("/users/balance")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert "out of range" not in answer.json()["detail"]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example", "null"])
def test_a_foreign_origin_gets_no_cors(anonymous: Client, origin: str) -> None:
    answer = anonymous.get("/ping", headers={"Origin": origin})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer


def test_preflight_of_a_browser(anonymous: Client) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"}
    answer = anonymous.options(
        "/drives", headers={**asked, "Access-Control-Request-Headers": "authorization"}
    )
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert "DELETE" in answer["Access-Control-Allow-Methods"]
    assert "authorization" in answer["Access-Control-Allow-Headers"]


@override_settings(ALLOWED_HOSTS=["api.example"])
def test_a_foreign_host_is_json_too(anonymous: Client) -> None:
    answer = anonymous.get("/users/balance", headers={"Host": "evil.example"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")
    assert answer.json()["code"] == "bad_request"


def test_errors_speak_the_language_asked_for(owner_api: Client) -> None:
    for language, text in (("en", "Not found."), ("zh-CN", "未找到。"), ("en", "Not found.")):
        answer = owner_api.get("/no-such-thing", headers={"Accept-Language": language})
        assert answer.json()["detail"] == text


@override_settings(MAX_JSON_BODY=10)
def test_a_refusal_before_the_language_is_set_speaks_it_too() -> None:
    """The thread may still have the language of the request before."""

    def never(request: HttpRequest) -> HttpResponse:
        raise AssertionError

    request = RequestFactory().post(
        "/api/v1/x", b"0123456789ABC", "application/json", headers={"Accept-Language": "en"}
    )
    with translation.override("zh-hans"):
        answer = JsonErrorMiddleware(never)(request)
    assert json.loads(answer.content)["detail"] == "The request body is larger than allowed."


# --- bodies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"nonsense", b"[1, 2]", b'"text"', b"7", b"null", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}',
        b"\xff\xfe", '{"a": "ä"}'.encode("latin-1"), b'{"a": 1} x', b"{'a': 1}", b'{"a":' * 100_000,
        b'{"username": "a\x00b"}',
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_a_body_that_is_no_json_object(anonymous: Client, body: bytes) -> None:
    answer = anonymous.generic("POST", "/auth/login", body, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


@pytest.mark.parametrize("text", ["a\\u0000b", "a\\ud800b"])
@pytest.mark.parametrize("field", ["username", "anything"])
def test_texts_that_cannot_be_stored(anonymous: Client, field: str, text: str) -> None:
    body = f'{{"{field}": "{text}", "password": "secret-word"}}'.encode()
    answer = anonymous.generic("POST", "/auth/login", body, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.json()["errors"][0]["loc"] == ["body", field]


def test_an_empty_body_is_an_empty_object(anonymous: Client) -> None:
    answer = anonymous.generic("POST", "/auth/login", b"", "application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


def test_another_media_type(anonymous: Client) -> None:
    answer = anonymous.generic("POST", "/auth/login", b"<login/>", "application/xml")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_validation_says_where_and_never_what_was_sent(anonymous: Client) -> None:
    body = {
        "username": "secret one", "phone": "secret-two", "verification_code": "secret-three",
        "password": {"nested": "secret-four"},
    }  # fmt: skip
    answer = anonymous.post("/auth/register", body)
    assert answer.status_code == 422
    found = answer.json()
    assert set(found) == {"detail", "code", "errors"}
    assert found["code"] == "validation_error"
    assert found["detail"] == f"username: {found['errors'][0]['msg']}"
    assert [error["loc"] for error in found["errors"]] == [["body", field] for field in body]
    assert all(set(error) == {"loc", "msg", "type"} for error in found["errors"])
    assert b"secret" not in answer.content


@override_settings(MAX_JSON_BODY=1000, MAX_BODY=5000)
def test_a_body_larger_than_allowed(anonymous: Client) -> None:
    answer = anonymous.post("/auth/login", {"username": "x" * 1000}, headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    files = anonymous.generic("POST", "/auth/login", b"x" * 1500, "application/octet-stream")
    assert files.status_code == 415
    assert (
        anonymous.generic("POST", "/auth/login", b"x" * 5001, "application/octet-stream").status_code == 413
    )


@pytest.mark.parametrize("length", ["²", "-5", "ten"])
def test_a_declared_length_that_is_none(anonymous: Client, length: str) -> None:
    anonymous.raise_request_exception = False
    answer = anonymous.generic("POST", "/auth/login", b"{}", "application/json", CONTENT_LENGTH=length)
    assert answer.status_code in (400, 422)


async def ask(app: Any, chunks: list[bytes], **headers: str) -> tuple[dict[str, Any], bytes]:
    """POST `chunks` one by one to /api/v1/auth/login, as a server hands them on; the answer's start and body."""
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/api/v1/auth/login", "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"origin", ORIGIN.encode())]
        + [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    communicator = ApplicationCommunicator(app, scope)
    for index, chunk in enumerate(chunks):
        more = index < len(chunks) - 1
        await communicator.send_input({"type": "http.request", "body": chunk, "more_body": more})
    start = await communicator.receive_output(timeout=20)
    body = b""
    while True:
        part = await communicator.receive_output(timeout=20)
        body += part.get("body", b"")
        if not part.get("more_body"):
            break
    await communicator.send_input({"type": "http.disconnect"})
    await communicator.wait(timeout=20)
    return start, body


@pytest.mark.parametrize("declared", [True, False])
def test_asgi_stops_a_body_that_grows_too_large(db: None, declared: bool) -> None:
    limited = BodyLimit(application.application_mapping["http"].app, 10_000)
    headers = {"content_length": str(20 * 1000)} if declared else {"transfer_encoding": "chunked"}
    start, body = asyncio.run(ask(limited, [b"x" * 1000] * 20, **headers))
    names = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    assert start["status"] == 413
    assert json.loads(body)["code"] == "too_large"
    assert names["connection"] == "close"
    assert names["access-control-allow-origin"] == ORIGIN
    assert names["x-request-id"]


def test_asgi_lets_other_bodies_pass(db: None) -> None:
    seen: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            seen.append(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    start, body = asyncio.run(ask(BodyLimit(app, 10), [b"01234", b"56789"]))
    assert (start["status"], body, seen, start["headers"]) == (200, b"ok", [b"01234", b"56789"], [])


# --- lists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (0, 20)), ({"limit": "1"}, (0, 1)), ({"limit": "1000"}, (0, 100)), ({"limit": "0"}, (0, 1)),
        ({"skip": "1"}, (1, 20)), ({"skip": "999999999999"}, (999999999999, 20)), ({"skip": "", "limit": ""}, (0, 20)),
    ],
)  # fmt: skip
def test_paging(owner_api: Client, asked: dict[str, str], expected: tuple[int, int]) -> None:
    body = owner_api.get("/users/transactions", asked).json()
    assert set(body) == {"transactions", "total", "skip", "limit"}
    assert (body["skip"], body["limit"]) == expected
    assert body["total"] == 2
    assert len(body["transactions"]) == min(max(2 - expected[0], 0), expected[1])


@pytest.mark.parametrize("name", ["skip", "limit"])
@pytest.mark.parametrize("value", ["-1", "1.5", "ten", "1e3", "²", "１", "9" * 13, "0x10", " "])
def test_paging_with_what_is_no_number(owner_api: Client, name: str, value: str) -> None:
    answer = owner_api.get("/users/transactions", {name: value})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.json()["errors"][0]["loc"] == ["query", name]


def test_pages_neither_overlap_nor_skip(owner_api: Client) -> None:
    whole = owner_api.get("/users/transactions").json()["transactions"]
    pages = [
        owner_api.get("/users/transactions", {"skip": n, "limit": 1}).json()["transactions"] for n in range(3)
    ]
    assert [row for page in pages for row in page] == whole


def test_no_view_may_widen_what_is_visible() -> None:
    with pytest.raises(TypeError, match="narrow"):
        type("Wide", (VisibleViewSet,), {"get_queryset": lambda self: None})


# --- request ids and health -------------------------------------------------------------------------------


def test_every_answer_has_an_id(anonymous: Client) -> None:
    ids = [anonymous.get("/ping")["X-Request-Id"] for _ in range(2)]
    assert len(set(ids)) == 2
    assert all(UUID(value) for value in ids)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("trace-0123_ABC", True),
        ("short", False),
        ("x" * 65, False),
        ("with space 123", False),
        ("line\\nbreak", False),
        ("ümlautümlaut", False),
    ],
)
def test_an_id_from_a_proxy_is_kept_if_it_is_plain(anonymous: Client, given: str, kept: bool) -> None:
    assert (anonymous.get("/ping", headers={"X-Request-Id": given})["X-Request-Id"] == given) is kept


def test_health(anonymous: Client) -> None:
    answer = anonymous.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["service"]) == ("healthy", "Yuntu")
    assert set(body["components"]) == {"database", "redis", "storage"}
    for part in body["components"].values():
        assert part["status"] == "up"
        assert 0 <= part["latency_ms"] < 5000


def test_health_asks_the_workers_on_request(anonymous: Client) -> None:
    answer = anonymous.get("/health", {"full": 1})
    assert answer.status_code == 503
    assert answer.json()["components"]["workers"] == {"status": "down", "error": "RuntimeError"}


def test_health_tells_which_part_is_down(anonymous: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away = redis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(realtime, "connection", lambda: away)
    answer = anonymous.get("/health")
    assert answer.status_code == 503
    body = answer.json()
    assert body["status"] == "unhealthy"
    assert body["components"]["redis"] == {"status": "down", "error": "ConnectionError"}
    assert body["components"]["database"]["status"] == "up"


def test_health_tells_no_secrets(anonymous: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OperationalError("password=hunter2 host=db")

    monkeypatch.setitem(health.COMPONENTS, "database", fail)
    answer = anonymous.get("/health")
    assert answer.status_code == 503
    assert answer.json()["components"]["database"] == {"status": "down", "error": "OperationalError"}
    assert b"hunter2" not in answer.content


def test_health_of_a_folder_that_is_gone(
    anonymous: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setitem(storages["blobs"].__dict__, "location", str(tmp_path / "file" / "blobs"))
    assert anonymous.get("/health").json()["components"]["storage"]["status"] == "down"


def test_ping_and_root(anonymous: Client) -> None:
    assert anonymous.get("/ping").json() == {"message": "pong"}
    assert anonymous.head("/ping").status_code == 200
