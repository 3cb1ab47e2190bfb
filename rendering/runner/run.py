"""The run itself: started, watched, ended, accounted for."""

import errno
import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from shutil import which

from common.processes import end_tree, tree_of
from rendering.runner.meter import TreeMeter, oom_kills
from rendering.runner.pump import Pump

TOKEN = "YUNTU_ATTEMPT"  # noqa: S105  (a variable's name)
# What the process tree of a render is found by when its node has died. A renderer that is a script starts processes
# that no parent-death signal reaches.
NODE_TOKEN = "YUNTU_NODE"  # noqa: S105
KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "TZ", "YUNTU_PLATFORM", "YUNTU_CHILD", NODE_TOKEN)
GRACE_SECONDS = 0.5
SAMPLE_SECONDS = 0.25
# What the child does before it becomes the program. Not in Python: a fork of a node, which has to be copied for that,
# takes longer than everything else about the start. It dies with the thread that started it (prctl(2),
# PR_SET_PDEATHSIG); where that was over before it said so, it ends by itself. The memory of a crashed renderer is tens
# of gigabytes of somebody's scene: no core dumps. And the kernel, out of memory, shall take the renderer and neither
# its node nor a database beside it.
LAUNCH = """ulimit -c 0
{ echo 500 > /proc/self/oom_score_adj; } 2>/dev/null
[ $PPID = "$0" ] || exit 1
unset PWD OLDPWD SHLVL
exec "$@"
"""
OWN_MEMORY_FACTOR = 1.1
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # the latter is how a shell says it


class End(Enum):
    """What ended a run."""

    EXITED = "exited"
    STOPPED = "stopped"
    TIMEOUT = "timeout"
    IDLE = "idle"
    MEMORY = "memory"


@dataclass(frozen=True)
class Outcome:
    """How a run went; `exit_code` is negative for a signal. CPU seconds and peak memory (bytes) are those of all its
    processes together.
    """

    end: End
    exit_code: int
    cpu_seconds: float
    peak_memory_size: int


@dataclass(frozen=True)
class Limits:
    """Limits that end a run: seconds of wall clock, seconds without output, bytes of memory of all its processes
    together (None: no limit).
    """

    wall: float
    idle: float
    memory: int | None = None


def environment(token: str, home: Path) -> dict[str, str]:
    """All that a rendered scene may know of this process's environment: no secrets, no addresses."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(home), "TMPDIR": str(home), TOKEN: token}


def launched(command: list[str], variables: Mapping[str, str]) -> list[str]:
    """The command line that becomes `command` once the child is prepared. Raises FileNotFoundError."""
    if which(command[0], path=variables.get("PATH")) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    return ["setpriv", "--pdeathsig", "KILL", "/bin/sh", "-c", LAUNCH, str(os.getpid()), *command]


def run(
    command: list[str],
    *,
    cwd: Path,
    token: str,
    on_line: Callable[[str], None],
    limits: Limits,
    variables: Mapping[str, str] | None = None,
    keep_going: Callable[[], bool] = lambda: True,
    poll_seconds: float = 1,
) -> Outcome:
    """Run `command` in `cwd` (and with `variables`), handing each line of its output (stderr with it) to `on_line`.

    `keep_going` is asked every `poll_seconds`; once it says no, the tree is ended. Must be called from a thread
    that lives as long as the run (the parent-death signal hangs on it). Raises OSError where the program cannot be
    started.
    """
    kills_before = oom_kills()
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    variables = {**(variables or {}), **environment(token, cwd)}
    process = subprocess.Popen(
        launched(command, variables),
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101
    meter = TreeMeter(process.pid, f"{TOKEN}={token}".encode())
    watch = Watch(
        process.pid, Pump(process.stdout.fileno(), on_line), meter, limits, keep_going, poll_seconds
    )
    try:
        end = watch.until_the_end()
    finally:
        # Also after a plain exit: what the program left running must not outlive it. Only then is it waited for,
        # so that its pid, the name of its group, cannot become somebody else's in between.
        living = tree_of(process.pid, (TOKEN, token))
        meter.last_look(living)
        left = end_tree(process.pid, token=(TOKEN, token), grace=GRACE_SECONDS) if living else set()
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.pump.drain()
        process.stdout.close()
    if left:
        raise RuntimeError(f"processes {sorted(left)} cannot be ended")
    if end is End.EXITED and process.returncode in KILLED and oom_kills() > kills_before:
        end = End.MEMORY
    # The kernel remembers across exec what the child was before it: this process, with the most it has ever had.
    peak = usage.ru_maxrss * 1024
    is_its_own = usage.ru_maxrss > OWN_MEMORY_FACTOR * own_peak or not meter.peak_memory_size
    return Outcome(
        end,
        process.returncode,
        meter.cpu_seconds(usage.ru_utime + usage.ru_stime),
        max(meter.peak_memory_size, peak) if is_its_own else meter.peak_memory_size,
    )


class Watch:
    """Pumps the output of a program and looks after it."""

    def __init__(
        self,
        pid: int,
        pump: Pump,
        meter: TreeMeter,
        limits: Limits,
        keep_going: Callable[[], bool],
        poll_seconds: float,
    ) -> None:
        self.pid, self.pump, self.meter, self.limits = pid, pump, meter, limits
        self.keep_going, self.poll_seconds = keep_going, poll_seconds

    def until_the_end(self) -> End:
        """Watch until the program has ended or has to end."""
        started = last_read = time.monotonic()
        next_poll, next_sample = started + self.poll_seconds, started + SAMPLE_SECONDS
        exit_handle = os.pidfd_open(self.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(exit_handle, selectors.EVENT_READ)
                selector.register(self.pump.descriptor, selectors.EVENT_READ)
                while True:
                    due = min(next_poll, next_sample) - time.monotonic()
                    ready = {key.fd for key, _events in selector.select(max(due, 0))}
                    if self.pump.descriptor in ready:
                        if self.pump.read():
                            last_read = time.monotonic()
                        elif not self.pump.is_open:
                            selector.unregister(self.pump.descriptor)
                    if exit_handle in ready:
                        return End.EXITED
                    now = time.monotonic()
                    if now - started > self.limits.wall:
                        return End.TIMEOUT
                    if now - last_read > self.limits.idle:
                        return End.IDLE
                    if now >= next_sample:
                        next_sample = now + SAMPLE_SECONDS
                        self.meter.sample(memory_limit=self.limits.memory)
                        if self.limits.memory and self.meter.memory_size > self.limits.memory:
                            return End.MEMORY
                    if now >= next_poll:
                        next_poll = now + self.poll_seconds
                        if not self.keep_going():
                            return End.STOPPED
        finally:
            os.close(exit_handle)
