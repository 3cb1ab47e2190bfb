"""Locks that all web processes share: a hash in Redis per drive, since a drive has few of them at a time."""

import json
import time
from collections.abc import Collection
from typing import Any

from django.conf import settings
from wsgidav.dav_error import (
    HTTP_INSUFFICIENT_STORAGE,
    DAVError,
    DAVErrorCondition,
    PRECONDITION_CODE_LockConflict,
)
from wsgidav.lock_man.lock_manager import LockManager, normalize_lock_root, validate_lock
from wsgidav.util import is_child_uri

from common.ids import new_id
from common.realtime import connection

MAX_SECONDS = 24 * 3600
MAX_LOCKS = 1000
ACQUIRING_SECONDS = 10
Lock = dict[str, Any]


def key_of(drive: str) -> str:
    return f"{settings.REDIS_PREFIX}:dav-locks:{drive}"


def drive_of(root: str) -> str:
    """The id of the drive in `/<drive id>/path`; empty for the list of drives."""
    return root.strip("/").partition("/")[0]


def drive_of_token(token: str) -> str:
    """A token names its drive: `opaquelocktoken:<drive id>:<id>`."""
    parts = token.split(":")
    return parts[1] if len(parts) == 3 else ""


class RedisLocks:
    """What wsgidav's LockManager keeps its locks in; a root is `/<drive id>/path`, quoted."""

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def living(self, drive: str) -> list[Lock]:
        """The locks of a drive that are not over; those that are go."""
        found: Any = connection().hgetall(key_of(drive))
        locks = {token: json.loads(value) for token, value in found.items()}
        over = [token for token, lock in locks.items() if lock["expire"] < time.time()]
        if over:
            connection().hdel(key_of(drive), *over)
        return [lock for token, lock in locks.items() if token not in over]

    def write(self, lock: Lock, timeout: float) -> Lock:
        lasts = timeout if 0 < timeout < MAX_SECONDS else MAX_SECONDS
        lock |= {"timeout": lasts, "expire": time.time() + lasts}
        key = key_of(drive_of(lock["root"]))
        with connection().pipeline() as pipe:
            pipe.hset(key, lock["token"], json.dumps(lock))
            pipe.expire(key, MAX_SECONDS)
            pipe.execute()
        return lock

    def get(self, token: str) -> Lock | None:
        living = self.living(drive_of_token(token))
        return next((lock for lock in living if lock["token"] == token), None)

    def require_room(self, drive: str) -> None:
        """Raises DAVError where the drive has MAX_LOCKS."""
        if len(self.living(drive)) >= MAX_LOCKS:
            raise DAVError(HTTP_INSUFFICIENT_STORAGE)

    def create(self, path: str, lock: Lock) -> Lock:
        """Keep a lock; it gets its token here. Raises DAVError where the drive has MAX_LOCKS."""
        root = normalize_lock_root(path)
        drive = drive_of(root)
        self.require_room(drive)
        lock["root"] = root
        validate_lock(lock)
        lock["owner"] = lock["owner"].decode()  # XML of the client's
        lock["token"] = f"opaquelocktoken:{drive}:{new_id()}"
        return self.write(lock, lock["timeout"])

    def refresh(self, token: str, *, timeout: float) -> Lock:
        lock = self.get(token)
        if lock is None:
            raise ValueError(token)
        return self.write(lock, timeout)

    def delete(self, token: str) -> bool:
        return bool(connection().hdel(key_of(drive_of_token(token)), token))

    def get_lock_list(
        self, path: str, *, include_root: bool, include_children: bool, token_only: bool
    ) -> list[Any]:
        root = normalize_lock_root(path)
        if root == "/":
            return []
        found = [
            lock
            for lock in self.living(drive_of(root))
            if (include_root and lock["root"] == root)
            or (include_children and is_child_uri(root, lock["root"]))
        ]
        return [lock["token"] for lock in found] if token_only else found


class SharedLocks(LockManager):
    """Looking for a lock that is in the way and taking one are one step, also between processes.

    Addresses in refusals begin with `mount`.
    """

    def __init__(self, storage: RedisLocks, mount: str) -> None:
        super().__init__(storage)
        self.mount = mount

    def acquire(self, *, url: str, **wanted: Any) -> Lock:
        turn = connection().lock(
            f"{key_of(drive_of(url))}:turn", timeout=ACQUIRING_SECONDS, blocking_timeout=ACQUIRING_SECONDS
        )
        with turn:
            lock: Lock = super().acquire(url=url, **wanted)
        return lock

    def _get_write_conflicts(
        self, url: str, depth: str, token_list: Collection[str], principal: str
    ) -> DAVErrorCondition:
        """In one question, where wsgidav asks for each folder above. The caller's own locks below `url` are not in the
        way (RFC 4918 §7.5).
        """
        root, condition = normalize_lock_root(url), DAVErrorCondition(PRECONDITION_CODE_LockConflict)
        for lock in self.storage.living(drive_of(root)):
            is_above = lock["depth"] == "infinity" and is_child_uri(lock["root"], root)
            is_below = depth == "infinity" and is_child_uri(root, lock["root"])
            is_own = lock["principal"] == principal and lock["token"] in token_list
            if (is_above or is_below or lock["root"] == root) and not is_own:
                condition.add_href(self.mount + lock["root"])
        return condition
