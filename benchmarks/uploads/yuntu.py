"""Our platform in the shape of production: gunicorn over PostgreSQL and Redis, DEBUG off, one user with a token.

Everything is in place that an upload meets there: authentication, rows, quota, digests, events.
"""

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.uploads.contestants import START_SECONDS, Missing, Plain, TusServer, free_port
from benchmarks.uploads.corpus import Corpus
from benchmarks.uploads.wire import Connection, Refused, Slice, json_body, parts_of, share
from common.embedded.layout import Layout
from common.embedded.services import EmbeddedServices
from common.processes import parent_death_signal

REPOSITORY = Path(__file__).resolve().parents[2]
API = "/api/v1/upload-tasks"
JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}
# As in compose.yaml: `web`, and `uploads` for bodies that are large.
GUNICORN = "config.wsgi:application --worker-class common.workers.StayingWorker --threads 8 --timeout 150"
WEB, UPLOADS = "--workers 2", "--workers 1"
# As in compose.yaml, for one client: it tells of progress when that has had to wait.
WORKER = "celery -A config worker --pool threads --concurrency 1 -Q default --loglevel INFO"
USER = """
import django; django.setup()
from accounts.services.registration import create_user
from accounts.services.sessions import open_session
from drives.models import Drive
from drives.services.drives import default_drive
user = create_user(username="bench", password="Blue-lantern-42", phone="13800000000")
drive = default_drive(user=user)
Drive.objects.filter(pk=drive.pk).update(total_size=None)
print(open_session(user=user, device="bench", ip="127.0.0.1")[1].access_token)
"""
BATCH = 100
Result = TypeVar("Result")


