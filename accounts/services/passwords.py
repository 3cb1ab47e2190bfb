"""Passwords: compared, changed, reset."""

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.utils.translation import gettext_noop

from accounts.errors import Busy, WrongCredentials
from accounts.models import AuditEvent, Notification, User
from accounts.services import audit, lockout
from accounts.services.notifications import notify
from common import limits

NOBODYS_HASH = "!"
"""Django computes one hash for it, which matches nothing: an unknown user costs the time of a known one."""


def find_user(identifier: str) -> User | None:
    """The user whose phone (digits), verified e-mail or username this is."""
    if identifier.isdigit():
        return User.objects.filter(phone=identifier).first()
    if "@" in identifier:
        return User.objects.filter(email__iexact=identifier, email_verified_at__isnull=False).first()
    return User.objects.filter(username=identifier).first()


def verify_credentials(*, identifier: str, password: str, ip: str) -> User:
    """The active user whom `identifier` (username, phone or verified e-mail) and `password` name.

    The one way in by password: API, admin and the linking of accounts. Failures are counted and recorded; ten in five
    minutes lock the account for this address. Nothing tells whether the account or the password was wrong.
    Raises WrongCredentials, LoginLocked, RateLimited, Busy.
    """
    limits.take(
        ("login-ip", ip, settings.LOGIN_LIMIT),
        ("login-account", identifier.lower(), settings.LOGIN_LIMIT),
    )
    user = find_user(identifier)
    account = lockout.account_of(user, identifier)
    lockout.check(account, ip)
    if not matches(user, password) or user is None or not user.is_active:
        note_failure(user, account, ip)
        raise WrongCredentials
    lockout.clear(account, ip)
    return user


def matches(user: User | None, password: str) -> bool:
    """Compare at the same cost whether or not the user exists and has a password, so that time does not tell.

    A hash of the old service is replaced by one of today's. Raises Busy.
    """
    if user is None:
        return check_password(password, NOBODYS_HASH)

    def upgrade(raw: str) -> None:
        try:
            better = make_password(raw)
        except Busy:
            return  # the next sign-in will do
        # Conditional: a password that is changed at this moment stays changed.
        if User.objects.filter(pk=user.pk, password=user.password).update(password=better):
            user.password = better

    return check_password(password, user.password, upgrade)


def note_failure(user: User | None, account: str, ip: str) -> None:
    """Count and record a wrong password; tell the user once when that locks. Raises LoginLocked."""
    locked = lockout.count_failure(account, ip)
    with transaction.atomic():
        audit.record(AuditEvent.Action.LOGIN_FAILED, user=user)
        if not locked:
            return
        audit.record(AuditEvent.Action.LOGIN_LOCKED, user=user)
        if user is not None:
            notify(
                user=user,
                title=gettext_noop("Sign-in locked"),
                message=gettext_noop(
                    "Too many wrong passwords from %(ip)s: that address is locked out for %(minutes)s minutes. "
                    "If it was not you, change your password."
                ),
                level=Notification.Level.WARNING,
                params={"ip": ip, "minutes": settings.LOGIN_LOCK_SECONDS // 60},
            )
