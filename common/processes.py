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
BLOCK = 1 << 16
EXEC_SECONDS = 0.002  # how long a process may be without an environment between two programs
KERNEL = (0, 2)  # parents of the first process and of the kernel's threads
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

# Loaded at import: nothing may be looked up between fork and exec.
_libc = ctypes.CDLL(None, use_errno=True)


class Process(NamedTuple):
    """A process identified by pid and start time, so that it is not mistaken for a later one with the same pid."""

    pid: int
    started: int  # clock ticks after boot


class Stat(NamedTuple):
    """What the kernel says of a process (proc(5), /proc/PID/stat)."""

    state: str
    parent: int
    group: int
    started: int  # clock ticks after boot
    ticks: int  # of CPU, those of the children that were waited for included
    resident_size: int  # bytes

    @property
    def is_dead(self) -> bool:
        """A zombie keeps its numbers until somebody waits for it."""
        return self.state in "ZX"


def _read(path: str) -> bytes:
    """The content of a file of /proc that is one piece. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = block = os.read(descriptor, BLOCK)
        while len(block) == BLOCK:
            block = os.read(descriptor, BLOCK)
            content += block
        return content
    finally:
        os.close(descriptor)


def stat_of(pid: int) -> Stat | None:
    """The numbers of a process, or None once it is gone."""
    try:
        text = _read(f"/proc/{pid}/stat")
    except OSError:
        return None
    # The command name stands in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    return Stat(
        state=fields[0].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        started=int(fields[19]),
        ticks=sum(map(int, fields[11:15])),
        resident_size=int(fields[21]) * _PAGE_SIZE,
    )


def all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  (three times as fast)


def find_process(pid: int) -> Process | None:
    """The living process with this pid; None when there is none or only a zombie."""
    stat = stat_of(pid)
    return None if stat is None or stat.is_dead else Process(pid, stat.started)


def is_alive(process: Process) -> bool:
    """Whether this very process still runs: a zombie does not, nor does another one under its pid."""
    return find_process(process.pid) == process


def ancestors(pid: int) -> set[int]:
    """The pids of a process's parent, its parent's parent and so on."""
    found: set[int] = set()
    stat = stat_of(pid)
    while stat is not None and stat.parent > 0:
        found.add(stat.parent)
        stat = stat_of(stat.parent)
    return found


def environment_of(pid: int) -> list[bytes] | None:
    """`NAME=value` by which a process was started; empty for a zombie, a thread of the kernel, and in the middle of
    an exec; None where we may not know.
    """
    try:
        return _read(f"/proc/{pid}/environ").split(b"\0")[:-1]
    except OSError:
        return None


def pids_with_environment(name: str, value: str) -> set[int]:
    """The living processes that were started with `name=value` in their environment.

    Only processes whose environment we may read are seen: our own user's, or all for root. A program that
    writes its title over its environment (PostgreSQL's backends do) is not found.
    """
    wanted = f"{name}={value}".encode()
    return {pid for pid in all_pids() if carries(pid, wanted)}


def carries(pid: int, variable: bytes) -> bool:
    """Whether a living process was started with this `NAME=value` in its environment."""
    environment = environment_of(pid)
    if environment == [] and (stat := stat_of(pid)) and not stat.is_dead and stat.parent not in KERNEL:
        time.sleep(EXEC_SECONDS)
        environment = environment_of(pid)
    # A zombie's environment is empty, so that zombies fall out by themselves.
    return variable in (environment or ())


def pids_in_folder(folder: Path) -> set[int]:
    """The living processes whose working directory is this folder, as far as we may know."""
    found = set()
    for pid in all_pids():
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

    SIGTERM first, SIGKILL after `grace` seconds. Looks again until nobody is left, since a process may have forked
    between the look and the kill; gives up after a few rounds. Our own child remains a zombie until the caller waits
    for it. Returns the pids that are alive even so.
    """
    for _ in range(5):
        found = tree_of(leader, token)
        if not found:
            return set()
        end_processes(found, grace=grace)
        grace = 0
    return tree_of(leader, token)


def tree_of(leader: int, token: tuple[str, str] | None = None) -> set[int]:
    """The living processes of a group, and those that carry the token; not this process and its ancestors."""
    wanted = b"%s=%s" % (token[0].encode(), token[1].encode()) if token else b""
    found = {pid for pid in all_pids() if _belongs(pid, leader, wanted)}
    return found - ancestors(os.getpid()) - {os.getpid()} if found else found


def _belongs(pid: int, group: int, variable: bytes) -> bool:
    # The call costs a tenth of a file, but does not tell a zombie. In group 0 are threads of the kernel.
    with contextlib.suppress(OSError):
        its_group = os.getpgid(pid)
        if its_group == group and find_process(pid) is not None:
            return True
        return bool(its_group and variable) and carries(pid, variable)
    return False


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
