"""News for people: a channel-layer group for each user, and a capped Redis stream to catch up from.

An event is `{"event": name, "data": {...}, "revision": id}`. The revision is the id of the event in the user's
stream; a client that comes back with `?since=<revision>` gets what it missed. The API stays the truth: a lost event
costs a redraw, never data.
"""

import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

import redis
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, transaction
from django.utils import timezone
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)
STREAM_LENGTH = 1000
STREAM_SECONDS = 24 * 3600
# One script, so that sockets get the events of a user in the order of their revisions: they drop what is older than
# what they have. The message is that of the channel layer's group_send (msgpack).
PUBLISH = """
local revision = redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[3], '*', 'event', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[2], cmsgpack.pack({type = 'news', text = ARGV[1], revision = revision}))
"""
CALL = "return redis.call('PUBLISH', ARGV[1], cmsgpack.pack({type = ARGV[2]}))"

NOW, LATER = 1, 2
WORD_MILLISECONDS = 5000
MAX_ASIDE, ASIDE_SECONDS = 200, 3600
# A caller whose turn it is tells at once, for words that wait as well. In between, the first caller is asked to tell
# later, for all that come after it.
SPEAK = """
if redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[2]) then
  redis.call('DEL', KEYS[2])
  return 1
end
local waits = redis.call('EXISTS', KEYS[2])
redis.call('SET', KEYS[2], ARGV[1], 'KEEPTTL')
if waits == 1 then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 2
"""
# How many milliseconds to wait; or 0, and the word if the turn has come.
HEAR = """
local word = redis.call('GET', KEYS[2])
if not word then return {0, false} end
if redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then
  redis.call('DEL', KEYS[2])
  return {0, word}
end
return {math.max(redis.call('PTTL', KEYS[1]), 0) + 2, false}
"""
# Take the turn (-1). Otherwise answer how much of the rest is left; where there is none, it begins.
REST = """
if redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then return -1 end
if redis.call('SET', KEYS[2], 1, 'NX', 'PX', ARGV[2]) then return ARGV[2] end
return redis.call('PTTL', KEYS[2])
"""
RAISE = """
local mark = tonumber(redis.call('GET', KEYS[1]) or 0)
if tonumber(ARGV[1]) <= mark then return tostring(mark) end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ARGV[1]
"""


@functools.cache
def connection() -> redis.Redis:
    """The process's pool of Redis connections. (async_to_sync(group_send) would open a connection at each call.)"""
    # redis-py would retry for seconds by itself, which is too long for a publisher while Redis is away.
    retry = Retry(ExponentialBackoff(cap=0.2, base=0.05), 2)
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=10, socket_connect_timeout=5, retry=retry)


def group_of(user_id: UUID) -> str:
    return f"user.{user_id}"


def channel_of(user_id: UUID) -> str:
    return f"{settings.CHANNEL_PREFIX}__group__{group_of(user_id)}"


def stream_of(user_id: UUID) -> str:
    return f"{settings.REDIS_PREFIX}:events:{user_id}"


def publish(user_id: UUID, event: str, data: dict[str, Any]) -> None:
    """Send `event` to every open socket of the user and keep it for sockets that come back.

    `data` gets a `timestamp` (ISO 8601, UTC). While Redis is away the news are lost, but the caller goes on.
    """
    body = {"timestamp": timezone.now(), **data}
    text = json.dumps({"event": event, "data": body}, cls=DjangoJSONEncoder, ensure_ascii=False)
    try:
        connection().eval(
            PUBLISH, 1, stream_of(user_id), text, channel_of(user_id), STREAM_LENGTH, STREAM_SECONDS
        )
    except redis.RedisError:
        logger.warning("event %s for user %s was not sent", event, user_id, exc_info=True)


def publish_on_commit(user_id: UUID, event: str, data: dict[str, Any]) -> None:
    """`publish` once the transaction at hand is committed; at once where there is none."""
    transaction.on_commit(functools.partial(publish, user_id, event, data))


def call_sockets_on_commit(user_id: UUID, handler: str) -> None:
    """After the commit let every open socket of the user run `handler`. Nothing is kept for sockets that come later."""
    transaction.on_commit(functools.partial(call_sockets, user_id, handler))


def call_sockets(user_id: UUID, handler: str) -> None:
    try:
        connection().eval(CALL, 0, channel_of(user_id), handler)
    except redis.RedisError:
        logger.warning("the sockets of user %s were not called", user_id, exc_info=True)


def missed(user_id: UUID, since: str) -> list[tuple[str, str]] | None:
    """Events after revision `since` as (revision, text), oldest first.

    None where some of them are gone or `since` is no revision: the client then has to read everything again.
    """
    try:
        # redis-py cannot tell mypy that this connection answers bytes.
        entries: Any = connection().xrange(stream_of(user_id), min=since)
    except redis.ResponseError:
        return None
    if not entries or entries[0][0].decode() != since:
        return None
    return [(entry_id.decode(), fields[b"event"].decode()) for entry_id, fields in entries[1:]]


