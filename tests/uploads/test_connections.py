"""Threads of gunicorn that stay with their connection for a moment."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.uploads.servers import WebServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("crashes")]
REQUEST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
THREADS = 16


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    running = WebServer("wsgi")
    yield running.port
    running.close()


def answers(connection: socket.socket, count: int) -> int:
    """How many of so many answers have come whole."""
    file, found = connection.makefile("rb"), 0
    for _number in range(count):
        status, size = file.readline(), 0
        while (line := file.readline()) != b"\r\n":
            name, _colon, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        file.read(size)
        found += status.startswith(b"HTTP/1.1 200")
    return found


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def test_one_request_after_the_other(port: int) -> None:
    with connected(port) as connection:
        for _number in range(5):
            connection.sendall(REQUEST)
            assert answers(connection, 1) == 1


def test_requests_that_do_not_wait_for_answers(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(3 * REQUEST)
        assert answers(connection, 3) == 3


def test_connections_that_are_kept_bar_nobody(port: int) -> None:
    with ExitStack() as kept:
        for _number in range(3 * THREADS):
            connection = kept.enter_context(connected(port))
            connection.sendall(REQUEST)
            assert answers(connection, 1) == 1
