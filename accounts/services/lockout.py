"""Ten failed sign-ins within five minutes lock an account for the address they come from, even for the right
password.

An IPv6 address counts with its /64 network. The owner can still sign in from other addresses: a stranger who guesses
must not be able to lock the owner out.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.errors import LoginLocked
from accounts.models import AuditEvent, User
from accounts.services import audit
from common import limits
from common.realtime import connection

# Keeps the times of the last failures, newest first. One script, so that of many failures at once one locks.
FAIL = """
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local left = redis.call('TTL', KEYS[2])
if left ~= -2 then return {0, math.max(left, 1)} end
local now = tonumber(redis.call('TIME')[1])
redis.call('LPUSH', KEYS[1], now)
redis.call('LTRIM', KEYS[1], 0, limit - 1)
redis.call('EXPIRE', KEYS[1], window)
local oldest = redis.call('LINDEX', KEYS[1], limit - 1)
if not oldest or now - tonumber(oldest) >= window then return {0, 0} end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], 1, 'EX', ARGV[3])
return {1, 0}
"""


def account_of(user: User | None, identifier: str) -> str:
    """What failures are counted for: the user, or an unknown name, so that both lock alike."""
    # As `find_user` compares: were names counted in any case, a lock would tell which one somebody has.
    return f"user:{user.pk}" if user else f"name:{identifier.lower() if '@' in identifier else identifier}"


def keys(account: str, ip: str) -> tuple[str, str]:
    pair = f"{account}:{limits.counted_as(ip)}"
    return f"{settings.REDIS_PREFIX}:login-failures:{pair}", f"{settings.REDIS_PREFIX}:login-lock:{pair}"


def check(account: str, ip: str) -> None:
    """Raises LoginLocked with `retry_after` in seconds."""
    left: Any = connection().ttl(keys(account, ip)[1])
    if left != -2:  # there is no such key
        raise LoginLocked(retry_after=max(left, 1))


def count_failure(account: str, ip: str) -> bool:
    """Count a failed sign-in; whether it is the one that locks. Raises LoginLocked where another one has by now."""
    rule = (*settings.LOGIN_LOCK_FAILURES, settings.LOGIN_LOCK_SECONDS)
    answer: Any = connection().eval(FAIL, 2, *keys(account, ip), *rule)
    locks, left = answer
    if left:
        raise LoginLocked(retry_after=left)
    return bool(locks)


def clear(account: str, ip: str) -> None:
    """Forget the failures after a right password. Raises LoginLocked where others have locked meanwhile."""
    check(account, ip)
    connection().delete(keys(account, ip)[0])


def lift(account: str, ip: str) -> None:
    """Open the lock for a user who has proved in another way who they are."""
    connection().delete(*keys(account, ip))


def addresses_of(user: User) -> list[str]:
    """Addresses that recent wrong passwords came from, according to the audit log."""
    Action = AuditEvent.Action  # noqa: N806
    _failures, window = settings.LOGIN_LOCK_FAILURES
    since = timezone.now() - timedelta(seconds=window + settings.LOGIN_LOCK_SECONDS)
    failed = user.audit_events.filter(
        action__in=(Action.LOGIN_FAILED, Action.LOGIN_LOCKED), created_at__gte=since, ip__isnull=False
    )
    return sorted({ip for ip in failed.values_list("ip", flat=True) if ip})


def locked_addresses(user: User) -> dict[str, int]:
    """Addresses that are locked out for the user, and for how many seconds yet."""
    left = {ip: connection().ttl(keys(account_of(user, ""), ip)[1]) for ip in addresses_of(user)}
    return {ip: max(seconds, 1) for ip, seconds in left.items() if seconds != -2}


def lift_all(user: User, *, actor: User) -> int:
    """Open every lock of the user, for an operator who has identified them; returns how many addresses were locked."""
    locked, account = locked_addresses(user), account_of(user, "")
    for ip in addresses_of(user):
        lift(account, ip)
    audit.record(
        AuditEvent.Action.LOCK_LIFTED, user=user, actor=actor, target=user, after={"ips": list(locked)}
    )
    return len(locked)
