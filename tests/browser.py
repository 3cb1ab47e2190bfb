"""A real Chromium over our pages. Whatever a page may not do fails its test: errors, foreign addresses, CSP."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from django.db import connections
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from config.asgi import application

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP farm.example 127.0.0.1",  # a farm in a network without certificates
]
# A busy machine takes longer than the 5 seconds that are usual. What shows at once is not waited for.
expect.set_options(timeout=20_000)
# An answer of 4xx is a thing of the API's, not of the page's.
REFUSED = (
    "Failed to load resource: the server responded with a status of 4",
    "The Cross-Origin-Opener-Policy header has been ignored",  # on plain http, rightly
    "Error during WebSocket handshake: Unexpected response code: 4",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("Chromium is missing: install what scripts/system-packages.txt names.", pytrace=False)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread; the ORM of the tests runs beside it, never in it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Watch:
    """What the pages of a context did that they may not."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = urlsplit(origin).netloc
        self.faults: list[str] = []
        context.on("console", self.on_console)
        context.on("weberror", lambda error: self.faults.append(str(error.error)))
        context.on("request", self.on_request)

    def on_console(self, message: ConsoleMessage) -> None:
        is_refusal = any(text in message.text for text in REFUSED)
        if message.type in ("error", "warning") and not is_refusal:
            self.faults.append(message.text)

    def on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and parts.netloc != self.origin:
            self.faults.append(request.url)


@contextmanager
def pages_of(browser: Browser, url: str) -> Iterator[Callable[..., Page]]:
    """What opens pages of a server, each in a new browser: `open_page("/login", locale="en-US", width=390)`."""
    opened: list[tuple[BrowserContext, Watch]] = []

    def open_page(path: str, *, locale: str = "zh-CN", width: int = 1280) -> Page:
        context = browser.new_context(base_url=url, locale=locale, viewport={"width": width, "height": 860})
        context.set_default_timeout(30_000)
        opened.append((context, Watch(context, url)))
        page = context.new_page()
        page.goto(path)
        return page

    yield open_page
    for context, watch in opened:
        context.close()
        assert not watch.faults, watch.faults


@pytest.fixture
def open_page(chromium: Browser, live_server: Any) -> Iterator[Callable[..., Page]]:
    """Opens pages of the live server, see `pages_of`."""
    with pages_of(chromium, live_server.url) as open_page:
        yield open_page


class Server:
    """The web process of `make run` in threads of this one: pages, API and the socket."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.uvicorn = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        self.uvicorn.run(sockets=[self.listener])

    def cut(self) -> None:
        """Break every socket, as a network does."""
        every = list(self.uvicorn.server_state.connections)
        for connection in [each for each in every if ".websockets." in type(each).__module__]:
            connection.loop.call_soon_threadsafe(connection.transport.abort)

    def close(self) -> None:
        self.uvicorn.should_exit = self.uvicorn.force_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        # Its threads end without closing what they would keep for the next request.
        patch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
        running = Server()
        yield running
        running.close()


@pytest.fixture
def open_live_page(chromium: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens pages of a server that has the socket, too, see `pages_of`."""
    with pages_of(chromium, server.url) as open_page:
        yield open_page
