"""Processes of this machine: who lives, who belongs to whom, and how to end them all.

Used by the supervisor of the embedded services and by the render runner. Linux only: everything is read from
/proc. A process is named by pid and start time together, since the kernel hands out pids again.

Killing a parent does not kill its children, and a child may leave its process group. Whoever starts a tree
that must be ended as a whole therefore puts a token into its environment, which every descendant inherits.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.05

# Loaded at import: nothing may be looked up between fork and exec.
_libc = ctypes.CDLL(None, use_errno=True)


class Process(NamedTuple):
    """A process that stays itself when its pid is used again."""

    pid: int
    started: int  # clock ticks after boot


class _Stat(NamedTuple):
    state: str
    parent: int
    group: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The command name stands in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(fields[0], int(fields[1]), int(fields[2]), int(fields[19]))


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def find_process(pid: int) -> Process | None:
    """The living process with this pid; None when there is none or only a zombie."""
    stat = _stat(pid)
    return None if stat is None or stat.state in "ZX" else Process(pid, stat.started)


def is_alive(process: Process) -> bool:
    """Whether this very process still runs: a zombie does not, nor does another one under its pid."""
    return find_process(process.pid) == process


def ancestors(pid: int) -> set[int]:
    """The pids of a process's parent, its parent's parent and so on."""
    found: set[int] = set()
    stat = _stat(pid)
    while stat is not None and stat.parent > 0:
        found.add(stat.parent)
        stat = _stat(stat.parent)
    return found


def pids_in_group(group: int) -> set[int]:
    """The living processes of a process group."""
    stats = ((pid, _stat(pid)) for pid in _pids())
    return {pid for pid, stat in stats if stat and stat.group == group and stat.state not in "ZX"}


def pids_with_environment(name: str, value: str) -> set[int]:
    """The living processes that were started with `name=value` in their environment.

    Only processes whose environment we may read are seen: our own user's, or all for root. A program that
    writes its title over its environment (PostgreSQL's backends do) is not found.
    """
    wanted = f"{name}={value}".encode()
    found = set()
    for pid in _pids():
        # A zombie's environment is empty, so that zombies fall out by themselves.
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.add(pid)
    return found


def pids_in_folder(folder: Path) -> set[int]:
    """The living processes whose working directory is this folder, as far as we may know."""
    found = set()
    for pid in _pids():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cwd").readlink() == folder:
                found.add(pid)
    return found


def send_signal(process: Process, signum: int) -> bool:
    """Send a signal to this very process; False when it is gone. Raises PermissionError."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        # The descriptor holds on to one process, so that what is checked is what is hit.
        if not is_alive(process):
            return False
        signal.pidfd_send_signal(handle, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def wait_for(processes: Iterable[Process], *, timeout: float) -> set[Process]:
    """Wait at most `timeout` seconds for processes, ours or not, to end; returns those that did not."""
    deadline = time.monotonic() + timeout
    left = {process for process in processes if is_alive(process)}
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = {process for process in left if is_alive(process)}
    return left


def end_processes(pids: Iterable[int], *, grace: float, first: int = signal.SIGTERM) -> set[int]:
    """Ask processes to end, then kill those that still run after `grace` seconds.

    Returns the pids that are alive even so (in an uninterruptible wait, or of another user).
    """
    processes = {process for pid in set(pids) if (process := find_process(pid))}

    def send(signum: int) -> None:
        for process in processes:
            with contextlib.suppress(PermissionError):
                send_signal(process, signum)

    if grace > 0:
        send(first)
        processes = wait_for(processes, timeout=grace)
    send(signal.SIGKILL)
    return {process.pid for process in wait_for(processes, timeout=2)}


def owners(name: str, value: str) -> set[int]:
    """`pids_with_environment` without this process and its ancestors."""
    return pids_with_environment(name, value) - ancestors(os.getpid()) - {os.getpid()}


def end_owners(name: str, value: str, *, grace: float, spare: Collection[int] = ()) -> set[int]:
    """End every process that carries `name=value` in its environment, except this one, its ancestors and
    `spare`.

    Looks again until nobody is left, since a process may have forked between the look and the kill; gives up
    after a few rounds. Returns the pids that are alive even so.
    """
    for _ in range(5):
        found = owners(name, value).difference(spare)
        if not found:
            return set()
        end_processes(found, grace=grace)
        grace = 0
    return owners(name, value).difference(spare)


def end_tree(leader: int, *, token: tuple[str, str] | None = None, grace: float) -> set[int]:
    """End a process group led by `leader` and, with a token, every process that carries it in its
    environment.

    SIGTERM first, SIGKILL after `grace` seconds. Our own child remains a zombie until the caller waits for
    it. Returns the pids that are alive even so.
    """
    members = pids_in_group(leader)
    left = end_processes(members | (owners(*token) if token else set()), grace=grace)
    # Those that were born while the others died.
    left |= end_processes(pids_in_group(leader), grace=0)
    return left | end_owners(*token, grace=0) if token else left


def parent_death_signal(signum: int) -> Callable[[], None]:
    """A `preexec_fn` that makes the kernel send `signum` to the child when its parent dies.

    Mind two things: the kernel means the *thread* that spawned the child, so spawn from one that lives as
    long as the child may; and a change of credentials clears it (then `setpriv --pdeathsig` has to set it
    afterwards).
    """
    parent = os.getpid()

    def set_signal() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:  # it died before we asked to be told
            os._exit(1)

    return set_signal


class Guardian:
    """A process that ends every owner of a token once this process is gone, however it went: see `main`."""

    def __init__(self, token: tuple[str, str], *, grace: float) -> None:
        name, value = token
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, name, value, str(grace)],
            env={**os.environ, name: value},  # so that the next start ends it, too, before it starts anything
            stdin=subprocess.PIPE,
            # Nobody who reads our output shall wait for the guardian's end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = self._popen.pid

    def dismiss(self) -> None:
        self._popen.kill()
        self._popen.wait()


def main(arguments: list[str]) -> None:
    """`python processes.py NAME VALUE GRACE`: wait until standard input ends, then end the owners of
    NAME=VALUE.

    This is what a Guardian runs. Its standard input is a pipe whose only writer is the one it watches: the
    kernel closes it however that dies. Whatever that started ends then, also what has no parent-death signal.
    """
    name, value, grace = arguments
    # Ctrl-C is for the supervisor to judge.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_owners(name, value, grace=float(grace))


if __name__ == "__main__":
    main(sys.argv[1:])
