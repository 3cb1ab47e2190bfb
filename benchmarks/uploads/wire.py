"""A client that costs little: HTTP/1.1 over kept connections, file content sent by the kernel."""

import json
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
TIMEOUT = 300


@dataclass(frozen=True)
class Slice:
    """`size` bytes of a file from `start` on."""

    path: Path
    start: int
    size: int


def parts_of(path: Path, size: int) -> list[Slice]:
    """A file in slices of `size` bytes, the last one shorter."""
    whole = path.stat().st_size
    return [Slice(path, start, min(size, whole - start)) for start in range(0, whole, size)]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Refused(Exception):
    """A server answered what it should not have."""


class Connection:
    """One connection to a server on loopback."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        common = {"Host": f"127.0.0.1:{port}", **(headers or {})}
        self.head = "".join(f"{name}: {value}\r\n" for name, value in common.items())

    def ask(
        self, method: str, path: str, *body: bytes | Slice, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request whose body is the pieces of `body`. Raises Refused where the answer is no 2xx."""
        length = sum(piece.size if isinstance(piece, Slice) else len(piece) for piece in body)
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        start = f"{method} {path} HTTP/1.1\r\n{self.head}{lines}Content-Length: {length}\r\n\r\n".encode()
        for piece in (start, *body):
            if isinstance(piece, Slice):
                self.send_slice(piece)
            elif piece:
                self.socket.sendall(piece)
        answer = self.read_answer()
        if not 200 <= answer.status < 300:
            raise Refused(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return answer

    def send_slice(self, piece: Slice) -> None:
        with piece.path.open("rb") as file:
            self.socket.sendfile(file, piece.start, piece.size)

    def read_answer(self) -> Answer:
        while b"\r\n\r\n" not in self.rest:
            self.receive()
        head, _blank, self.rest = self.rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines)
        }
        if headers.get("transfer-encoding") == "chunked":
            body = self.read_chunks()
        else:
            body = self.take(int(headers.get("content-length", 0)))
        return Answer(int(first.split()[1]), headers, body)

    def read_chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self.rest:
                self.receive()
            size, _end, self.rest = self.rest.partition(b"\r\n")
            chunk = self.take(int(size, 16) + 2)[:-2]
            if not chunk:
                return body
            body += chunk

    def take(self, size: int) -> bytes:
        while len(self.rest) < size:
            self.receive()
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def receive(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise Refused("the server has closed the connection")
        self.rest += data

    def close(self) -> None:
        self.socket.close()


def json_body(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def share(
    items: Iterable[Item],
    count: int,
    connect: Callable[[], Connection],
    act: Callable[[Connection, Item], object],
) -> None:
    """`act` on every item, over `count` connections at once, each of which takes the next item."""
    left = iter(list(items))

    def work() -> None:
        connection = connect()
        try:
            for item in left:  # next() of a list's iterator is one step, also among threads
                act(connection, item)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        for run in [pool.submit(work) for _number in range(count)]:
            run.result()


def peak_memory(pid: int) -> int:
    """The most memory that a process has had resident, in bytes; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):  # a thread that has ended meanwhile
                found += [int(child) for child in task.read_text().split()]
    return found
