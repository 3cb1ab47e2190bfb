"""The node itself: its name, what it offers, its heartbeat."""

import fcntl
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Q
from django.db.models.functions import Now

from common import processes
from rendering.engines import ENGINES, is_offered
from rendering.errors import LateResult
from rendering.models import Attempt, RenderNode
from rendering.node import machine
from rendering.node.cache import BlobCache
from rendering.node.inputs import InputFolders, remove_tree
from rendering.node.log import end_of
from rendering.node.render import LOG_NAME, render
from rendering.runner import NODE_TOKEN
from rendering.services import attempt_logs, attempts, claims

logger = logging.getLogger(__name__)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MAX_FAULTS = 3
REST = timedelta(minutes=1)
_current: list["Node"] = []


class NameInUse(Exception):
    """Another node has this name. The text says where."""


def current() -> "Node":
    """The node of this process. Raises RuntimeError in one that is none."""
    if not _current:
        raise RuntimeError("this process is not a render node")
    return _current[0]


class Node:
    """A render node of this machine. One process has one; its name is its identity across restarts.

    `engines` leaves out what the machine has and the node shall not offer, `memory_size` (bytes) is its share of the
    machine, `cache_size` (bytes, 0 for no limit) that of the cache, which all nodes of the machine share.
    """

    def __init__(
        self,
        name: str = "",
        slots: int | None = None,
        *,
        engines: Collection[str] = (),
        tags: Collection[str] = (),
        memory_size: int | None = None,
        cache_size: int | None = None,
    ) -> None:
        self.name = name or socket.gethostname()
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name: letters, digits, '.', '_' and '-'")
        self.host = socket.gethostname()
        self.slots = slots or settings.RENDER_NODE_SLOTS
        self.tags = sorted(set(tags or settings.RENDER_NODE_TAGS))
        self.memory_size = memory_size or machine.usable_memory_size()
        self.folder = Path(settings.RENDER_NODE_FOLDER) / "nodes" / self.name
        self.jobs = self.folder / "jobs"
        self.engines = {
            engine.name: list(versions)
            for engine in ENGINES.values()
            if is_offered(engine.name)
            and (not engines or engine.name in engines)
            and (versions := engine.versions())
        }
        self.cache = BlobCache(
            Path(settings.RENDER_NODE_FOLDER) / "cache",
            size_limit=settings.RENDER_CACHE_SIZE if cache_size is None else cache_size,
        )
        self.inputs = InputFolders(self.folder / "inputs", self.cache)
        self.stopping = threading.Event()
        self.is_disabled = False
        self.faults = 0

    def start(self) -> None:
        """Register, take back what an earlier life of this node left, and begin to report.

        Raises NameInUse when another process, here or elsewhere, is this node already.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NameInUse(f"A node named {self.name} runs on this machine already.") from error
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
        self.clear()
        _current[:] = [self]
        self.reporter = threading.Thread(target=self.report, name="node-heartbeat", daemon=True)
        self.reporter.start()

    def clear(self) -> None:
        """Remove what an earlier life left behind; its logs are kept."""
        for folder in self.jobs.glob("*"):
            try:
                log = folder / LOG_NAME
                attempt_logs.keep(attempt_id=UUID(folder.name), path=log, tail=end_of(log))
            except (OSError, ValueError):
                logger.warning("the log of attempt %s is lost", folder.name, exc_info=True)
        for rest in (self.jobs, self.inputs.folder):
            remove_tree(rest)

    def register(self) -> RenderNode:
        """The row of this node, made or taken over. Raises NameInUse while a living node elsewhere has the name."""
        facts = {
            "host": self.host,
            "pid": os.getpid(),
            "cores": machine.cores(),
            "memory_size": self.memory_size,
            "slots": self.slots,
            "engines": self.engines,
            "tags": self.tags,
            "version": settings.VERSION,
            "rests_until": None,
            "heartbeat_at": Now(),
        }
        row, created = RenderNode.objects.get_or_create(name=self.name, defaults=facts)
        if not created:
            free = Q(host=self.host) | Q(heartbeat_at__lte=Now() - settings.RENDER_LEASE)
            if not RenderNode.objects.filter(free, pk=row.pk).update(**facts):
                raise NameInUse(f"A node named {self.name} runs on {row.host}.")
        row.refresh_from_db()
        return row

    def report(self) -> None:
        """Renew the heartbeat and look what operators wish, until the node stops."""
        beat_at = time.monotonic() + settings.RENDER_NODE_HEARTBEAT_SECONDS
        while not self.stopping.wait(settings.RENDER_HEARTBEAT_SECONDS):
            try:
                if time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + settings.RENDER_NODE_HEARTBEAT_SECONDS
                    self.beat()
                self.look()
            except DatabaseError:
                logger.warning("heartbeat of node %s failed", self.name, exc_info=True)
                connection.close()
        connection.close()

    def beat(self) -> None:
        """Report that the node lives, and its load. A node that has lost its name to another host stops using it."""
        mine = RenderNode.objects.filter(pk=self.row.pk, host=self.host, pid=os.getpid())
        facts = {"load": machine.load(), "free_memory_size": machine.free_memory_size()}
        if mine.update(heartbeat_at=Now(), **facts):
            self.inputs.sweep()
            return
        logger.error("node %s runs elsewhere now, or was removed; this one stops", self.name)
        self.stop()
        os.kill(os.getpid(), signal.SIGTERM)

    def look(self) -> None:
        """Look whether an operator has disabled the node; what runs is then given back at once."""
        states = RenderNode.objects.filter(pk=self.row.pk).values_list("state", flat=True)
        self.is_disabled = states.first() == RenderNode.State.DISABLED

    def must_stop(self) -> bool:
        return self.stopping.is_set() or self.is_disabled

    def work(self, engine: str) -> None:
        """Fill one slot: render frames of an engine until there are none for this node or it stops."""
        while not self.stopping.is_set() and engine in self.engines:
            row = RenderNode.objects.taking_work().filter(pk=self.row.pk).first()
            attempt = claims.claim(node=row, engine=engine) if row else None
            if attempt is None:
                self.inputs.sweep()
                return
            self.is_disabled = False
            self.render(attempt)

    def render(self, attempt: Attempt) -> None:
        folder = self.jobs / str(attempt.pk)
        try:
            render(attempt, folder=folder, inputs=self.inputs, is_stopping=self.must_stop)
            self.faults = 0
        except Exception:
            logger.exception("attempt %s broke on node %s", attempt.pk, self.name)
            self.faults += 1
            if self.faults >= MAX_FAULTS:
                self.rest()
        finally:
            remove_tree(folder)

    def rest(self) -> None:
        """After several faults in a row take no work for a while: the disk may be full or the storage out of reach."""
        logger.error("node %s rests after %s faults in a row", self.name, self.faults)
        self.inputs.remove_idle()
        RenderNode.objects.filter(pk=self.row.pk).update(rests_until=Now() + REST)

    def stop(self) -> None:
        """End what runs here within two seconds and give the frames back."""
        self.stopping.set()

    def leave(self) -> None:
        """Once nothing runs any more, sign off, so that the node is not missed."""
        gone = Now() - 2 * settings.RENDER_LEASE
        RenderNode.objects.filter(pk=self.row.pk, host=self.host, pid=os.getpid()).update(heartbeat_at=gone)
