"""Starts the processes of a platform, keeps them running, and leaves none behind.

Four things make sure of the last point, each for the cases that those before it do not cover: an orderly `stop`; the
kernel's parent-death signal to every child; the guardian, which notices the supervisor's death however it comes and
then ends everything that carries the platform's token; and the next start, which ends whatever is still left.
"""

import contextlib
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from common import processes
from common.embedded.children import Child, ChildSpec
from common.embedded.errors import EmbeddedError
from common.embedded.layout import Layout

FIRST_PAUSE = 0.5  # seconds before a dead child is started again, doubled at each early death
LONGEST_PAUSE = 30.0
SETTLED = 30.0  # seconds of life after which a death is no longer early
ORPHAN_GRACE = 3.0
LOOK_INTERVAL = 0.2


def say(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Do not let a second Ctrl-C, or a SIGTERM that arrives twice, interrupt an orderly stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    chosen = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in chosen}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


class Supervisor:
    """The children of one platform; a context manager.

    Entering takes the folder's lock and raises EmbeddedError where another platform runs there; leaving stops
    everything. Enter it and start children in the main thread.
    """

    def __init__(self, layout: Layout, *, tell: Callable[[str], None] = say) -> None:
        self.layout = layout
        self.tell = tell
        self.children: list[Child] = []
        self._pauses: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._lock = contextlib.ExitStack()
        self._guardian: processes.Guardian | None = None

    def __enter__(self) -> Self:
        self.layout.create()
        self._lock.enter_context(self.layout.lock())
        try:
            self._end_orphans()
            self._guardian = processes.Guardian(self.layout.token, grace=ORPHAN_GRACE)
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with deaf_to_signals(), self._lock:
            self.stop()
            # Only now: had anything above failed, the guardian would see to the rest once we are gone.
            if self._guardian:
                processes.end_owners(*self.layout.token, grace=0, spare=[self._guardian.pid])
                self._guardian.dismiss()
            with contextlib.suppress(OSError):
                self.layout.sockets.rmdir()

    def _end_orphans(self) -> None:
        orphans = processes.owners(*self.layout.token)
        if orphans:
            self.tell(f"Ending {len(orphans)} process(es) that an earlier run left behind.")
        if left := processes.end_owners(*self.layout.token, grace=ORPHAN_GRACE):
            raise EmbeddedError(
                f"Processes of an earlier run in {self.layout.var} cannot be ended: {sorted(left)}."
            )

    def start(self, spec: ChildSpec) -> Child:
        """Start a child and keep it in mind. Raises EmbeddedError where it cannot be started at all."""
        child = Child(spec, self.layout)
        # Remembered first: a signal may arrive in between.
        self.children.append(child)
        child.start()
        return child

    def run(self) -> None:
        """Restart children that die, until the handler of a signal raises (usually KeyboardInterrupt)."""
        while True:
            self.look_after_children()
            time.sleep(LOOK_INTERVAL)

    def look_after_children(self) -> None:
        """One round: report children that have died, restart those whose pause is over."""
        now = time.monotonic()
        for child in self.children:
            name = child.spec.name
            if child.running:
                continue
            if name not in self._due:
                pause = self._next_pause(child, now)
                self._due[name] = now + pause
                self.tell(f"{name} ended with {child.exit_code}; again in {pause:g} s. Its log: {child.log}")
                child.end_leftovers()
            elif now >= self._due[name]:
                del self._due[name]
                try:
                    child.start()
                except EmbeddedError as error:
                    self.tell(str(error))

    def _next_pause(self, child: Child, now: float) -> float:
        """Seconds until a child that died is started again: more each time it has hardly lived."""
        name = child.spec.name
        if now - child.started_at > SETTLED:
            self._pauses.pop(name, None)
        if name in self._pauses:
            self._pauses[name] = min(2 * self._pauses[name], LONGEST_PAUSE)
        else:
            self._pauses[name] = FIRST_PAUSE
            self.tell(textwrap.indent(child.last_words(), f"{name} | "))
        return self._pauses[name]

    def stop(self) -> None:
        """Stop all children, foundations last. In each of the two groups all are asked, then waited for."""
        for foundation in (False, True):
            chosen = [child for child in reversed(self.children) if child.spec.foundation is foundation]
            for child in chosen:
                child.ask_to_stop()
            asked_at = time.monotonic()
            for child in chosen:
                child.wait(until=asked_at + child.spec.grace)
        self.children.clear()
