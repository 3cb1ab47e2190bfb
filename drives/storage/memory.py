"""Memory for parts of files, used again: to be given fresh pages takes the kernel as long as to receive a part.

It begins where a page does, as writing past the page cache wants it (`drives.storage.staging.write_past_cache`).
"""

from collections import OrderedDict
from collections.abc import Hashable
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from threading import Lock

SIZE = 6 * 2**20
MOST = 8
"""As many are kept for the next time. There are more only while more are in use."""
lock = Lock()
count = 0
free: list[mmap] = []
shelved: OrderedDict[Hashable, dict[int, mmap]] = OrderedDict()
"""What is only of use as long as nobody else wants the room: by owner and number, last the owner who shelved last."""


def lend() -> mmap:
    """SIZE bytes of any content, to be given back or shelved."""
    global count
    with lock:
        if free:
            return free.pop()
        if count >= MOST and shelved:
            stalest = next(iter(shelved))
            return take_off(stalest, max(shelved[stalest]))
        count += 1
    return mmap(-1, SIZE, MAP_PRIVATE | MAP_ANONYMOUS)


def give_back(memory: mmap) -> None:
    global count
    with lock:
        if count > MOST:
            count -= 1
        else:
            free.append(memory)


def shelve(owner: Hashable, number: int, memory: mmap) -> None:
    """Put memory aside for `take`.

    Who needs some and finds no other gets it: the highest number of the owner who has shelved nothing for longest.
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
    """What was shelved, if it is there still; to be given back."""
    with lock:
        return take_off(owner, number) if number in shelved.get(owner, ()) else None


def take_off(owner: Hashable, number: int) -> mmap:
    """Call with `lock`."""
    memory = shelved[owner].pop(number)
    if not shelved[owner]:
        del shelved[owner]
    return memory
