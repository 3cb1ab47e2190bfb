"""What the machine of a node has, and how busy it is. In a container this means the container's share."""

import math
import os
from contextlib import suppress
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
# Control groups of version 2 and of version 1; either says "max", or a number beyond all memory, for no limit.
MEMORY_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
MEMORY_USES = ("memory.current", "memory/memory.usage_in_bytes")


def cores() -> int:
    """Processors this process may use, by its affinity and its container's quota."""
    allowed = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = (CONTROL_GROUPS / "cpu.max").read_text().split()
        allowed = min(allowed, max(math.ceil(int(quota) / int(period)), 1))
    return allowed


def usable_memory_size() -> int:
    """Bytes of memory that programs may use: a sixteenth is left to the system."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(physical, number_of(MEMORY_LIMITS) or physical) * 15 // 16


def free_memory_size() -> int:
    """Bytes of usable memory that programs do not use yet."""
    free = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    limit, used = number_of(MEMORY_LIMITS), number_of(MEMORY_USES)
    if limit and used:
        free = min(free, max(limit - used, 0))
    return min(free, usable_memory_size())


def load() -> float:
    """Processes that ran or wanted to, on average over the last minute."""
    return os.getloadavg()[0]


def number_of(names: tuple[str, ...]) -> int:
    """The number that the first of these files of the control group holds; 0 for none."""
    for name in names:
        with suppress(OSError, ValueError):
            return int((CONTROL_GROUPS / name).read_text())
    return 0
