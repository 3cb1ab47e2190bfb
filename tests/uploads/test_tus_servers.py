"""The tus protocol against the servers that run in life: stock client, broken connections, a server that is killed."""

import hashlib
import io
import os
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import close_old_connections
from tusclient.client import TusClient

from accounts.models import User
from drives.models import Blob, Drive, File
from drives.storage import blob_storage
from tests.factories import token_of
from tests.racing import race
from tests.uploads.conftest import content_of, staged, sums
from tests.uploads.servers import WebServer
from tests.uploads.tus_client import BYTES, metadata_of, row_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("tus-servers")]
MIB = 2**20
CONTENT = os.urandom(3 * MIB + 12_345)
Servers = Callable[[str], WebServer]


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def server(request: pytest.FixtureRequest, django_db_setup: None) -> Iterator[WebServer]:
    running = WebServer(request.param)
    yield running
    running.close()


@pytest.fixture
def token(owner: User, drive: Drive) -> str:
    return token_of(owner)


class Wire:
    """tus over a real connection."""

    def __init__(self, server: WebServer, token: str) -> None:
        self.server = server
        self.headers = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"}
        self.http = httpx.Client(headers=self.headers, timeout=60)

    def begin(self, length: int, name: str = "x.bin", **metadata: str) -> str:
        answer = self.http.post(
            f"{self.server.url}/tus",
            headers={"Upload-Length": str(length), "Upload-Metadata": metadata_of(filename=name, **metadata)},
        )
        assert answer.status_code == 201, answer.text
        return f"http://127.0.0.1:{self.server.port}{answer.headers['location']}"

    def offset(self, url: str) -> int:
        answer = self.http.head(url)
        assert answer.status_code == 200
        return int(answer.headers["upload-offset"])

    def patch(self, url: str, offset: int, body: Any) -> httpx.Response:
        return self.http.patch(
            url, content=body, headers={"Upload-Offset": str(offset), "Content-Type": BYTES}
        )

    def open_patch(self, url: str, offset: int, length: str) -> socket.socket:
        """A connection on which a PATCH has begun; `length` is the header that tells where its body ends."""
        wire = socket.create_connection(("127.0.0.1", self.server.port), timeout=60)
        lines = [f"PATCH {httpx.URL(url).path} HTTP/1.1", f"Host: 127.0.0.1:{self.server.port}", length]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Upload-Offset: {offset}", f"Content-Type: {BYTES}", "", ""]
        wire.sendall("\r\n".join(lines).encode())
        return wire


@pytest.fixture
def wire(server: WebServer, token: str) -> Wire:
    return Wire(server, token)


def eventually(ask: Callable[[], Any], wanted: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while (found := ask()) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == wanted


def assert_landed(drive: Drive, content: bytes = CONTENT, path: str = "/x.bin") -> None:
    file = File.objects.select_related("blob", "folder").get()
    assert hashlib.sha256(content_of(file)).digest() == hashlib.sha256(content).digest()
    assert (file.blob.sha256, file.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert f"{file.folder_path.rstrip('/')}/{file.name}" == path
    assert (sums(drive), staged(), Blob.objects.count()) == ((len(content), 0), [], 1)


@pytest.mark.parametrize("chunk_size", [MIB, 100 * MIB])
def test_tuspy(server: WebServer, token: str, drive: Drive, tmp_path: Path, chunk_size: int) -> None:
    """The client of the protocol's own authors, in pieces and in one request."""
    source = tmp_path / "scene.blend"
    source.write_bytes(CONTENT)
    client = TusClient(f"{server.url}/tus/", headers={"Authorization": f"Bearer {token}"})
    metadata = {"filename": "木.blend", "filetype": "application/x-blender", "path": "/scenes"}
    client.uploader(str(source), chunk_size=chunk_size, metadata=metadata).upload()
    assert_landed(drive, path="/scenes/木.blend")


def test_tuspy_goes_on_where_it_stopped(server: WebServer, token: str, drive: Drive) -> None:
    client = TusClient(f"{server.url}/tus/", headers={"Authorization": f"Bearer {token}"})
    first = client.uploader(file_stream=io.BytesIO(CONTENT), chunk_size=MIB, metadata={"filename": "x.bin"})
    first.upload(stop_at=2 * MIB)
    again = client.uploader(file_stream=io.BytesIO(CONTENT), chunk_size=MIB, url=first.url)
    assert again.offset == 2 * MIB
    again.upload()
    assert_landed(drive)


def test_a_broken_connection_keeps_what_has_arrived(wire: Wire, drive: Drive) -> None:
    url, sent = wire.begin(len(CONTENT)), 2 * MIB + 777
    with wire.open_patch(url, 0, f"Content-Length: {len(CONTENT)}") as connection:
        connection.sendall(CONTENT[:sent])
    eventually(lambda: wire.offset(url), sent)
    # What was there before is not touched by another one.
    with wire.open_patch(url, sent, f"Content-Length: {len(CONTENT) - sent}") as connection:
        connection.sendall(CONTENT[sent : sent + 5])
    eventually(lambda: wire.offset(url), sent + 5)
    answer = wire.patch(url, sent + 5, CONTENT[sent + 5 :])
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(len(CONTENT)))
    assert_landed(drive)


def test_a_body_without_a_length(wire: Wire, drive: Drive) -> None:
    url = wire.begin(len(CONTENT))

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(CONTENT), 100_000):
            yield CONTENT[start : start + 100_000]

    assert wire.patch(url, 0, pieces()).status_code == 204
    assert_landed(drive)


