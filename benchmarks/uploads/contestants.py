"""What the servers that are measured have in common: installed once, started for a round, asked, stopped."""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.uploads.corpus import Corpus
from benchmarks.uploads.wire import Connection, Item, Slice, family, parts_of, peak_memory, share
from common.processes import parent_death_signal

PART = 5 * 2**20
START_SECONDS = 60


class Missing(Exception):
    """This contestant cannot run here; the text says why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run(command: Sequence[str | Path], cwd: Path | None = None) -> None:
    """Raises Missing, with its last words, where the command fails."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=cwd)
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is not installed") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Missing(f"{' '.join(map(str, command[:3]))}: {' '.join(words)}")


class Contestant:
    """A server and the way its clients send files to it."""

    name = ""
    knows_again = False
    knows_batches = False

    def __init__(self, scratch: Path, corpus: Corpus) -> None:
        self.scratch, self.corpus = scratch, corpus
        self.data = scratch / "data" / re.sub(r"\W+", "-", self.name).strip("-")
        self.tools = scratch / "tools"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.peak = 0
        self.port = 0

    def install(self) -> None:
        """Bring what is needed into the scratch folder, once. Raises Missing."""

    def command(self) -> list[str | Path]:
        raise NotImplementedError

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.launch(self.command())
        self.await_port()

    def launch(self, command: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
        log = (self.scratch / f"{self.data.name}.log").open("ab")
        self.processes.append(
            subprocess.Popen(
                [str(word) for word in command],
                env={**os.environ, **(env or {})},
                cwd=self.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=parent_death_signal(signal.SIGTERM),
            )
        )

    def warm_up(self) -> None:
        """What a server does once only, at the first requests of each of its processes."""

    def await_port(self, port: int | None = None) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port or self.port), timeout=1):
                return
            time.sleep(0.05)
        raise Missing(f"{self.name} does not answer; see {self.scratch / self.data.name}.log")

    def stop(self) -> None:
        self.note_memory()
        for process in reversed(self.processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes = []

    def note_memory(self) -> None:
        """Remember the largest process there has been."""
        pids = [pid for process in self.processes for pid in family(process.pid)]
        self.peak = max([self.peak, *map(peak_memory, pids)])

    def clear(self) -> None:
        """Forget everything that was uploaded; only while it does not run."""
        shutil.rmtree(self.data, ignore_errors=True)

    def stored_size(self) -> int:
        """Bytes of the files that lie in the folder of uploads."""
        return sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file())

    def prepare(self) -> None:
        """What a client would have at hand before it sends new contents; not measured."""

    def large(self, connections: int) -> None:
        """The large file; over several connections as several files where the protocol cannot share one out."""
        raise NotImplementedError

    def small(self, connections: int) -> None:
        """Many small files, each in as few requests as the protocol allows."""
        raise NotImplementedError

    def small_batches(self, connections: int) -> None:
        """The same, many files in a request; only where `knows_batches`."""
        raise NotImplementedError

    def large_again(self, connections: int) -> None:
        """What has just been uploaded, once more; only where `knows_again`."""
        raise NotImplementedError

    def small_again(self, connections: int) -> None:
        raise NotImplementedError


class Plain(Contestant):
    """A server whose client is the lean one: a way to send a slice, a way to send a small file."""

    def headers(self) -> dict[str, str]:
        """Those of every request."""
        return {}

    def connect(self) -> Connection:
        return Connection(self.port, self.headers())

    def share(
        self, items: Sequence[Item], connections: int, act: Callable[[Connection, Item], object]
    ) -> None:
        share(items, connections, self.connect, act)


def nginx_binary(tools: Path) -> str | Path:
    return shutil.which("nginx") or tools / "nginx" / "usr" / "sbin" / "nginx"


def install_nginx(tools: Path) -> None:
    """Debian's nginx, unpacked and not installed. Raises Missing."""
    if not Path(nginx_binary(tools)).exists():
        folder = tools / "nginx"
        folder.mkdir(parents=True, exist_ok=True)
        run(["apt-get", "download", "nginx"], cwd=folder)
        run(["dpkg-deb", "-x", next(folder.glob("nginx_*.deb")), folder])


def nginx_command(tools: Path, data: Path) -> list[str | Path]:
    """It reads `nginx.conf` in `data`."""
    return [nginx_binary(tools), "-c", data / "nginx.conf", "-e", data / "error.log", "-p", data]


class Nginx(Plain):
    """PUT of every part as a file of its own: no protocol, no check, no row; what the machine can do."""

    name = "nginx PUT"
    CONFIGURATION = """
daemon off; worker_processes 2; user {user}; pid {data}/nginx.pid; error_log {data}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; client_max_body_size 0; client_body_temp_path {data}/temporary; client_body_buffer_size 64k;
    proxy_temp_path {data}/t1; fastcgi_temp_path {data}/t2; uwsgi_temp_path {data}/t3; scgi_temp_path {data}/t4;
    keepalive_requests 1000000;
    server {{ listen 127.0.0.1:{port}; root {data}/files; dav_methods PUT; create_full_put_path on; }}
}}
"""

    def install(self) -> None:
        install_nginx(self.tools)

    def command(self) -> list[str | Path]:
        written = self.CONFIGURATION.format(user=getpass.getuser(), data=self.data, port=self.port)
        (self.data / "nginx.conf").write_text(written)
        return [
            nginx_binary(self.tools),
            "-c",
            self.data / "nginx.conf",
            "-e",
            self.data / "error.log",
            "-p",
            self.data,
        ]

    def large(self, connections: int) -> None:
        def put(connection: Connection, piece: Slice) -> None:
            connection.ask("PUT", f"/large/{connections}/{piece.start}", piece)

        self.share(parts_of(self.corpus.large, PART), connections, put)

    def small(self, connections: int) -> None:
        def put(connection: Connection, path: Path) -> None:
            connection.ask("PUT", f"/small/{path.name}", Slice(path, 0, path.stat().st_size))

        self.share(self.corpus.small, connections, put)


class TusServer(Plain):
    """Any server of the tus protocol: one file is sent in order, so four connections send four files."""

    path = "/files"
    PATCH = {"Content-Type": "application/offset+octet-stream"}

    def headers(self) -> dict[str, str]:
        return {**super().headers(), "Tus-Resumable": "1.0.0"}

    def send(self, connection: Connection, path: Path) -> None:
        size = path.stat().st_size
        metadata = {"Upload-Length": str(size), "Upload-Metadata": self.metadata(path)}
        location = connection.ask("POST", self.path, headers=metadata).headers["location"]
        place = "/" + location.split("/", 3)[3] if "://" in location else location
        for piece in parts_of(path, PART):
            connection.ask("PATCH", place, piece, headers={**self.PATCH, "Upload-Offset": str(piece.start)})

    def metadata(self, path: Path) -> str:
        return "filename c2NlbmU="

    def large(self, connections: int) -> None:
        files = [self.corpus.large] if connections == 1 else self.corpus.quarters
        self.share(files, connections, self.send)

    def small(self, connections: int) -> None:
        """POST and PATCH for each; where it is offered, the file goes with the POST."""
        self.share(self.corpus.small, connections, self.send_small)

    def send_small(self, connection: Connection, path: Path) -> None:
        size = path.stat().st_size
        headers = {"Upload-Length": str(size), "Upload-Metadata": self.metadata(path), **self.PATCH}
        connection.ask("POST", self.path, Slice(path, 0, size), headers=headers)
