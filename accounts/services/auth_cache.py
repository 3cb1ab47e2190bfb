"""A short-lived cache of sessions and users, so that most requests need no query to know who asks.

An entry carries the user's stamp, a random value that was read before the rows were. Whoever ends a session or
changes a user deletes the stamp after the commit. From then on nothing that was read before is valid: neither what is
in the cache, nor what a slower reader is about to put there. Without Redis the database is asked.
"""

import functools
import logging
import pickle
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Session
from common.realtime import connection

logger = logging.getLogger(__name__)
STAMP_SECONDS = 24 * 3600
AWAY_SECONDS = 5


class Outage:
    """How long this process does not ask Redis after a failure, so that an outage delays few requests."""

    until = 0.0  # time.monotonic()


def stamp_key(user_id: UUID) -> str:
    return f"{settings.REDIS_PREFIX}:auth-stamp:{user_id}"


def remembered(session_id: UUID, user_id: UUID, look_up: Callable[[], Session]) -> Session:
    """The living session (with its user) as cached at most AUTH_CACHE_SECONDS ago, or else from `look_up`."""
    if not settings.AUTH_CACHE_SECONDS or time.monotonic() < Outage.until:
        return look_up()
    key = f"{settings.REDIS_PREFIX}:auth:{session_id}:{user_id}"
    try:
        kept, stamp = read(key, user_id)
    except redis.RedisError as error:
        Outage.until = time.monotonic() + AWAY_SECONDS
        logger.warning("sessions are not remembered for %s s: %s", AWAY_SECONDS, error)
        return look_up()
    if kept is not None and kept.expires_at > timezone.now():
        return kept
    session = look_up()
    if stamp:
        keep(key, stamp, session)
    return session


def read(key: str, user_id: UUID) -> tuple[Session | None, bytes]:
    """The cached value, if it is still valid, and the stamp with which a new one is to be kept; no stamp where
    another process was quicker.
    """
    values: Any = connection().mget(key, stamp_key(user_id))
    value, stamp = values
    if stamp is None:
        stamp = secrets.token_bytes(16)
        first = connection().set(stamp_key(user_id), stamp, nx=True, ex=STAMP_SECONDS)
        return None, stamp if first else b""
    if value is None:
        return None, stamp
    kept_stamp, session = pickle.loads(value)  # noqa: S301  (as Django's cache does: Redis is ours alone)
    return session if kept_stamp == stamp else None, stamp


def keep(key: str, stamp: bytes, session: Session) -> None:
    try:
        connection().set(key, pickle.dumps((stamp, session)), ex=settings.AUTH_CACHE_SECONDS)
    except redis.RedisError as error:
        logger.warning("session %s was not kept: %s", session.pk, error)


def forget(user_ids: Iterable[UUID]) -> None:
    """After the commit of the transaction at hand, nothing that was read of these users before is valid any more."""
    transaction.on_commit(functools.partial(throw_stamps_away, [stamp_key(user_id) for user_id in user_ids]))


def throw_stamps_away(keys: list[str]) -> None:
    try:
        if keys:
            connection().delete(*keys)
    except redis.RedisError as error:
        # Those who ask Redis do not reach it either; if they do, AUTH_CACHE_SECONDS is the bound.
        logger.warning("%s stamps were not thrown away: %s", len(keys), error)
