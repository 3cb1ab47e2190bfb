"""Platforms in processes of their own, and what the tests ask of them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from common import processes
from common.embedded.layout import Layout

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
        return self.process.wait(timeout=60), time.monotonic() - begun

    def postmaster(self) -> int:
        return int((self.layout.postgres / "data" / "postmaster.pid").read_text().split()[0])


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
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
