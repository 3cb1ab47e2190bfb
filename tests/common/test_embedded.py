"""The embedded services and their supervisor, with real servers and real kills."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import environ
import psycopg
import pytest
import redis
from django.core.management.base import CommandError

from common import processes
from common.embedded import binaries
from common.embedded.errors import EmbeddedError
from common.embedded.layout import SOCKET_PATH_LIMIT, Layout
from common.embedded.postgres import Postgres
from common.embedded.services import EmbeddedServices
from common.management.commands.run_platform import chosen_port

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = ("DATABASE_URL", "REDIS_URL", "YUNTU_VAR")  # of the suite's own services


class Platform:
    """A `small_platform` in a process of its own."""

    def __init__(self, layout: Layout, prefix: Sequence[str] = ()) -> None:
        self.layout = layout
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.common.small_platform", str(layout.var)],
            cwd=REPOSITORY,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_until_ready(self) -> "Platform":
        assert self.process.stdout
        lines = []
        while (line := self.process.stdout.readline()) != "ready\n":
            lines.append(line)
            assert line, f"{''.join(lines)}{self.process.stderr and self.process.stderr.read()}"
        assert eventually(lambda: len(self.sleepers()) == 3)
        return self

    def sleepers(self) -> set[int]:
        """The dummy children's processes that do not end by themselves."""
        return {pid for pid in self.members() if b"sleep\x0060" in command_line(pid)}

    def members(self) -> set[int]:
        return processes.pids_with_environment(*self.layout.token)

    def end(self, signum: int) -> tuple[int, float]:
        """Send a signal to the supervisor alone; its exit code and how many seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(signum)
        return self.process.wait(timeout=20), time.monotonic() - begun

    def postmaster(self) -> int:
        return int((self.layout.postgres / "data" / "postmaster.pid").read_text().split()[0])


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def eventually(condition: Callable[[], bool], seconds: float = 8) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def servers_of(layout: Layout) -> set[int]:
    """Every process of the machine that names the folder or its sockets on its command line."""
    names = (os.fsencode(layout.var) + b"/", os.fsencode(layout.sockets))
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return {pid for pid in pids if any(name in command_line(pid) for name in names)}


def ask(layout: Layout, query: str) -> Any:
    with psycopg.connect(layout.database_url, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchone() if cursor.description else None


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster that has never run; copying it is ten times quicker than making one."""
    template = Postgres(Layout(tmp_path_factory.mktemp("template")))
    template.prepare()
    return template.data


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A folder in which nothing has run yet."""
    return Layout(tmp_path / "var")


@pytest.fixture
def ready_layout(layout: Layout, cluster: Path) -> Layout:
    layout.postgres.mkdir(parents=True)
    subprocess.run(["cp", "-a", cluster, layout.postgres / "data"], check=True)
    return layout


@pytest.fixture
def platform(ready_layout: Layout) -> Iterator[Callable[..., Platform]]:
    """Starts platforms, by default in `ready_layout`; whatever is left of them is killed after the test."""
    started: list[Platform] = []

    def start(where: Layout = ready_layout, prefix: Sequence[str] = ()) -> Platform:
        started.append(Platform(where, prefix))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()
        processes.end_owners(*each.layout.token, grace=0)
        shutil.rmtree(each.layout.sockets, ignore_errors=True)


@pytest.fixture
def no_servers_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)


# --- Layout -------------------------------------------------------------------------------------------------


def test_addresses_are_the_same_everywhere_and_differ_between_folders(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    first, same, other = (Layout(tmp_path / name) for name in ("a", "link", "b"))
    assert (first.database_url, first.redis_url) == (same.database_url, same.redis_url)
    assert first.sockets != other.sockets


def test_database_url_is_understood_by_django(layout: Layout) -> None:
    config = environ.Env.db_url_config(layout.database_url)
    assert (config["NAME"], config["USER"]) == ("yuntu", "yuntu")
    assert config["OPTIONS"]["host"] == str(layout.sockets)


def test_socket_paths_stay_short_under_a_long_folder(tmp_path: Path) -> None:
    layout = Layout(tmp_path / ("深" * 60))
    layout.create()
    try:
        assert len(os.fsencode(layout.redis_socket)) < SOCKET_PATH_LIMIT
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(layout.redis_socket))
    finally:
        shutil.rmtree(layout.sockets)


def test_a_socket_directory_that_others_may_enter_is_refused(layout: Layout) -> None:
    layout.sockets.mkdir(mode=0o755)
    try:
        with pytest.raises(EmbeddedError, match="mode 700"):
            layout.create()
    finally:
        layout.sockets.rmdir()


# --- Services -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_servers_given")
def test_services_start_keep_their_data_and_leave_nothing(layout: Layout) -> None:
    with EmbeddedServices(layout, durable=False):
        ask(layout, "CREATE TABLE kept AS SELECT 1 AS number")
        redis.Redis.from_url(layout.redis_url).set("kept", "2")
        assert ask(layout, "SELECT upper('é'), '盛' ~ '\\w', current_setting('server_encoding')") == (
            "É",
            True,
            "UTF8",
        )
        assert processes.pids_with_environment(*layout.token)
    assert processes.pids_with_environment(*layout.token) == servers_of(layout) == set()
    assert not layout.sockets.exists()

    with EmbeddedServices(layout, durable=False):
        assert ask(layout, "SELECT number FROM kept") == (1,)
        assert redis.Redis.from_url(layout.redis_url).get("kept") == b"2"


def test_servers_of_the_environment_are_used_instead(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://elsewhere/yuntu")
    monkeypatch.delenv("REDIS_URL", raising=False)
    with EmbeddedServices(layout) as services:
        assert [child.spec.name for child in services.supervisor.children] == ["redis"]
    assert not layout.postgres.exists()


@pytest.mark.usefixtures("no_servers_given")
def test_a_server_that_cannot_start_is_explained_and_leaves_nothing(layout: Layout) -> None:
    layout.create()
    layout.redis.write_text("a file where a folder should be")
    with pytest.raises((EmbeddedError, OSError)):
        EmbeddedServices(layout, durable=False).start()
    assert processes.pids_with_environment(*layout.token) == servers_of(layout) == set()


@pytest.mark.usefixtures("no_servers_given")
def test_an_orphaned_postgres_is_ended_before_the_next_start(layout: Layout) -> None:
    layout.create()
    server = Postgres(layout, durable=False)
    spec = server.spec()
    server.prepare()
    # Without the token, as a process looks whose environment we may not read.
    orphan = subprocess.Popen(
        spec.argv, process_group=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert eventually(server.is_ready)

    with EmbeddedServices(layout, durable=False):
        assert orphan.wait(timeout=1) == 0
        assert ask(layout, "SELECT 1") == (1,)


@pytest.mark.usefixtures("no_servers_given")
def test_a_pid_file_that_names_somebody_else_does_no_harm(layout: Layout) -> None:
    layout.create()
    server = Postgres(layout, durable=False)
    server.prepare()
    with subprocess.Popen(["sleep", "60"], process_group=0) as bystander:
        (server.data / "postmaster.pid").write_text(f"{bystander.pid}\n{server.data}\n1\n5432\n")
        with EmbeddedServices(layout, durable=False):
            assert ask(layout, "SELECT 1") == (1,)
        assert bystander.poll() is None
        bystander.kill()


# --- Supervisor ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_soon(platform: Callable[..., Platform], signum: int) -> None:
    running = platform().wait_until_ready()
    code, seconds = running.end(signum)
    assert code == 0
    assert seconds < 4
    assert running.members() == servers_of(running.layout) == set()


def test_a_second_signal_does_not_interrupt_the_stop(platform: Callable[..., Platform]) -> None:
    running = platform().wait_until_ready()
    for _ in range(3):
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    assert running.process.wait(timeout=5) == 0
    assert running.members() == servers_of(running.layout) == set()


def test_two_platforms_run_side_by_side(platform: Callable[..., Platform], tmp_path: Path) -> None:
    one, two = platform(Layout(tmp_path / "one")), platform(Layout(tmp_path / "two"))
    for each in (one, two):
        each.wait_until_ready()
        ask(each.layout, "CREATE TABLE mine ()")
    one.end(signal.SIGTERM)
    assert one.members() == set()
    assert ask(two.layout, "SELECT count(*) FROM mine") == (0,)
    assert len(two.sleepers()) == 3


def test_a_second_platform_in_the_same_folder_is_refused(platform: Callable[..., Platform]) -> None:
    first = platform().wait_until_ready()
    second = platform()
    _, message = second.process.communicate(timeout=10)
    assert second.process.returncode == 1
    assert f"already runs in {first.layout.var} (process {first.process.pid})" in message
    assert len(first.sleepers()) == 3
    assert ask(first.layout, "SELECT 1") == (1,)


def test_kill_of_the_supervisor_leaves_nothing_and_loses_nothing(platform: Callable[..., Platform]) -> None:
    killed = platform().wait_until_ready()
    ask(killed.layout, "CREATE TABLE kept AS SELECT 1 AS number")
    code, _ = killed.end(signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert eventually(lambda: not killed.members() and not servers_of(killed.layout))

    platform().wait_until_ready()
    assert ask(killed.layout, "SELECT number FROM kept") == (1,)


def test_the_next_start_ends_what_a_crash_left(platform: Callable[..., Platform]) -> None:
    killed = platform().wait_until_ready()
    ask(killed.layout, "CREATE TABLE kept AS SELECT 1 AS number")
    # All at once and without a chance to tidy up, but for the one that left its session.
    escaped = {pid for pid in killed.sleepers() if os.getsid(pid) == pid}
    assert len(escaped) == 1
    processes.end_processes((killed.members() - escaped) | {killed.process.pid, killed.postmaster()}, grace=0)
    assert killed.members() == escaped

    platform().wait_until_ready()
    assert not escaped & killed.members()
    assert ask(killed.layout, "SELECT number FROM kept") == (1,)


def test_a_child_that_dies_is_started_again_without_its_leftovers(platform: Callable[..., Platform]) -> None:
    running = platform().wait_until_ready()
    before = running.sleepers()
    leader = next(pid for pid in running.members() if b"setsid sleep" in command_line(pid))
    os.kill(leader, signal.SIGKILL)
    assert eventually(lambda: len(running.sleepers() - before) == 2 and len(running.sleepers()) == 3)

    os.kill(running.postmaster(), signal.SIGKILL)

    def answers() -> bool:
        try:
            return ask(running.layout, "SELECT 1") == (1,)
        except psycopg.OperationalError:
            return False

    assert eventually(answers)


def test_the_command_serves_and_its_real_children_die_with_it(layout: Layout) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    environment |= {"YUNTU_VAR": str(layout.var), "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "manage.py", "run_platform", "--port", "0"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        ready = next(line for line in running.stdout if "ready at" in line)
        with urllib.request.urlopen(ready.split()[-1] + "/health", timeout=5) as answer:  # noqa: S310
            assert answer.status == 200
        # The guardian, two servers, web, worker, beat.
        assert len(processes.pids_with_environment(*layout.token)) >= 6
        running.kill()
    assert eventually(lambda: not processes.pids_with_environment(*layout.token) and not servers_of(layout))
    shutil.rmtree(layout.sockets, ignore_errors=True)


# --- Users --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change users for PostgreSQL")
@pytest.mark.usefixtures("no_servers_given")
def test_root_runs_postgres_as_somebody_else_below_a_private_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    layout = Layout(tmp_path / "var")
    with EmbeddedServices(layout, durable=False):
        postmaster = int((layout.postgres / "data" / "postmaster.pid").read_text().split()[0])
        assert Path(f"/proc/{postmaster}").stat().st_uid != 0
        assert ask(layout, "SELECT 1") == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change users for PostgreSQL")
def test_root_is_told_what_to_do_without_setpriv(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(EmbeddedError, match="Install util-linux"):
        Postgres(layout).spec()


@pytest.mark.skipif(os.geteuid() != 0, reason="the whole suite runs as an ordinary user already")
def test_an_ordinary_user_runs_a_platform(platform: Callable[..., Platform]) -> None:
    nobody = pwd.getpwnam("nobody")
    prefix = ["setpriv", "--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups"]
    if subprocess.run([*prefix, "env", sys.executable, "-c", ""], stderr=subprocess.DEVNULL).returncode:
        # This Python lies where only root may look: lend the right to look, and no more.
        prefix += ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    home = Path(tempfile.mkdtemp(prefix="yuntu-nobody-"))
    try:
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        layout = Layout(home / "var")
        # As the platform's own user computes it.
        sockets = layout.sockets.with_name(layout.sockets.name.replace("yuntu-0-", f"yuntu-{nobody.pw_uid}-"))
        running = platform(layout, prefix).wait_until_ready()
        with psycopg.connect(f"postgres://yuntu@/yuntu?host={sockets}") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in running.members()} == {nobody.pw_uid}
        assert running.end(signal.SIGTERM)[0] == 0
        assert running.members() == servers_of(layout) == set()
    finally:
        shutil.rmtree(home)


# --- What is missing or taken -------------------------------------------------------------------------------


def test_a_missing_system_library_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "server"
    binary.write_text(
        "#!/bin/sh\n"
        "echo server: error while loading shared libraries: libabsent.so.9: cannot open it >&2\n"
        "exit 127\n"
    )
    binary.chmod(0o755)
    assert binaries.missing_library(binary) == "libabsent.so.9"
    with pytest.raises(EmbeddedError, match=r"server needs the system library libabsent.so.9"):
        binaries.install_library("libabsent.so.9", wanted_by="server")


def test_a_missing_package_is_named() -> None:
    with pytest.raises(EmbeddedError, match="The Python package absent_server is missing"):
        binaries.package_folder("absent_server")


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CommandError, match=r"cannot be used .*Choose another"):
            chosen_port(str(taken.getsockname()[1]))


@pytest.mark.parametrize("text", ["", "http", "-1", "65536"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="not a port"):
        chosen_port(text)


def test_port_zero_is_a_free_one() -> None:
    assert chosen_port("0") > 1023
