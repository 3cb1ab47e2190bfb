"""What a process tree uses: CPU and memory of all its members, including orphans and those that left its group.

Sampled from /proc, which needs no privileges and is there wherever a node runs; a look takes a fraction of a
millisecond.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.processes import KERNEL, Process, Stat, all_pids, environment_of, stat_of

TICKS = os.sysconf("SC_CLK_TCK")
OOM_KILLS = re.compile(r"^oom_kill (\d+)", re.MULTILINE)
PROPORTIONAL = re.compile(rb"^Pss: +(\d+) kB", re.MULTILINE)


class TreeMeter:
    """CPU seconds and memory of the tree below `leader`, whose members carry `variable` (`NAME=value`)."""

    def __init__(self, leader: int, variable: bytes) -> None:
        self.leader, self.variable = leader, variable
        self.members: dict[Process, Stat] = {}
        self.strangers: set[int] = set()
        self.ticks, self.lost_ticks = 0, 0
        self.memory_size, self.peak_memory_size = 0, 0  # bytes

    def sample(self, *, memory_limit: int | None = None) -> None:
        """Look at the tree. The memory that processes share is told apart only where that decides on the limit."""
        pids = set(all_pids())
        self.strangers &= pids
        found = {}
        for process, stat in stats_of(pids - self.strangers):
            if process in self.members or process.pid == self.leader or self.belongs(process.pid, stat):
                found[process] = stat
        self.count_ticks(found)
        size = sum(stat.resident_size for stat in found.values())
        if memory_limit and size > memory_limit and len(found) > 1:
            size = sum(proportional_size(process.pid, stat) for process, stat in found.items())
        self.memory_size = size
        self.peak_memory_size = max(self.peak_memory_size, size)

    def last_look(self, living: set[int]) -> None:
        """Count the CPU time of a tree whose leader has ended or has to; `living` is all of it that lives."""
        self.count_ticks(dict(stats_of({self.leader, *living})))

    def count_ticks(self, found: dict[Process, Stat]) -> None:
        self.members = found
        # What a living process used cannot become less; where the sum does, somebody left whom no parent waited for.
        ticks = sum(stat.ticks for stat in found.values())
        self.lost_ticks += max(self.ticks - ticks, 0)
        self.ticks = ticks

    def belongs(self, pid: int, stat: Stat) -> bool:
        environment = environment_of(pid)
        if environment and self.variable in environment:
            return True
        # One without an environment may be on its way from one program to the next.
        if environment != [] or stat.is_dead or stat.parent in KERNEL:
            self.strangers.add(pid)
        return False

    def cpu_seconds(self, waited_seconds: float) -> float:
        """CPU seconds of the whole tree; `waited_seconds` is what its leader and those it waited for used."""
        lost = self.lost_ticks / TICKS
        return max(lost + self.ticks / TICKS, lost + waited_seconds)


def stats_of(pids: Iterable[int]) -> Iterator[tuple[Process, Stat]]:
    for pid in pids:
        if stat := stat_of(pid):
            yield Process(pid, stat.started), stat


def proportional_size(pid: int, stat: Stat) -> int:
    """A process's share of the memory it is in, bytes (proc(5), smaps_rollup); all of it where we may not know."""
    try:
        found = PROPORTIONAL.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    except PermissionError:
        return stat.resident_size
    except OSError:
        return 0  # it has just ended
    return int(found[1]) * 1024 if found else 0


def oom_kills() -> int:
    """How many processes the kernel of this machine has killed for lack of memory; 0 where it does not say."""
    try:
        found = OOM_KILLS.search(Path("/proc/vmstat").read_text())
    except OSError:
        found = None
    return int(found[1]) if found else 0
