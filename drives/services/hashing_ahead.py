"""Hashing a file while it is still arriving: beside the requests, as far as it is complete from its beginning on.

This lives in the memory of the process that receives the bytes, and nothing depends on it: where another process
completes the file, or after a restart, the rest of it (or all) is hashed at the end. Bytes that were noted here must
not change any more. Some of them are still in the memory in which they came; others are read again.
"""

import logging
import os
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from mmap import mmap
from pathlib import Path
from threading import Condition, Lock
from typing import NamedTuple

from drives.services.blobs import Hasher
from drives.storage import memory
from drives.storage.staging import begin_to_sync, read_at, read_past_cache

logger = logging.getLogger(__name__)
MAX_FILES = 256
FAR = memory.SIZE
"""So the parts of four connections find memory (`memory.MOST`), also those that wait for their turn."""
PATIENCE = 0.5  # seconds
pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="hashing")
md5_pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="md5")


class Piece(NamedTuple):
    """Where a piece ends; `writing`, where it goes past the page cache, is done when it is in its place."""

    stop: int
    writing: Future[None] | None = None


class Ahead:
    """A file that is arriving: the hasher of its beginning, and the pieces after that, by their starts.

    `noted` are the starts of all pieces so far, `held` the memory of those that are still being written.
    """

    def __init__(self, path: Path, *, with_md5: bool) -> None:
        self.path, self.hasher = path, Hasher(with_md5=with_md5)
        self.waiting: dict[int, Piece] = {}
        self.noted: set[int] = set()
        self.held: dict[int, mmap] = {}
        self.busy = self.stopped = self.failed = False
        self.turn: Future[None] | None = None
        self.change = Condition()

    def add(self, start: int, piece: Piece, copy: mmap | None = None) -> None:
        """Note a piece, and have it hashed as soon as everything before it is."""
        with self.change:
            self.noted.add(start)
            if copy:
                self.held[start] = copy
            if start < self.hasher.size:
                return
            self.waiting[start] = piece
            if self.busy or self.stopped or self.hasher.size not in self.waiting:
                return
            self.busy = True
            self.turn = pool.submit(self.work)

    def written(self, start: int) -> None:
        """The memory of a piece is not needed for its place any more: who receives can have it."""
        with self.change:
            copy = self.held.pop(start, None)
            if copy and start in self.waiting and not self.stopped:
                memory.shelve(self, start, copy)
                return
        if copy:
            memory.give_back(copy)

    def let_catch_up(self, start: int) -> None:
        """Wait a moment while hashing is far behind `start`: pieces that have to be read again would delay it more."""
        with self.change:
            self.change.wait_for(lambda: not self.busy or start - self.hasher.size <= FAR, PATIENCE)

    def work(self) -> None:
        """Hash pieces as long as the next one is there."""
        try:
            with self.path.open("rb", buffering=0) as file:
                while found := self.next_piece():
                    piece, copy = found
                    start, size = self.hasher.size, piece.stop - self.hasher.size
                    if copy and piece.writing:
                        self.hash_copy(copy, size, piece.writing)
                    else:
                        self.read_up_to(file.fileno(), piece)
                    begin_to_sync(file.fileno(), start, size)
        except Exception as error:
            if not isinstance(error, FileNotFoundError):  # kept or discarded meanwhile
                logger.exception("hashing ahead of %s ended", self.path.name)
            with self.change:
                self.stopped = self.failed = True
                self.busy = False
                self.change.notify_all()

    def next_piece(self) -> tuple[Piece, mmap | None] | None:
        """And its memory, where that still has it."""
        with self.change:
            self.change.notify_all()
            start = self.hasher.size
            piece = self.waiting.pop(start, None)
            if piece is None or self.stopped:
                # Said under the lock: whoever adds the next piece starts the work anew.
                self.busy = False
                return None
            return piece, self.held.pop(start, None) or memory.take(self, start)

    def hash_copy(self, copy: mmap, size: int, writing: Future[None]) -> None:
        try:
            self.hasher.update(memoryview(copy)[:size], beside=md5_pool)
        finally:
            writing.add_done_callback(lambda _writing: memory.give_back(copy))

    def read_up_to(self, descriptor: int, piece: Piece) -> None:
        borrowed, read = memory.lend(), read_past_cache if piece.writing else read_at
        try:
            while self.hasher.size < piece.stop:
                block = memoryview(borrowed)[: piece.stop - self.hasher.size]
                size = read(descriptor, block, self.hasher.size)
                if not size:
                    raise EOFError("the file is shorter than the pieces that were noted")
                self.hasher.update(block[:size], beside=md5_pool)
        finally:
            memory.give_back(borrowed)

    def end(self) -> Hasher | None:
        """The hasher, once it has come as far as it can, for the caller alone; None where something went wrong."""
        with self.change:
            if self.turn and self.turn.cancel():
                self.busy = False  # other files had all the threads
            self.change.wait_for(lambda: not self.busy)
            self.stopped = True  # whoever has found this before it was taken may still add a piece
        return None if self.failed else self.hasher


files: OrderedDict[str, Ahead] = OrderedDict()
lock = Lock()


def note(
    staging_id: str,
    path: Path,
    *,
    start: int,
    stop: int,
    with_md5: bool,
    copy: mmap | None = None,
    writing: Future[None] | None = None,
) -> Ahead:
    """Bytes `start` to `stop` of a staged file will not change any more.

    Without a `copy` they are in their place. One that begins with them is hashed while they are still on their way
    there; when `writing` is done, `end_of_write` has to be called.
    """
    with lock:
        ahead = files.get(staging_id)
        if ahead is None:
            ahead = files[staging_id] = Ahead(path, with_md5=with_md5)
            if len(files) > MAX_FILES:
                _oldest, dropped = files.popitem(last=False)
                dropped.stopped = True
    ahead.add(start, Piece(stop, writing), copy)
    return ahead


def end_of_write(ahead: Ahead, start: int, *, failed: bool) -> None:
    """The piece from `start` on is in its place. Where that has `failed`, what was hashed is not what is there: the
    hasher is useless from now on.
    """
    if failed:
        with lock:
            if files.get(ahead.path.name) is ahead:
                del files[ahead.path.name]
        with ahead.change:
            ahead.stopped = True
    ahead.written(start)


def let_catch_up(staging_id: str, start: int) -> None:
    """Wait a moment while the hashing of a staged file is far behind `start`."""
    with lock:
        ahead = files.get(staging_id)
    if ahead:
        ahead.let_catch_up(start)


def forget(staging_id: str, start: int) -> None:
    """Other bytes are about to be written at `start`: if the old ones were noted, the hasher is useless from now on."""
    with lock:
        ahead = files.get(staging_id)
        if ahead is None or start not in ahead.noted:
            return
        del files[staging_id]
    ahead.end()


def take(staging_id: str) -> Hasher | None:
    """The hasher of the beginning of a staged file, if there is one; it is not continued here any more."""
    with lock:
        ahead = files.pop(staging_id, None)
    return ahead.end() if ahead else None
