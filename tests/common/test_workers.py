"""Threads of gunicorn that stay with a connection for a moment (common.workers)."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from tests.uploads.servers import KINDS, WebServer

pytestmark = pytest.mark.django_db
ANSWERS = 3


@pytest.fixture(scope="module")
def one_thread(django_db_setup: None) -> Iterator[WebServer]:
    command = KINDS["wsgi"].replace("--workers 2 --threads 8", "--workers 1 --threads 1")
    assert command != KINDS["wsgi"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KINDS, "wsgi", command)
        server = WebServer("wsgi")
        yield server
        server.close()


def connected(server: WebServer) -> HTTPConnection:
    return HTTPConnection("127.0.0.1", server.port, timeout=20)


def ask(connection: HTTPConnection) -> None:
    connection.request("GET", "/health")
    answer = connection.getresponse()
    assert (answer.status, bool(answer.read())) == (200, True)


def test_a_thread_that_stays_with_one_connection_answers_the_others(one_thread: WebServer) -> None:
    with ExitStack() as kept:
        connections = [connected(one_thread) for _number in range(5)]
        for connection in connections:
            kept.callback(connection.close)
        for _turn in range(4):
            for connection in connections:
                ask(connection)
        ask(connections[0])
        socket = connections[0].sock
        time.sleep(0.05)  # longer than it stays: the connection is kept all the same
        ask(connections[0])
        assert connections[0].sock is socket


def test_requests_that_do_not_wait_for_answers(one_thread: WebServer) -> None:
    connection = connected(one_thread)
    connection.connect()
    with connection.sock as socket, socket.makefile("rb") as file:
        socket.sendall(ANSWERS * b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        for _number in range(ANSWERS):
            headers = []
            while (line := file.readline()) != b"\r\n":
                headers.append(line)
            sizes = [
                int(line.split(b":")[1]) for line in headers if line.lower().startswith(b"content-length:")
            ]
            assert headers[0].startswith(b"HTTP/1.1 200 ")
            assert len(file.read(sizes[0])) == sizes[0] > 0
