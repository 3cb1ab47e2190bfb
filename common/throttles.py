"""Limits that hold at every door of the API."""

import logging
import time
from typing import Any

import redis
from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from common import limits

logger = logging.getLogger(__name__)
AWAY_SECONDS = 5


class RequestThrottle(BaseThrottle):
    """So many requests a minute for each signed-in user, and for each address of those who are not.

    A view with a `throttle_scope` has a stricter rule of its own besides, settings.THROTTLES[scope]. All of them are
    asked in one call to Redis. Where Redis does not answer the request passes: these limits protect the platform
    from too much, and an outage of theirs must not close it. What guards a secret (sign-in, codes) counts in its
    service and stays closed then. Requests without a valid token at a door that needs one are refused before: counting
    them would cost more.
    """

    asked_again_at = 0.0
    """Monotonic time until which this process takes Redis for gone, so that an outage delays few requests."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Raises RateLimited."""
        if time.monotonic() < RequestThrottle.asked_again_at:
            return True
        try:
            limits.take(*self.rules(request, view))
        except redis.RedisError:
            RequestThrottle.asked_again_at = time.monotonic() + AWAY_SECONDS
            logger.warning("Redis is away: requests are not counted for %s s", AWAY_SECONDS, exc_info=True)
        return True

    def rules(self, request: Request, view: Any) -> list[tuple[str, str, tuple[int, int]]]:
        known = request.user is not None and request.user.is_authenticated
        name, subject = ("user", str(request.user.pk)) if known else ("anonymous", limits.client_ip(request))
        scope = getattr(view, "throttle_scope", None)
        return [(rule, subject, settings.THROTTLES[rule]) for rule in (name, scope) if rule]
