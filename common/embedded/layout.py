"""Where everything local lives: one folder, YUNTU_VAR."""

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.embedded.errors import EmbeddedError

SOCKET_PATH_LIMIT = 107  # bytes, of sun_path in unix(7) without its closing NUL
POSTGRES_PORT = 5432  # names PostgreSQL's socket; no TCP port is opened


def private_directory(path: Path) -> Path:
    """Create a directory that only we may enter, or check that it is one; raises EmbeddedError otherwise."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise EmbeddedError(
            f"{path} must be a directory of user {os.getuid()} with mode 700; remove it and try again."
        )
    return path


@dataclass(frozen=True)
class Layout:
    """The paths under YUNTU_VAR and the addresses of the embedded services that live there.

    Only names things; `create` makes the directories. The same folder gives the same addresses in every
    process.
    """

    var: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "var", Path(self.var).expanduser().resolve())

    @property
    def postgres(self) -> Path:
        return self.var / "postgres"

    @property
    def redis(self) -> Path:
        return self.var / "redis"

    @property
    def blobs(self) -> Path:
        return self.var / "blobs"

    @property
    def logs(self) -> Path:
        return self.var / "logs"

    @property
    def outbox(self) -> Path:
        """Mail and text messages that the embedded profile does not send."""
        return self.var / "outbox"

    @property
    def demo(self) -> Path:
        return self.var / "demo"

    @property
    def run(self) -> Path:
        """The lock, and whatever else lives only as long as a platform runs."""
        return self.var / "run"

    @property
    def node(self) -> Path:
        """The render node's cache and job folders."""
        return self.var / "node"

    @property
    def sockets(self) -> Path:
        """A short private directory: the path of a socket may have 107 bytes at most, and YUNTU_VAR may be longer."""
        # The same for all processes, whatever TMPDIR they have; `private_directory` sees that it is ours.
        shared = "/tmp"  # noqa: S108
        temporary = Path(shared if os.access(shared, os.W_OK) else tempfile.gettempdir())
        digest = hashlib.sha256(os.fsencode(self.var)).hexdigest()[:12]
        return temporary / f"yuntu-{os.getuid()}-{digest}"

    @property
    def redis_socket(self) -> Path:
        return self.sockets / "redis.sock"

    @property
    def database_url(self) -> str:
        # The host as an option: django-environ does not decode one that is percent-encoded, libpq takes both.
        return f"postgres://yuntu@/yuntu?host={self.sockets}"

    @property
    def redis_url(self) -> str:
        return f"unix://{self.redis_socket}?db=0"

    @property
    def token(self) -> tuple[str, str]:
        """The environment variable that marks every process of the platform living here."""
        return "YUNTU_PLATFORM", str(self.var)

    def create(self) -> None:
        """Create the directories; raises EmbeddedError where that cannot be."""
        longest = self.sockets / f".s.PGSQL.{POSTGRES_PORT}.lock"
        if len(os.fsencode(longest)) > SOCKET_PATH_LIMIT:
            raise EmbeddedError(f"{longest} is too long for a socket: set TMPDIR to a shorter path.")
        try:
            for path in (self.var, self.logs, self.run):
                path.mkdir(parents=True, exist_ok=True)
            private_directory(self.sockets)
        except OSError as error:
            raise EmbeddedError(f"Cannot create {error.filename}: {error.strerror}.") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this folder for one platform; raises EmbeddedError while another one runs here.

        The kernel releases the lock however the holder ends.
        """
        path = self.run / "platform.lock"
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise EmbeddedError(
                    f"A platform already runs in {self.var} (process {file.read().strip() or 'unknown'}). "
                    "Stop it, or set YUNTU_VAR to another folder and PORT to another port."
                ) from error
            file.seek(0)
            file.truncate()
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield
