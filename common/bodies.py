"""Request bodies that a view reads while they arrive, however large they are, under WSGI and ASGI.

Django's ASGI handler reads a body whole before any view runs, and discards what it has when the connection breaks. At
the paths of `settings.ARRIVING_PATHS` it gets an empty body (`ArrivingBodies`), and the view takes the bytes itself.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from mmap import mmap
from socket import MSG_WAITALL
from ssl import SSLSocket

from django.conf import settings
from django.db import close_old_connections
from django.http import HttpRequest
from gunicorn.http.body import LengthReader

from common.errors import DomainError

BLOCK = 1 << 20
DRAINED_BLOCKS = 16
PATIENCE = 0.5  # seconds for which a block waits to become full
KEY = "yuntu.body"


def arrives(path: str) -> bool:
    """Whether the view at `path` reads its body itself, so that no limit of ours applies before it."""
    return re.match(settings.ARRIVING_PATHS, path) is not None


def reader_of(request: HttpRequest) -> Callable[[int], bytes]:
    """A function that reads a number of bytes of the body. It raises OSError where the server notices a broken
    connection.

    gunicorn does not report a body that is shorter than declared: the caller has to count.
    """
    body: ArrivingBody | None = getattr(request, "scope", {}).get(KEY)
    if body:
        return body.read
    if request.META.get("wsgi.input_terminated") and "CONTENT_LENGTH" not in request.META:
        # Sent in chunks: Django would not look at a body without a declared length.
        terminated: Callable[[int], bytes] = request.META["wsgi.input"].read
        return terminated
    return request.read


def arriving(request: HttpRequest, memory: memoryview | None = None) -> Iterator[memoryview]:
    """The pieces of the body, until it ends or the connection breaks: what has arrived by then counts."""
    with suppress(OSError):
        yield from pieces(request, memory)


def pieces(request: HttpRequest, memory: memoryview | None = None) -> Iterator[memoryview]:
    """The body in pieces of 1 MiB, the last one shorter. Raises OSError where the server notices a broken connection.

    The pieces are put one behind the other into `memory`, starting over where it is full. Without `memory` a piece is
    valid until the next one is asked for, and begins at a page, as writes past the page cache need it.
    """
    memory = memory or memoryview(mmap(-1, BLOCK))
    fill, start = filler_of(request), 0
    while size := fill(memory[start : start + BLOCK]):
        yield memory[start : start + size]
        start = (start + size) % len(memory)


def filler_of(request: HttpRequest) -> Callable[[memoryview], int]:
    """A function that fills memory with the next bytes of the body and returns how many: fewer at its end, then 0."""
    reader = getattr(request.META.get("wsgi.input"), "reader", None)
    if isinstance(reader, LengthReader):
        return partial(receive, reader)
    read = reader_of(request)

    def fill(memory: memoryview) -> int:
        block = read(len(memory))
        memory[: len(block)] = block
        return len(block)

    return fill


def receive(reader: LengthReader, memory: memoryview) -> int:
    """Fill memory without gunicorn's reader: with what that has read ahead, then from the socket.

    The reader allocates memory for each piece, and getting that from the kernel takes longer than receiving the
    piece. Without TLS one call waits for all of it, so that a client that sends in small pieces does not wake this
    thread for each.
    """
    size, wanted = 0, min(len(memory), reader.length)
    if ahead := reader.unreader.take_buffered():
        size = min(len(ahead), wanted)
        memory[:size] = ahead[:size]
        reader.unreader.unread(ahead[size:])
    sock = reader.unreader.sock
    flags = 0 if isinstance(sock, SSLSocket) else MSG_WAITALL
    while size < wanted and (got := sock.recv_into(memory[size:wanted], 0, flags)):
        size += got
    reader.length -= size
    return size


@contextmanager
def heard_out(request: HttpRequest) -> Iterator[None]:
    """After a refusal read some of the rest: a client that is still sending would not get the answer if we closed at
    once.
    """
    try:
        yield
    except DomainError:
        deque(islice(arriving(request), DRAINED_BLOCKS), 0)
        raise


class ArrivingBody:
    """The body of a request under ASGI, for the thread in which its view runs.

    The server is asked for bytes all the time, at most 2 MiB ahead: when the client disconnects it drops what it
    still holds.
    """

    def __init__(self, receive: Callable) -> None:
        self.receive, self.loop = receive, asyncio.get_running_loop()
        self.buffer, self.ended, self.broken = bytearray(), False, False
        self.came, self.went = asyncio.Event(), asyncio.Event()

    async def gather(self) -> None:
        while not self.ended:
            message = await self.receive()
            self.buffer += message.get("body", b"")
            self.broken = message["type"] == "http.disconnect"
            self.ended = not message.get("more_body", False)  # so it is also when the client has gone
            self.came.set()
            while len(self.buffer) >= 2 * BLOCK:
                self.went.clear()
                await self.went.wait()

    def read(self, size: int) -> bytes:
        """`size` bytes; fewer at the end, or where the client is slow; none after the end.

        Raises ConnectionResetError where the client has disconnected and everything that it sent has been read.
        """
        # The client may take its time: a connection of the pool is not kept waiting with us.
        close_old_connections()
        return asyncio.run_coroutine_threadsafe(self.take(size), self.loop).result()

    async def take(self, size: int) -> bytes:
        while len(self.buffer) < size and not self.ended:
            self.came.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.came.wait(), PATIENCE)
                continue
            if self.buffer:
                break
        if self.broken and not self.buffer:
            raise ConnectionResetError
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        self.went.set()
        return taken


class ArrivingBodies:
    """ASGI wrapper: gives Django an empty body, and puts the real one into the scope."""

    def __init__(self, app: Callable) -> None:
        self.app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http" or not arrives(scope["path"]):
            await self.app(scope, receive, send)
            return
        begun = False

        async def nothing() -> dict:
            nonlocal begun
            if begun:
                # Django listens for the end of the connection; the reader of the body will notice it.
                await asyncio.Event().wait()
            begun = True
            return {"type": "http.request", "body": b"", "more_body": False}

        body = ArrivingBody(receive)
        gathering = asyncio.create_task(body.gather())
        try:
            await self.app({**scope, KEY: body}, nothing, send)
        finally:
            gathering.cancel()
