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
    """So many requests a minute for each signed-in user, and for each address of those who are not.

    A view with a `throttle_scope` has a stricter rule of its own besides, settings.THROTTLES[scope]. All of them are
    asked in one call to Redis, and of a generous limit a thousandth at once: for some seconds the next uses are this
    process's own. Where Redis does not answer the request passes: these limits protect the platform from too much, and
    an outage of theirs must not close it. What guards a secret (sign-in, codes) counts in its service and stays closed
    then. Requests without a valid token at a door that needs one are refused before: counting them would cost more.
    """

    asked_again_at = 0.0
    """Monotonic time until which this process takes Redis for gone, so that an outage delays few requests."""

    left: ClassVar[dict[str, deque[float]]] = {}
    """By the key of a rule: until when (monotonic) each use is good that this process has taken ahead."""

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
            # Other threads may have taken some at the same time: theirs are no less good.
            self.left.setdefault(key, deque()).extend([now + LEFT_SECONDS] * (portion - 1))
        return True

    def has_left(self, key: str, now: float) -> bool:
        """Whether a use of the rule is left of what this process has taken, which is one less then."""
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
