"""Limits that hold at every door of the API."""

import logging
import time
from collections import deque
from contextlib import suppress
from typing import Any, ClassVar

import redis
from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from common import limits

logger = logging.getLogger(__name__)
AWAY_SECONDS = 5
PORTIONS, MOST_AT_ONCE = 1000, 32
LEFT_SECONDS, MOST_LEFT = 10.0, 1000


class RequestThrottle(BaseThrottle):
    """Limits the requests of each signed-in user, and of each address of those who are not signed in.

    A view with a `throttle_scope` also has a stricter rule of its own, settings.THROTTLES[scope]. All rules are asked
    in one call to Redis. Of a generous limit a process takes a thousandth at a time and answers from that for some
    seconds.

    While Redis is away requests pass: these limits protect the platform from overload, and must not close it.
    Whatever guards a secret (sign-in, codes) counts in its own service and then stays closed. Requests without a
    valid token at a door that needs one are refused earlier: counting them would cost more than refusing them.
    """

    asked_again_at = 0.0
    """Monotonic time until which this process does not ask Redis, so that an outage delays few requests."""

    left: ClassVar[dict[str, deque[float]]] = {}
    """Uses that this process has taken ahead, by the key of their rule: for each the monotonic time at which it
    expires.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        """Raises RateLimited."""
        now = time.monotonic()
        if now < RequestThrottle.asked_again_at:
            return True
        first, *stricter = self.rules(request, view)
        key, (limit, _seconds) = limits.key_of(first), first[2]
        if not stricter and self.has_left(key, now):
            return True
        portion = 1 if stricter else min(max(limit // PORTIONS, 1), MOST_AT_ONCE)
        try:
            limits.take(first, *stricter, uses=portion)
        except redis.RedisError:
            RequestThrottle.asked_again_at = time.monotonic() + AWAY_SECONDS
            logger.warning("Redis is away: requests are not counted for %s s", AWAY_SECONDS, exc_info=True)
            return True
        if portion > 1:
            if len(self.left) > MOST_LEFT:
                self.left.clear()
            # Other threads may have taken some at the same time; all of them are valid.
            self.left.setdefault(key, deque()).extend([now + LEFT_SECONDS] * (portion - 1))
        return True

    def has_left(self, key: str, now: float) -> bool:
        """Spend one of the uses that this process has taken ahead, if one is left."""
        uses = self.left.get(key)
        while uses:
            with suppress(IndexError):  # another thread has had the last one
                if uses.popleft() > now:
                    return True
        return False

    def rules(self, request: Request, view: Any) -> list[tuple[str, str, tuple[int, int]]]:
        known = request.user is not None and request.user.is_authenticated
        name, subject = ("user", str(request.user.pk)) if known else ("anonymous", limits.client_ip(request))
        scope = getattr(view, "throttle_scope", None)
        return [(rule, subject, settings.THROTTLES[rule]) for rule in (name, scope) if rule]