def take_turn(subject: str, seconds: float = 0.5) -> bool:
    """Whether news of `subject` may be sent now: at most once in `seconds`, over all processes. Never without Redis."""
    key = f"{settings.REDIS_PREFIX}:turn:{subject}"
    try:
        return bool(connection().set(key, 1, nx=True, px=int(seconds * 1000)))
    except redis.RedisError:
        return False


def rest_of_turn(subject: str, seconds: float, rest_seconds: float) -> float | None:
    """None where news of `subject` may be sent now (at most once in `seconds`); otherwise how long to wait, in
    seconds.

    The first caller that is refused starts a rest and gets all of `rest_seconds`. That caller has to see to it that
    the news is sent when its wait is over, and then to end the rest (`end_turn` of `<subject>:rest`). 0 without
    Redis.
    """
    keys = [f"{settings.REDIS_PREFIX}:turn:{name}" for name in (subject, f"{subject}:rest")]
    try:
        left: Any = connection().eval(REST, 2, *keys, int(seconds * 1000), int(rest_seconds * 1000))
    except redis.RedisError:
        return 0
    return None if int(left) < 0 else int(left) / 1000


def tell_at_turns(subject: str, word: str, tell: Callable[[str], None], seconds: float = 0.5) -> None:
    """Call `tell(word)` at most once in `seconds` over all processes, and once more after the last word of a burst.

    It is called now, or later from another thread with the latest word that any process had; so `tell` reads the
    state that it tells of. Words are lost with Redis, and the last one with the process that was to tell it.
    """
    keys = (f"{settings.REDIS_PREFIX}:turn:{subject}", f"{settings.REDIS_PREFIX}:word:{subject}")
    milliseconds = int(seconds * 1000)
    try:
        answer: Any = connection().eval(SPEAK, 2, *keys, word, milliseconds, WORD_MILLISECONDS)
    except redis.RedisError:
        return
    if answer == NOW:
        tell(word)
    elif answer == LATER:
        thread = threading.Thread(
            target=tell_later, args=(keys, milliseconds, tell), name=f"last-word-{subject}", daemon=True
        )
        thread.start()


def tell_later(keys: tuple[str, str], milliseconds: int, tell: Callable[[str], None]) -> None:
    """Wait for the next turn and tell the latest word, unless another process has."""
    try:
        while True:
            wait, word = cast(list[Any], connection().eval(HEAR, 2, *keys, milliseconds))
            if word:
                tell(word.decode())
            if not wait:
                return
            time.sleep(wait / 1000)
    except redis.RedisError:
        logger.warning("the last word of %s was not told", keys[1], exc_info=True)
    finally:
        connections.close_all()


def put_aside(subject: str, items: Sequence[str]) -> None:
    """Collect small news until somebody takes all of them: the latest is kept, and how many there were."""
    kept, count = aside_keys(subject)
    with suppress(redis.RedisError), connection().pipeline() as pipe:
        pipe.rpush(kept, *items)
        pipe.ltrim(kept, -MAX_ASIDE, -1)
        pipe.incrby(count, len(items))
        for key in (kept, count):
            pipe.expire(key, ASIDE_SECONDS)
        pipe.execute()


def take_aside(subject: str) -> tuple[int, list[str]]:
    """How many were put aside, and the latest of them; they are gone then."""
    kept, count = aside_keys(subject)
    try:
        with connection().pipeline() as pipe:
            pipe.lrange(kept, 0, -1)
            pipe.get(count)
            pipe.delete(kept, count)
            items, number, _deleted = pipe.execute()
    except redis.RedisError:
        return 0, []
    return int(number or 0), [item.decode() for item in items]


def aside_keys(subject: str) -> tuple[str, str]:
    return f"{settings.REDIS_PREFIX}:aside:{subject}", f"{settings.REDIS_PREFIX}:aside-count:{subject}"


def high_water(subject: str, value: float) -> float:
    """The highest value so far, over all processes, of what must not be seen to go back; `value` itself without
    Redis.
    """
    try:
        answer: Any = connection().eval(RAISE, 1, high_water_key(subject), value, STREAM_SECONDS)
        return float(answer)
    except redis.RedisError:
        return value


def lower_water(subject: str) -> None:
    """Let it start anew."""
    with suppress(redis.RedisError):
        connection().delete(high_water_key(subject))


def high_water_key(subject: str) -> str:
    return f"{settings.REDIS_PREFIX}:high:{subject}"


def end_turn(subject: str) -> None:
    """Let the next caller of `take_turn` have its turn at once."""
    with suppress(redis.RedisError):
        connection().delete(f"{settings.REDIS_PREFIX}:turn:{subject}")
