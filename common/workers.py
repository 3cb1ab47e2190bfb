"""gunicorn's threads, as this platform has them answer requests (compose.yaml)."""

import select
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

PATIENCE_MILLISECONDS = 3


class Threads(ThreadPoolExecutor):
    """A pool that tells whether somebody waits for one of its threads."""

    def is_asked(self) -> bool:
        return not self._work_queue.empty()


class StayingWorker(ThreadWorker):
    """A thread stays with its connection for a moment after an answer, as long as nobody else waits for a thread.

    Who uploads small files, or leafs through lists, asks the next thing at once. gunicorn would hand the connection to
    its main thread, have it watched, and give it to a thread anew: a fifth of what a small file costs, and each of
    these steps waits for its turn with the interpreter.
    """

    def get_thread_pool(self) -> Threads:
        return Threads(max_workers=self.cfg.threads)

    def handle(self, conn: TConn) -> Any:
        kept = super().handle(conn)
        while kept is True and self.stays_with(conn):
            kept = super().handle(conn)
        return kept

    def stays_with(self, conn: TConn) -> bool:
        """Whether this thread has the next request of `conn` before anybody else asks for the thread."""
        if not self.alive or self.tpool.is_asked() or conn.is_http2:
            return False
        if conn.parser.unreader.buf.getvalue():  # read ahead
            return True
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(PATIENCE_MILLISECONDS))
