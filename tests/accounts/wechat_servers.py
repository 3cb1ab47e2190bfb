"""Servers that play WeChat for the tests: the stand-in of the embedded profile, and one that answers as told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.core.wsgi import get_wsgi_application


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(server: Any) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def standin_server() -> Iterator[str]:
    """Our own application on a port: the stand-in needs Redis alone, so no test has to commit for it."""
    application = get_wsgi_application()
    with serving(make_server("127.0.0.1", 0, application, Threaded, Quiet)) as address:
        yield address


@pytest.fixture
def wechat(standin_server: str, settings: Any) -> None:
    """WeChat is the stand-in."""
    settings.WECHAT_OPEN_URL = settings.WECHAT_API_URL = f"{standin_server}/standin/wechat"


GOOD: dict[str, Any] = {
    "/sns/oauth2/access_token": {"access_token": "key-to-a-name", "expires_in": 7200, "openid": "o-somebody"},
    "/sns/userinfo": {"openid": "o-somebody", "unionid": "u-somebody", "nickname": "某人", "headimgurl": ""},
}


class ToldWechat:
    """Answers by path: a JSON object, bytes as they are, or a number of seconds without an answer."""

    def __init__(self) -> None:
        self.answers = dict(GOOD)
        self.status = 200
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.woken = threading.Event()
        self.outwaited = False
        """Whether somebody waited for an answer to the end."""

    def change(self, path: str, **values: Any) -> None:
        self.answers[path] = {**GOOD[path], **values}

    def handler(self) -> type[BaseHTTPRequestHandler]:
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                told.asked.append((parts.path, query))
                answer = told.answers[parts.path]
                if isinstance(answer, int):
                    told.outwaited |= not told.woken.wait(answer)
                    return
                body = (
                    answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
                )
                self.send_response(told.status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        return Handler


@pytest.fixture
def told_wechat(settings: Any) -> Iterator[ToldWechat]:
    """WeChat is a server that answers as the test tells it."""
    told = ToldWechat()
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), told.handler())) as address:
        settings.WECHAT_API_URL = address
        yield told
        told.woken.set()
