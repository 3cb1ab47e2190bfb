"""Downloads from the ASGI server that `make run` uses: streamed block by block, never whole in memory."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO

import httpx
import pytest
import uvicorn
from django.db import connections

from accounts.models import User
from config.asgi import application
from drives.api import downloads
from drives.links import link_to
from drives.services.blobs import store_chunks
from tests.racing import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 2**20


@pytest.fixture
def server(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a uvicorn on a free port of loopback."""
    # The server's threads end without closing what they would keep for the next request.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    settings = uvicorn.Config(application, log_level="error", lifespan="off")
    running = uvicorn.Server(settings)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_for(lambda: running.started)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    running.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
    connections.close_all()


def test_a_large_file_passes_in_blocks(server: str, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [os.urandom(MIB) for _number in range(4)] * 10
    blob = store_chunks(blocks)
    real, read = downloads.read_async, []

    async def watched(file: BinaryIO, left: int) -> AsyncIterator[bytes]:
        async for block in real(file, left):
            read.append(len(block))
            yield block

    monkeypatch.setattr(downloads, "read_async", watched)
    digest = hashlib.sha256()
    with httpx.stream("GET", server + link_to(blob.pk, "大.bin", request=None), timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-length"] == str(40 * MIB)
        chunks = answer.iter_bytes(MIB)
        digest.update(next(chunks))
        # A client that reads slowly is not read ahead for: the rest is still on the disk.
        time.sleep(0.5)
        assert sum(read) < 20 * MIB
        for chunk in chunks:
            digest.update(chunk)
    assert digest.hexdigest() == blob.sha256
    assert set(read) == {MIB}
    assert len(read) == 40


def test_ranges_and_conditions_hold_there_too(server: str, owner: User) -> None:
    blob = store_chunks([bytes(range(256)) * 10])
    url = server + link_to(blob.pk, "t.bin", request=None)
    part = httpx.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert part.headers["content-range"] == "bytes 10-19/2560"
    assert httpx.get(url, headers={"Range": "bytes=2560-"}).status_code == 416
    assert httpx.get(url, headers={"If-None-Match": part.headers["etag"]}).status_code == 304
    head = httpx.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "2560", b"")
    assert httpx.get(url + "x").json()["code"] == "link_invalid"
