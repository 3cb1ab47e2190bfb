"""Finding and ending processes, with real ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common import processes
from common.processes import Process
from tests.common.platforms import eventually

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a shell command in a group of its own; what is left of it is killed after the test."""
    started = []

    def start_command(command: str, **environment: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            ["sh", "-c", command],
            env={**os.environ, **environment},
            process_group=0,
            stdout=subprocess.PIPE,
        )
        started.append(child)
        return child

    yield start_command
    for child in started:
        processes.end_tree(child.pid, grace=0)
        child.wait()
        if child.stdout:
            child.stdout.close()


def programs(pids: set[int]) -> list[str]:
    return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]


def identity(pid: int) -> Process:
    process = processes.find_process(pid)
    assert process is not None
    return process


def test_a_zombie_is_not_alive(start: Start) -> None:
    child = start("exit 0")
    assert eventually(lambda: processes.find_process(child.pid) is None)
    assert child.returncode is None  # nobody has waited for it: it is still in the process table


def test_a_process_under_a_used_pid_is_another_one(start: Start) -> None:
    living = identity(start("sleep 60").pid)
    former = living._replace(started=living.started - 1)

    assert processes.send_signal(former, signal.SIGKILL) is False
    assert not processes.is_alive(former)
    assert processes.is_alive(living)


def test_a_command_name_with_parentheses_and_spaces_is_read() -> None:
    code = (
        "import ctypes, time; ctypes.CDLL(None).prctl(15, b'a) R 1 (b'); print(1, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdout.readline()
        assert processes.ancestors(child.pid) >= {os.getpid()}
        assert processes.find_process(child.pid) is not None
        child.kill()


def test_owners_of_a_token_are_found_where_they_went(start: Start) -> None:
    marked = start("setsid sleep 60 & exec sleep 60", MARK="yes")
    start("exec sleep 60", MARK="yes-and-more")

    # In the middle of its exec a process has no environment to be seen.
    assert eventually(lambda: programs(processes.pids_with_environment("MARK", "yes")) == ["sleep", "sleep"])
    assert marked.pid in processes.pids_with_environment("MARK", "yes")
    assert processes.end_owners("MARK", "yes", grace=1) == set()
    assert processes.pids_with_environment("MARK", "yes") == set()
    assert len(processes.pids_with_environment("MARK", "yes-and-more")) == 1


def test_owners_do_not_end_themselves_nor_their_ancestors() -> None:
    code = "from common import processes; processes.end_owners('MARK', 'family', grace=1); print('alive')"
    shell = f'sleep 60 & {sys.executable} -c "{code}"; echo still; wait'
    result = subprocess.run(
        ["sh", "-c", shell], env={**os.environ, "MARK": "family"}, capture_output=True, text=True, timeout=20
    )
    assert result.stdout.split() == ["alive", "still"]


def test_a_polite_process_ends_by_the_first_signal(start: Start) -> None:
    child = start("trap 'exit 7' TERM; echo; while :; do sleep 0.05; done")
    assert child.stdout and child.stdout.readline()
    assert processes.end_processes([child.pid], grace=5) == set()
    assert child.wait() == 7


def test_a_stubborn_process_is_killed_after_the_grace(start: Start) -> None:
    child = start("trap '' TERM; echo; while :; do sleep 0.05; done")
    assert child.stdout and child.stdout.readline()
    begun = time.monotonic()
    assert processes.end_processes([child.pid], grace=0.3) == set()
    assert time.monotonic() - begun >= 0.3
    assert child.wait() == -signal.SIGKILL


def test_a_tree_ends_with_those_that_left_its_group(start: Start) -> None:
    token = ("MARK", "tree")
    child = start("setsid sh -c 'sleep 61 & sleep 62' & sleep 63 & exec sleep 64", MARK="tree")
    assert eventually(lambda: len(processes.pids_with_environment(*token)) == 5)

    assert processes.end_tree(child.pid, token=token, grace=1) == set()
    assert processes.tree_of(child.pid) == processes.pids_with_environment(*token) == set()


def test_a_child_dies_with_its_parent() -> None:
    code = (
        "import signal, subprocess, time; from common import processes;"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=processes.parent_death_signal(signal.SIGTERM));"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = identity(int(parent.stdout.readline()))
        parent.kill()
    assert eventually(lambda: not processes.is_alive(child))
