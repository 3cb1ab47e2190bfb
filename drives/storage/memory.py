"""Memory for parts of files, used again: to be given fresh pages takes the kernel as long as to receive a part.

It begins where a page does, as writing past the page cache wants it (`drives.storage.staging.write_past_cache`).
"""

from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

SIZE = 6 * 2**20
free: list[mmap] = []


def lend() -> mmap:
    """SIZE bytes of any content, to be given back."""
    try:
        return free.pop()
    except IndexError:
        return mmap(-1, SIZE, MAP_PRIVATE | MAP_ANONYMOUS)


def give_back(memory: mmap) -> None:
    free.append(memory)