class Platform:
    """PostgreSQL and Redis of one run, and a user; several ways to upload share them."""

    def __init__(self, scratch: Path) -> None:
        self.var = scratch / "platform"
        self.layout = Layout(self.var)
        self.services = EmbeddedServices(self.layout, tell=lambda text: None)
        mine = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DEBUG": "0",
            "SECRET_KEY": secrets.token_hex(32),
            "JWT_SIGNING_KEY": secrets.token_hex(32),
            "ALLOWED_HOSTS": "127.0.0.1",
            # No message is sent; production refuses to start without a provider.
            "SMS_BACKEND": "accounts.sms.aliyun.AliyunSms",
            **dict.fromkeys(("ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET"), "none"),
            **dict.fromkeys(("SMS_SIGN_NAME", "SMS_TEMPLATE_CODE"), "none"),
            "YUNTU_VAR": str(self.var),
            "STATIC_ROOT": str(self.var / "static"),
            "DATABASE_URL": self.layout.database_url,
            "REDIS_URL": self.layout.redis_url,
            "MALLOC_ARENA_MAX": "2",  # as in compose.yaml
            # A run takes longer than a token lives, and makes more requests in a minute than people do.
            "ACCESS_TOKEN_MINUTES": "600",
            "THROTTLE_USER_PER_MINUTE": "10000000",
        }
        self.env = {name: value for name, value in os.environ.items() if name not in mine} | mine
        self.token = ""
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        shutil.rmtree(self.var, ignore_errors=True)
        self.services.start()
        self.ask([sys.executable, "manage.py", "migrate", "--verbosity", "0"])
        self.token = self.ask([sys.executable, "-c", USER]).strip().splitlines()[-1]
        self.start_worker()

    def start_worker(self) -> None:
        """Raises Missing."""
        told = self.var / "worker.log"
        with told.open("wb") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", *WORKER.split()],
                cwd=REPOSITORY,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=parent_death_signal(signal.SIGTERM),
            )
        deadline = time.monotonic() + START_SECONDS
        while b" ready." not in told.read_bytes():
            if time.monotonic() > deadline:
                raise Missing(f"the worker does not start; see {told}")
            time.sleep(0.2)

    def ask(self, command: Sequence[str]) -> str:
        """The output of a command in the platform's environment. Raises Missing."""
        done = subprocess.run(command, cwd=REPOSITORY, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise Missing(f"the platform does not start: {done.stderr.strip()[-500:]}")
        return done.stdout

    def stop(self) -> None:
        if self.worker:
            self.worker.kill()  # nothing it holds is missed
            self.worker.wait()
        self.services.stop()
        shutil.rmtree(self.var, ignore_errors=True)


class Yuntu(Plain):
    """Manifest, bytes, completion, as docs/uploads.md tells a client's author."""

    name = "yuntu"
    knows_batches = True

    def __init__(self, scratch: Path, corpus: Corpus, platform: Platform) -> None:
        super().__init__(scratch, corpus)
        self.platform = platform
        self.digests: dict[Path, str] = {}
        self.uploads_port = 0

    def headers(self) -> dict[str, str]:
        return {**super().headers(), "Authorization": f"Bearer {self.platform.token}"}

    def gunicorn(self, port: int, workers: str) -> list[str | Path]:
        bind = ["--bind", f"127.0.0.1:{port}"]
        return [sys.executable, "-m", "gunicorn", *bind, *GUNICORN.split(), *workers.split()]

    def command(self) -> list[str | Path]:
        return self.gunicorn(self.port, WEB)

    def start(self) -> None:
        super().start()
        self.uploads_port = free_port()
        self.launch(self.gunicorn(self.uploads_port, UPLOADS))
        self.await_port(self.uploads_port)

    def launch(self, command: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
        super().launch(command, {**self.platform.env, "PYTHONPATH": str(REPOSITORY), **(env or {})})

    def warm_up(self) -> None:
        """Both processes load what an upload needs, connect to the database, and have it plan."""
        few = self.corpus.small[:100]
        self.corpus.renew()
        self.digests = {}
        self.send_each(few, 8)
        share(range(16), 8, self.connect_uploads, lambda connection, _item: connection.ask("GET", API))

    def clear(self) -> None:
        """Only the bytes: rows cost nothing, and no content comes twice."""
        super().clear()
        for folder in self.stores:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def stores(self) -> list[Path]:
        return [self.platform.layout.blobs, self.platform.var / "staging"]

    def stored_size(self) -> int:
        return sum(path.stat().st_size for path in self.stores[0].rglob("*") if path.is_file())

    # Steps of the protocol.

    def announce(
        self, connection: Connection, paths: Sequence[Path], digests: Mapping[Path, str]
    ) -> tuple[str, dict[Path, str]]:
        """A new task for these files, in a folder of its own: its id, and that of each file."""
        folder = secrets.token_hex(4)
        files = [
            {
                "target_folder_path": f"/{folder}/{path.parent.name}",
                "file_name": path.name,
                "file_size": path.stat().st_size,
                "md5": digests.get(path, ""),
            }
            for path in paths
        ]
        manifest = {"upload_manifest": {"task_name": "bench", "files": files}}
        task = connection.ask("POST", API, json_body(manifest), headers=JSON).json()
        return task["id"], dict(zip(paths, task["file_ids"], strict=True))

    def one(self, act: Callable[[Connection], Result]) -> Result:
        """A few requests over a connection of their own."""
        connection = self.connect()
        try:
            return act(connection)
        finally:
            connection.close()

    def large(self, connections: int) -> None:
        path = self.corpus.large
        task, ids = self.one(lambda connection: self.announce(connection, [path], self.digests))
        url = f"{API}/{task}/files/{ids[path]}/multipart"
        started = self.one(lambda connection: connection.ask("POST", f"{url}/init").json())
        pieces = list(enumerate(parts_of(path, started["chunk_size"]), 1))

        def send(connection: Connection, item: tuple[int, Slice]) -> None:
            number, piece = item
            connection.ask("PUT", f"{url}/parts/{number}", piece, headers=BYTES)

        share(pieces, connections, self.connect_uploads, send)
        connection = self.connect_uploads()
        connection.ask("POST", f"{url}/complete", b"{}", headers=JSON)
        connection.close()

    def connect_uploads(self) -> Connection:
        """To where nginx sends what is below multipart/."""
        return Connection(self.uploads_port, self.headers())

    def small(self, connections: int) -> None:
        self.send_each(self.corpus.small, connections)

    def send_each(self, paths: Sequence[Path], connections: int) -> None:
        task, ids = self.one(lambda connection: self.announce(connection, paths, self.digests))

        def send(connection: Connection, path: Path) -> None:
            piece = Slice(path, 0, path.stat().st_size)
            url = f"{API}/{task}/files/{ids[path]}/upload"
            connection.ask("POST", url, piece, headers=BYTES)

        self.share(paths, connections, send)

    def small_batches(self, connections: int) -> None:
        task, ids = self.one(lambda connection: self.announce(connection, self.corpus.small, self.digests))

        def send(connection: Connection, paths: Sequence[Path]) -> None:
            pieces = [(ids[path], Slice(path, 0, path.stat().st_size)) for path in paths]
            answer = connection.ask("POST", f"{API}/{task}/files/batch", *form(pieces), headers=FORM)
            if answer.json()["landed"] != len(paths):
                raise Refused(f"the batch was refused: {answer.body[:300]!r}")

        small = self.corpus.small
        batches = [small[start : start + BATCH] for start in range(0, len(small), BATCH)]
        self.share(batches, connections, send)


class YuntuMd5(Yuntu):
    """The client declares the MD5 of each file, and the content is held to it. It has hashed them beforehand."""

    name = "yuntu, MD5 declared"
    knows_again = True

    def prepare(self) -> None:
        self.digests = {path: md5_of(path) for path in [self.corpus.large, *self.corpus.small]}

    def large_again(self, connections: int) -> None:
        self.again([self.corpus.large])

    def small_again(self, connections: int) -> None:
        self.again(self.corpus.small)

    def again(self, paths: Sequence[Path]) -> None:
        """What is there already, by a client that kept the digests of the first time."""

        def act(connection: Connection) -> None:
            task, _ids = self.announce(connection, paths, self.digests)
            answer = connection.ask("POST", f"{API}/{task}/files/check", b"{}", headers=JSON)
            if answer.json()["new_files_count"]:
                raise Refused("the second upload was not instant")

        self.one(act)


class YuntuTus(TusServer, Yuntu):
    """The tus door of the same server."""

    name = "yuntu, tus"
    path = "/api/v1/tus"
    knows_batches = False

    def connect(self) -> Connection:
        return self.connect_uploads()

    def metadata(self, path: Path) -> str:
        return f"filename {b64encode(path.name.encode()).decode()},path {b64encode(b'/tus').decode()}"


BOUNDARY = "yuntu-benchmark-0196e9f6"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(files: Sequence[tuple[str, Slice]]) -> list[bytes | Slice]:
    """A multipart form of files by their fields."""
    pieces: list[bytes | Slice] = []
    text = ""
    for field, piece in files:
        text += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="blob"\r\n\r\n'
        pieces += [text.encode(), piece]
        text = "\r\n"
    return [*pieces, f"{text}--{BOUNDARY}--\r\n".encode()]


def md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
