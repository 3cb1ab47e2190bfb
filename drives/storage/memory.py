"""A pool of memory for parts of files: fresh pages take the kernel as long as receiving a part.

The memory begins at a page, as writing past the page cache needs it (`drives.storage.staging.write_past_cache`).
"""

from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from mmap import MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_PRIVATE, mmap
from threading import Lock

SIZE = 6 * 2**20
IN_LARGE_PAGES = 4 * 2**20
"""So much of it is asked for in pages of 2 MiB, which make less work for kernel and disk. Most parts are of 5 MiB: a
third such page would stay half empty.
"""
MOST = 7
"""How many are kept for reuse. There are more only while more are in use."""
lock = Lock()
count = 0
free: list[mmap] = []
shelved: OrderedDict[Hashable, dict[int, mmap]] = OrderedDict()
"""Memory with content that is useful only until somebody needs the room: by owner and number. Owners who shelved last
are last.
"""


def lend() -> mmap:
    """SIZE bytes with any content, to be given back or shelved."""
    global count
    with lock:
        if free:
            return free.pop()
        if count >= MOST and shelved:
            stalest = next(iter(shelved))
            return take_off(stalest, max(shelved[stalest]))
        count += 1
    memory = mmap(-1, SIZE, MAP_PRIVATE | MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        memory.madvise(MADV_HUGEPAGE, 0, IN_LARGE_PAGES)
    return memory


def give_back(memory: mmap) -> None:
    global count
    with lock:
        if count > MOST:
            count -= 1
        else:
            free.append(memory)


def shelve(owner: Hashable, number: int, memory: mmap) -> None:
    """Put memory aside for `take`.

    Whoever needs memory and finds no other gets it: first the highest number of the owner who has shelved nothing for
    longest.
    """
    unused = []
    with lock:
        numbers = shelved.setdefault(owner, {})
        shelved.move_to_end(owner)
        if number in numbers:
            unused.append(numbers[number])
        numbers[number] = memory
        if count > MOST:  # more were in use at once than are kept
            stalest = next(iter(shelved))
            unused.append(take_off(stalest, max(shelved[stalest])))
    for memory in unused:
        give_back(memory)


def take(owner: Hashable, number: int) -> mmap | None:
    """What was shelved, if it is still there; to be given back."""
    with lock:
        return take_off(owner, number) if number in shelved.get(owner, ()) else None


def take_off(owner: Hashable, number: int) -> mmap:
    """Call with `lock` held."""
    memory = shelved[owner].pop(number)
    if not shelved[owner]:
        del shelved[owner]
    return memory
