"""Counters in Redis that all processes share: fixed windows per name and subject."""

import ipaddress
from typing import cast

from django.conf import settings
from django.http import HttpRequest

from common.errors import RateLimited, rate_headers
from common.realtime import connection

# One script, so that counting and expiry are one step and a limit that refuses does not use up the others.
TAKE = """
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[2 * i - 1]) then
    return {math.max(redis.call('TTL', key), 1), i}
  end
end
local uses = tonumber(ARGV[2 * #KEYS + 1])
for i, key in ipairs(KEYS) do
  if redis.call('INCRBY', key, uses) == uses then redis.call('EXPIRE', key, ARGV[2 * i]) end
end
return {0, 0}
"""


GIVE_BACK = """
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 0 then redis.call('DECR', key) end
end
"""
Rule = tuple[str, str, tuple[int, int]]
"""Name, subject, (limit, seconds)."""


def key_of(rule: Rule) -> str:
    name, subject, _window = rule
    return f"{settings.REDIS_PREFIX}:limit:{name}:{counted_as(subject)}"


def take(*rules: Rule, uses: int = 1) -> None:
    """Count `uses` against every rule (name, subject, (limit, seconds)), provided each has one left; otherwise
    against none.

    An IPv6 address counts with its whole /64 network, which is what one subscriber gets. Raises RateLimited with
    `retry_after` in seconds and the `limit` that is reached.
    """
    keys = [key_of(rule) for rule in rules]
    arguments = [number for _name, _subject, rule in rules for number in rule]
    # redis-py cannot tell mypy what a script answers.
    wait, reached = cast(list[int], connection().eval(TAKE, len(keys), *keys, *arguments, uses))
    if wait:
        limit, _seconds = rules[reached - 1][2]
        raise RateLimited(retry_after=wait, limit=limit)


def give_back(*rules: Rule) -> None:
    """Take one use back from each rule, where it was counted without need."""
    connection().eval(GIVE_BACK, len(rules), *[key_of(rule) for rule in rules])


def headers_of(*rules: Rule) -> dict[str, str]:
    """The X-RateLimit headers of the rule with the fewest uses left; among equals, of the one that takes longest."""
    pipe = connection().pipeline(transaction=False)
    for rule in rules:
        pipe.get(key_of(rule))
        pipe.ttl(key_of(rule))
    answers = pipe.execute()
    left = []
    for (_name, _subject, (limit, seconds)), used, ttl in zip(
        rules, answers[::2], answers[1::2], strict=True
    ):
        left.append((max(limit - int(used or 0), 0), ttl if ttl >= 0 else seconds, limit))
    remaining, seconds, limit = min(left, key=lambda rule: (rule[0], -rule[1]))
    return rate_headers(limit, remaining, seconds)


def counted_as(subject: str) -> str:
    """The name under which `subject` is counted. Every caller goes through it, so that none forgets IPv6 networks."""
    if ":" not in subject:
        return subject
    try:
        return str(ipaddress.IPv6Network((subject, 64), strict=False))
    except ValueError:
        return subject


def client_ip(request: HttpRequest) -> str:
    """The client's address: the peer's own, or what the outermost of NUM_PROXIES trusted proxies saw.

    Empty where there is none, as behind a Unix socket.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if settings.NUM_PROXIES and forwarded:
        addresses = forwarded.split(",")
        if seen := plain_address(addresses[-min(settings.NUM_PROXIES, len(addresses))]):
            return seen
    return plain_address(str(request.META.get("REMOTE_ADDR", "")))


def plain_address(text: str) -> str:
    """`text` as an address that PostgreSQL takes too (no zone), or nothing.

    A socket that takes both families shows IPv4 clients as ::ffff:192.0.2.1.
    """
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)
