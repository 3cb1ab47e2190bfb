"""Password hashes: the current one, the old service's (verified only), and a limit on how many are computed at once.

A hash takes a quarter of a second of one core by design. A process computes at most HASHING_SLOTS at once;
HASHING_WAITING more wait, and any further one is refused at once (Busy). So a storm of sign-ins leaves cores and
threads for everybody else. The hashers themselves enforce this, so that no door can forget it.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Any

import bcrypt
from django.conf import settings
from django.contrib.auth.hashers import BCryptPasswordHasher, BCryptSHA256PasswordHasher

from accounts.errors import Busy

RETRY_AFTER = 2
"""Seconds, after which a full line has moved on."""


class Line:
    """At most `slots` computing and `waiting` behind them."""

    def __init__(self, slots: int, waiting: int) -> None:
        self.places = BoundedSemaphore(slots + waiting)
        self.slots = BoundedSemaphore(slots)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a slot. Raises Busy at once where the line is full."""
        if not self.places.acquire(blocking=False):
            raise Busy(retry_after=RETRY_AFTER)
        try:
            with self.slots:
                yield
        finally:
            self.places.release()


@functools.cache
def line() -> Line:
    """The process's line."""
    return Line(settings.HASHING_SLOTS, settings.HASHING_WAITING)


class Bcrypt(BCryptSHA256PasswordHasher):
    """Django's BCryptSHA256, computed within the limits of the line."""

    def encode(self, password: str, salt: Any) -> str:
        with line().slot():
            return super().encode(password, salt)


class LegacyBcrypt(BCryptPasswordHasher):
    """Plain bcrypt of the old service, which silently cut passwords at 72 bytes. Replaced at the next sign-in."""

    algorithm = "bcrypt"

    def encode(self, password: str, salt: Any) -> str:
        # bcrypt 5 refuses what is longer instead of cutting it; the stored hashes are of the cut ones.
        with line().slot():
            hashed = bcrypt.hashpw(password.encode()[:72], salt)
        return f"{self.algorithm}${hashed.decode('ascii')}"

    def verify(self, password: str, encoded: str) -> bool:
        right: bool = super().verify(password, encoded)
        if not right:
            # A cheaper hash must not tell by its time that there is such a user. Django sees to that only for hashes
            # of the algorithm it writes.
            self.harden_runtime(password, encoded)
        return right
