"""One child process of the supervisor: what it is and how it starts and stops."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common import processes
from common.embedded.errors import EmbeddedError
from common.embedded.layout import Layout

LOG_SIZE_LIMIT = 20 * 2**20  # bytes; a longer log is set aside at the next start


@dataclass(frozen=True)
class ChildSpec:
    """What to start and how to end it.

    `grace` is how many seconds the child has between `stop_signal` and SIGKILL. `death_signal` is what the kernel
    sends to it when the supervisor dies; None where `argv` arranges that itself. A `foundation` is stopped only after
    all children that are not. `prepare` runs before every start.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stop_signal: int = signal.SIGTERM
    grace: float = 5
    death_signal: int | None = signal.SIGKILL
    foundation: bool = False
    prepare: Callable[[], None] = lambda: None


class Child:
    """A child process, running or ended, in a process group of its own; its output goes to $YUNTU_VAR/logs."""

    def __init__(self, spec: ChildSpec, layout: Layout) -> None:
        self.spec = spec
        self.log = layout.logs / f"{spec.name}.log"
        self.started_at = 0.0  # time.monotonic()
        self._log_start = 0  # bytes in the log before this run of it
        self._popen: subprocess.Popen[bytes] | None = None
        # Marks what this child starts, wherever that goes: another process group, another parent.
        self._token = ("YUNTU_CHILD", f"{spec.name}@{layout.var}")
        self._env = {**spec.env, **dict([layout.token, self._token])}

    def start(self) -> None:
        """Start it, from the main thread: at its end the death signal is sent. Raises EmbeddedError."""
        self.started_at = time.monotonic()
        self.spec.prepare()
        if self.log.exists() and self.log.stat().st_size > LOG_SIZE_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        on_death = self.spec.death_signal
        try:
            with self.log.open("ab") as output:
                self._popen = subprocess.Popen(
                    list(self.spec.argv),
                    env={**os.environ, **self._env},
                    cwd=self.spec.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    process_group=0,
                    preexec_fn=processes.parent_death_signal(on_death) if on_death else None,
                )
        except OSError as error:
            raise EmbeddedError(f"Cannot start {self.spec.name}: {error}") from error

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number where one ended it."""
        return self._popen.poll() if self._popen else None

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def ask_to_stop(self) -> None:
        if self._popen is not None:
            self._popen.send_signal(self.spec.stop_signal)

    def wait(self, *, until: float) -> None:
        """Wait for its end until a moment of time.monotonic(), then kill it; ends what it left behind."""
        if self._popen is not None:
            try:
                self._popen.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        self.end_leftovers()

    def end_leftovers(self) -> None:
        """End at once what a child that has ended itself started and did not end."""
        processes.end_owners(*self._token, grace=0)

    def last_words(self, lines: int = 15) -> str:
        """The end of what it has written to its log since it was started."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(self._log_start, self.log.stat().st_size - 4096))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""
