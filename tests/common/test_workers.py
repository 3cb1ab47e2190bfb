"""Threads of gunicorn that stay with a connection for a moment (common.workers)."""

import http.client
import time
from collections.abc import Iterator

import pytest

from tests.uploads.servers import KINDS, WebServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    command = KINDS["wsgi"].replace("--workers 2 --threads 8", "--workers 1 --threads 1")
    assert command != KINDS["wsgi"]
    monkeypatch.setitem(KINDS, "wsgi", command)
    server = WebServer("wsgi")
    yield server
    server.close()


def ask(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/health")
    answer = connection.getresponse()
    assert (answer.status, bool(answer.read())) == (200, True)


def test_a_thread_that_stays_with_one_connection_answers_the_others(one_thread: WebServer) -> None:
    connections = [http.client.HTTPConnection("127.0.0.1", one_thread.port, timeout=20) for _ in range(5)]
    for _turn in range(4):
        for connection in connections:
            ask(connection)
    ask(connections[0])
    socket = connections[0].sock
    time.sleep(0.05)  # longer than it stays: the connection is kept all the same
    ask(connections[0])
    assert connections[0].sock is socket
    for connection in connections:
        connection.close()
