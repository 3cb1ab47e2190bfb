"""The node itself: who it is, what it can do, that it lives."""

import fcntl
import logging
import os
import shutil
import socket
import threading
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.utils import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from common import processes
from rendering.engines import ENGINES, Failure, is_offered
from rendering.errors import LateResult
from rendering.models import RenderNode
from rendering.node.cache import BlobCache
from rendering.node.render import deliver, render
from rendering.runner import NODE_TOKEN
from rendering.services import attempts, claims
from rendering.services.attempts import Usage

logger = logging.getLogger(__name__)
_current: list["Node"] = []


def current() -> "Node":
    """The node of this process. Raises RuntimeError in one that is none."""
    if not _current:
        raise RuntimeError("this process is not a render node")
    return _current[0]


class Node:
    """A render node of this machine. One process has one; its name is its identity across restarts."""

    def __init__(self, name: str = "", slots: int | None = None) -> None:
        self.name = name or socket.gethostname()
        self.slots = slots or settings.RENDER_NODE_SLOTS
        self.folder = Path(settings.RENDER_NODE_FOLDER) / self.name
        self.engines = {
            engine.name: list(versions)
            for engine in ENGINES.values()
            if is_offered(engine.name) and (versions := engine.versions())
        }
        self.cache = BlobCache(self.folder / "cache")
        self.stopping = threading.Event()

    def start(self) -> None:
        """Register, take back what an earlier life of this node left, and begin to report.

        Raises BlockingIOError when another process is this node already.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = (self.folder / "lock").open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Known dead before their frames go to anybody else.
        token = (NODE_TOKEN, str(self.folder))
        processes.end_owners(*token, grace=0)
        os.environ.update([token])
        self.guardian = processes.Guardian(token, grace=0)
        self.row = self.register()
        for attempt_id in attempts.running_of(self.row):
            try:
                attempts.lose(attempt_id=attempt_id)
            except LateResult:
                continue
        shutil.rmtree(self.folder / "jobs", ignore_errors=True)
        _current[:] = [self]
        self.reporter = threading.Thread(target=self.report, name="node-heartbeat", daemon=True)
        self.reporter.start()

    def register(self) -> RenderNode:
        pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        facts = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_size": pages * page_size,
            "slots": self.slots,
            "engines": self.engines,
            "heartbeat_at": timezone.now(),
        }
        row, _created = RenderNode.objects.update_or_create(name=self.name, defaults=facts)
        return row

    def report(self) -> None:
        """Renew the heartbeat until the node stops."""
        while not self.stopping.wait(settings.RENDER_NODE_HEARTBEAT_SECONDS):
            try:
                RenderNode.objects.filter(pk=self.row.pk).update(heartbeat_at=timezone.now())
            except DatabaseError:
                logger.warning("heartbeat of node %s failed", self.name, exc_info=True)
                connection.close()
        connection.close()

    def work(self, engine: str) -> None:
        """Fill one slot: render frames of an engine until there are none for this node or it stops."""
        while not self.stopping.is_set() and engine in self.engines:
            if not RenderNode.objects.taking_work().filter(pk=self.row.pk).exists():
                return
            attempt = claims.claim(node=self.row, engine=engine)
            if attempt is None:
                return
            folder = self.folder / "jobs" / str(attempt.pk)
            try:
                render(attempt, folder=folder, cache=self.cache, is_stopping=self.stopping.is_set)
            except Exception:
                # The node's own fault (disk full, storage away): the frame must not wait for its lease.
                logger.exception("attempt %s broke on node %s", attempt.pk, self.name)
                self.give_up(attempt.pk)

    def give_up(self, attempt_id: UUID) -> None:
        failure = Failure("node_fault", _("The render node had a fault of its own."))
        try:
            deliver(lambda: attempts.fail(attempt_id=attempt_id, failure=failure, usage=Usage()))
        except (LateResult, DatabaseError):
            logger.warning("attempt %s is left to its lease", attempt_id)

    def stop(self) -> None:
        """End what runs here within two seconds and give the frames back."""
        self.stopping.set()
