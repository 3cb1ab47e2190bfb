"""Writes that the kernel carries on with while the request is answered: io_submit(2), which Python lacks.

What it was given gets to its place also where this process is killed the moment after: the kernel lets the process end
only then, and until then others find its files open and locked. So it is as good as written, except where the disk
itself fails: that shows later.
"""

import ctypes
import errno
import os
import platform
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from itertools import count
from mmap import mmap
from threading import BoundedSemaphore, Lock, Thread

from drives.storage.staging import past_cache

MOST = 3
"""Writes on their way at once: each holds memory, and more of them are no quicker."""
DISTRUST_SECONDS = 60
SETUP, SUBMIT, EVENTS = {"x86_64": (206, 209, 208), "aarch64": (0, 2, 4)}.get(
    platform.machine(), (-1, -1, -1)
)
PWRITE = 1  # linux/aio_abi.h, "IOCB_CMD_PWRITE"

libc = ctypes.CDLL(None, use_errno=True)
turn = Lock()
"""Held where the queue is made, and where the process forks."""


class Iocb(ctypes.Structure):
    """`struct iocb` of linux/aio_abi.h, where the machine puts low bytes first."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_uint32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("descriptor", ctypes.c_uint32),
        ("memory", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("start", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("eventfd", ctypes.c_uint32),
    )


class Event(ctypes.Structure):
    """`struct io_event` of linux/aio_abi.h."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("iocb", ctypes.c_uint64),
        ("result", ctypes.c_int64),
        ("result2", ctypes.c_int64),
    )


class Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def system_call(number: int, *arguments: object) -> int:
    """Raises OSError."""
    answer: int = libc.syscall(ctypes.c_long(number), *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


class Queue:
    """The writes of a process that are on their way, and the thread that hears of their ends."""

    def __init__(self) -> None:
        """Raises OSError where the kernel has no such thing, or gives none."""
        self.context = ctypes.c_ulong()
        system_call(SETUP, ctypes.c_uint(MOST), ctypes.byref(self.context))
        self.room, self.numbers = BoundedSemaphore(MOST), count()
        self.writes: dict[int, tuple[Future[None], mmap, int]] = {}
        self.trusted_at = 0.0
        """Monotonic time from which writes are begun: where one fails late, who sends more has to be told at once."""
        self.hear(0, Timespec())  # a sandbox may let writes begin, and tell nobody of their ends
        Thread(target=self.listen, name="kernel-writes", daemon=True).start()

    def begin(self, descriptor: int, memory: mmap, size: int, start: int) -> Future[None]:
        """Raises OSError where it failed at once."""
        self.room.acquire()
        number, write = next(self.numbers), Future[None]()
        self.writes[number] = write, memory, size
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        wanted = Iocb(
            data=number, opcode=PWRITE, descriptor=descriptor, memory=address, size=size, start=start
        )
        try:
            system_call(SUBMIT, self.context, ctypes.c_long(1), ctypes.byref(ctypes.pointer(wanted)))
        except OSError:
            del self.writes[number]
            self.room.release()
            raise
        self.hear(0, Timespec())
        if write.done():
            write.result()
        return write

    def listen(self) -> None:
        while True:
            self.hear(1, None)

    def hear(self, least: int, patience: Timespec | None) -> None:
        """Note the ends of writes, at `least` so many."""
        events = (Event * MOST)()
        limit = ctypes.byref(patience) if patience else None
        try:
            ended = system_call(
                EVENTS, self.context, ctypes.c_long(least), ctypes.c_long(MOST), events, limit
            )
        except InterruptedError:
            return
        for event in events[:ended]:
            write, _memory, size = self.writes.pop(event.data)
            self.room.release()
            if event.result == size:
                write.set_result(None)
            else:
                self.trusted_at = time.monotonic() + DISTRUST_SECONDS
                code = -event.result if event.result < 0 else errno.EIO
                write.set_exception(OSError(code, os.strerror(code)))


@cache
def queue_of(_process: int) -> Queue | None:
    try:
        return Queue()
    except OSError:
        return None


def queue() -> Queue | None:
    """That of this process: a child has none of its parent's."""
    with turn:
        return queue_of(os.getpid())


os.register_at_fork(before=turn.acquire, after_in_parent=turn.release, after_in_child=turn.release)


def begin_to_write(descriptor: int, memory: mmap, size: int, start: int) -> Future[None] | None:
    """Have the kernel write whole pages of `memory`, past the page cache; None where it cannot, or failed just now.

    Until the end of the write `memory` has to stay as it is; `descriptor` may be closed. Where the file would grow by
    it the kernel waits for that.
    """
    own = queue() if size else None
    if own is None or time.monotonic() < own.trusted_at:
        return None
    with past_cache(descriptor) as is_past, suppress(OSError):
        if is_past:
            return own.begin(descriptor, memory, size, start)
    return None
