"""Runs one program to its end, or ends it: its whole process tree, whatever it left behind.

The program gets a session of its own, a parent-death signal and a token in its environment, by which children
that left the process group are found.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from common.processes import end_tree, parent_death_signal

TOKEN = "YUNTU_ATTEMPT"  # noqa: S105  (a variable's name)
# What the process tree of a render is found by when its node has died. A renderer that is a script starts processes
# that no parent-death signal reaches.
NODE_TOKEN = "YUNTU_NODE"  # noqa: S105
KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "TZ", "YUNTU_PLATFORM", "YUNTU_CHILD", NODE_TOKEN)
BLOCK = 1 << 16
GRACE_SECONDS = 0.5
MAX_LINE = 8192


class End(Enum):
    """What ended a run."""

    EXITED = "exited"
    STOPPED = "stopped"
    TIMEOUT = "timeout"
    IDLE = "idle"


@dataclass(frozen=True)
class Outcome:
    """How a run went; `exit_code` is negative for a signal, times are CPU seconds, memory is bytes."""

    end: End
    exit_code: int
    cpu_seconds: float
    peak_memory_size: int


@dataclass(frozen=True)
class Limits:
    """Seconds of wall clock, and seconds without a line of output, after which a run is ended."""

    wall: float
    idle: float


def environment(token: str, home: Path) -> dict[str, str]:
    """All that a rendered scene may know of this process's environment: no secrets, no addresses."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(home), "TMPDIR": str(home), TOKEN: token}


class Pump:
    """Turns the blocks that come out of a pipe into lines."""

    def __init__(self, descriptor: int, on_line: Callable[[str], None]) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor, self.on_line = descriptor, on_line
        self.rest = b""
        self.is_open = True

    def read(self) -> bool:
        """Read what is there; whether anything was."""
        try:
            block = os.read(self.descriptor, BLOCK)
        except BlockingIOError:
            return False
        if not block:
            self.is_open = False
            return False
        *lines, self.rest = (self.rest + block).split(b"\n")
        for line in lines:
            self.emit(line)
        if len(self.rest) > MAX_LINE:
            self.emit(self.rest)
            self.rest = b""
        return True

    def drain(self) -> None:
        while self.is_open and self.read():
            pass
        if self.rest:
            self.emit(self.rest)
            self.rest = b""

    def emit(self, line: bytes) -> None:
        # PostgreSQL keeps no NUL, and a log line is not worth an attempt.
        self.on_line(line[:MAX_LINE].decode("utf-8", "replace").rstrip("\r").replace("\0", "\ufffd"))


def run(
    command: list[str],
    *,
    cwd: Path,
    token: str,
    on_line: Callable[[str], None],
    limits: Limits,
    keep_going: Callable[[], bool] = lambda: True,
    poll_seconds: float = 1,
) -> Outcome:
    """Run `command` in `cwd`, handing each line of its output (stderr with it) to `on_line`.

    `keep_going` is asked every `poll_seconds`; once it says no, the tree is ended. Must be called from a thread
    that lives as long as the run (the parent-death signal hangs on it).
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(token, cwd),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=parent_death_signal(signal.SIGKILL),
    )
    assert process.stdout is not None  # noqa: S101
    pump = Pump(process.stdout.fileno(), on_line)
    try:
        end = watch(process.pid, pump, limits, keep_going, poll_seconds)
    finally:
        # Also after a plain exit: what the program left running must not outlive it. Only then is it waited for,
        # so that its pid, the name of its group, cannot become somebody else's in between.
        left = end_tree(process.pid, token=(TOKEN, token), grace=GRACE_SECONDS)
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        pump.drain()
        process.stdout.close()
    if left:
        raise RuntimeError(f"processes {sorted(left)} cannot be ended")
    return Outcome(end, process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def watch(pid: int, pump: Pump, limits: Limits, keep_going: Callable[[], bool], poll_seconds: float) -> End:
    """Pump output until the program has ended or has to end."""
    started = last_line = time.monotonic()
    next_poll = started + poll_seconds
    with selectors.DefaultSelector() as selector:
        selector.register(pump.descriptor, selectors.EVENT_READ)
        while True:
            timeout = max(min(next_poll - time.monotonic(), 0.2), 0)
            if pump.is_open and selector.select(timeout):
                if pump.read():
                    last_line = time.monotonic()
            elif not pump.is_open:
                time.sleep(min(timeout, 0.02))
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return End.EXITED
            now = time.monotonic()
            if now - started > limits.wall:
                return End.TIMEOUT
            if now - last_line > limits.idle:
                return End.IDLE
            if now >= next_poll:
                next_poll = now + poll_seconds
                if not keep_going():
                    return End.STOPPED