def test_a_body_without_a_length_that_is_too_long(wire: Wire, drive: Drive) -> None:
    url = wire.begin(5 * MIB // 2)
    answer = wire.patch(url, 0, iter([CONTENT]))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    # The block that goes beyond is not written; what came before it is.
    assert MIB <= wire.offset(url) < 5 * MIB // 2
    assert not File.objects.exists()


def test_bytes_are_there_while_they_arrive(wire: Wire, drive: Drive) -> None:
    url = wire.begin(len(CONTENT))
    with wire.open_patch(url, 0, f"Content-Length: {len(CONTENT)}") as connection:
        connection.sendall(CONTENT[: 2 * MIB])
        eventually(lambda: wire.offset(url), 2 * MIB)
        # A client that has lost this connection goes on by another one, and nobody waits for the old one.
        assert wire.patch(url, 2 * MIB, CONTENT[2 * MIB :]).status_code == 204
        connection.sendall(CONTENT[2 * MIB :])
        status = connection.recv(100).split()[1]
    assert status in (b"409", b"410")
    assert_landed(drive)


def test_two_at_once_never_mix(wire: Wire, server: WebServer, token: str, drive: Drive) -> None:
    url = wire.begin(len(CONTENT))

    def send(number: int) -> int:
        close_old_connections()
        mine = Wire(server, token)
        for _attempt in range(50):
            offset = mine.offset(url)
            if offset == len(CONTENT):
                return offset
            mine.patch(url, offset, CONTENT[offset : offset + 200_000 + number])
        return mine.offset(url)

    assert race(4, send) == [len(CONTENT)] * 4
    assert_landed(drive)


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_server_that_is_killed_loses_nothing_it_has_confirmed(kind: str, token: str, drive: Drive) -> None:
    server = WebServer(kind)
    try:
        wire = Wire(server, token)
        url = wire.begin(len(CONTENT))
        confirmed = int(wire.patch(url, 0, CONTENT[:500_000]).headers["upload-offset"])
        with wire.open_patch(url, confirmed, f"Content-Length: {len(CONTENT) - confirmed}") as connection:
            connection.sendall(CONTENT[confirmed : confirmed + 2 * MIB])
            eventually(lambda: wire.offset(url) >= confirmed + MIB, True)
            server.kill()
        there = blob_storage().staging_path(row_of(url).upload_id).read_bytes()
        assert len(there) >= confirmed + MIB
        assert there == CONTENT[: len(there)]
        server.start()
        wire = Wire(server, token)
        assert wire.offset(url) == len(there)
        assert wire.patch(url, len(there), CONTENT[len(there) :]).status_code == 204
    finally:
        server.close()
    assert_landed(drive)


def test_a_slow_client_holds_no_connection_to_the_database(wire: Wire, drive: Drive) -> None:
    """More clients that send nothing than the pool has connections, and more than a request's limit of threads.

    Under WSGI each has a thread: one is left to whichever process they all come to.
    """
    count = 7 if wire.server.kind == "wsgi" else 40
    urls = [wire.begin(100, f"{number}.bin") for number in range(count)]
    open_ones = [wire.open_patch(url, 0, "Content-Length: 100") for url in urls]
    try:
        for connection in open_ones:
            connection.sendall(b"x" * 50)
        time.sleep(0.5)
        begun = time.monotonic()
        assert wire.http.get(f"{wire.server.url}/upload-tasks").json()["total"] == count
        assert time.monotonic() - begun < 10
    finally:
        for connection in open_ones:
            connection.close()
    for url in urls:
        eventually(partial(wire.offset, url), 50)
