"""gunicorn's worker, adapted to clients that send many small requests (compose.yaml)."""

import select
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

PATIENCE_MILLISECONDS = 3


class Threads(ThreadPoolExecutor):
    """A pool that can tell whether work is waiting for one of its threads."""

    def is_asked(self) -> bool:
        return not self._work_queue.empty()


class StayingWorker(ThreadWorker):
    """After an answer a thread waits a moment on the same connection for the next request, unless other work is
    waiting.

    Clients that upload small files or page through lists send their next request at once. gunicorn would give the
    connection back to its main thread, which watches it and hands it to a thread again: a fifth of what a small file
    costs, and each of these steps waits for the interpreter lock.
    """

    def get_thread_pool(self) -> Threads:
        return Threads(max_workers=self.cfg.threads)

    def handle(self, conn: TConn) -> Any:
        kept = super().handle(conn)
        while kept is True and self.stays_with(conn):
            kept = super().handle(conn)
        return kept

    def stays_with(self, conn: TConn) -> bool:
        """Wait for the next request of `conn`; False where this thread should rather take other work."""
        if not self.alive or self.tpool.is_asked() or conn.is_http2:
            return False
        if conn.parser.unreader.buf.getvalue():  # read ahead
            return True
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(PATIENCE_MILLISECONDS))
