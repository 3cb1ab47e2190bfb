"""The supervisor of a platform, with real servers and real kills."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from common import processes
from common.embedded.layout import Layout
from tests.common.platforms import OURS, REPOSITORY, Platform, ask, command_line, eventually, servers_of


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_soon(platform: Callable[..., Platform], signum: int) -> None:
    running = platform().wait_until_ready()
    code, seconds = running.end(signum)
    assert code == 0
    assert seconds < 15  # the processes that ignore signals sleep for 60
    assert running.members() == servers_of(running.layout) == set()


def test_a_second_signal_does_not_interrupt_the_stop(platform: Callable[..., Platform]) -> None:
    running = platform().wait_until_ready()
    for _ in range(3):
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    assert running.process.wait(timeout=30) == 0
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
    # The guardian first, so that it cannot do its work; of the rest, all but the one that left its session.
    guardian = {pid for pid in killed.members() if b"processes.py" in command_line(pid)}
    escaped = {pid for pid in killed.sleepers() if os.getsid(pid) == pid}
    assert len(guardian) == len(escaped) == 1
    processes.end_processes(guardian, grace=0)
    processes.end_processes({killed.process.pid, killed.postmaster()}, grace=0)
    while rest := killed.members() - escaped:
        processes.end_processes(rest, grace=0)
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


@pytest.mark.timeout(400)  # it makes its database
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
