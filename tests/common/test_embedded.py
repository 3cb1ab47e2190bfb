"""The embedded services, with real servers."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import environ
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
from tests.common.platforms import ask, eventually, servers_of

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
        assert orphan.wait(timeout=20) == 0
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
def test_its_programs_may_lie_below_a_private_folder_too(layout: Layout, tmp_path: Path) -> None:
    """`initdb` asks access(2) for `postgres` beside it; a checkout in /root is nobody else's to enter."""
    tmp_path.chmod(0o700)
    program = tmp_path / "program"
    program.touch(mode=0o755)
    argv = Postgres(layout).spec().argv
    switch = argv[: argv.index("-D") - 1]
    asked = [
        sys.executable,
        "-c",
        "import os, sys; sys.exit(not os.access(sys.argv[1], os.X_OK))",
        str(program),
    ]
    assert subprocess.run([*switch, *asked]).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change users for PostgreSQL")
def test_root_is_told_what_to_do_without_setpriv(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(EmbeddedError, match="Install util-linux"):
        Postgres(layout).spec()


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
