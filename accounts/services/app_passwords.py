"""Passwords of programs that cannot sign in as people do: network drives speak Basic authentication."""

import base64
import binascii
import secrets
import string
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.errors import TooManyAppPasswords, WrongCredentials
from accounts.models import AppPassword, Session, User
from accounts.services.sessions import living_session
from common import limits
from common.compiled import Compiled
from common.errors import Unauthorized
from common.ids import digest

MAX_APP_PASSWORDS = 50
ALPHABET = string.ascii_letters + string.digits  # nothing that a command line takes for an option
LENGTH = 32
USED_EVERY = timedelta(minutes=1)
LIVING = Compiled(
    lambda secret_hash, username: AppPassword.objects.filter(
        revoked_at__isnull=True,
        user__is_active=True,
        user__is_guest=False,
        user__username=username,
        secret_hash=secret_hash,
    ).select_related("user"),
    secret_hash="digest",  # noqa: S106
    username="username",
)


def create(*, user: User, name: str, session: Session | None = None) -> tuple[AppPassword, str]:
    """A new app password and its secret, which cannot be told again.

    `session` is the one that asks: if a change of password is ending it at this moment, no app password made by it
    may remain. Raises TooManyAppPasswords, TokenInvalid.
    """
    secret = "".join(secrets.choice(ALPHABET) for _place in range(LENGTH))
    with transaction.atomic():
        User.objects.select_for_update(of=("self",), no_key=True).filter(pk=user.pk).first()
        if session:
            living_session(session.pk, user.pk)
        if AppPassword.objects.visible_to(user).count() >= MAX_APP_PASSWORDS:
            raise TooManyAppPasswords(limit=MAX_APP_PASSWORDS)
        return AppPassword.objects.create(user=user, name=name, secret_hash=digest(secret)), secret


def revoke(*, app_password: AppPassword) -> None:
    """The app password is refused from the next request on. Doing it twice is no error."""
    now = timezone.now()
    living = AppPassword.objects.filter(pk=app_password.pk, revoked_at__isnull=True)
    living.update(revoked_at=now, updated_at=now)


def revoke_all(*, users: Collection[UUID]) -> None:
    """Revoke all app passwords of the users: whoever knew the password of an account may have made one."""
    now = timezone.now()
    AppPassword.objects.filter(user__in=users, revoked_at__isnull=True).update(revoked_at=now, updated_at=now)


def basic_credentials(header: str) -> tuple[str, str]:
    """Username and password of an Authorization header. Raises Unauthorized where it has none."""
    scheme, _space, value = header.partition(" ")
    try:
        username, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise Unauthorized from error
    if scheme.lower() != "basic" or not colon:
        raise Unauthorized
    return username, password


def authenticate(*, username: str, password: str, ip: str) -> AppPassword:
    """The app password with its user. Raises WrongCredentials, RateLimited.

    One query by a unique index checks password, user and blocking at once, so nothing is cached that could be out of
    date. Only wrong passwords count against the limits: 190 random bits cannot be guessed, and a stranger who tries
    must not lock the owner out.
    """
    now = timezone.now()
    found: AppPassword | None = LIVING.first(
        secret_hash=digest(password), username=username.replace("\0", "")
    )
    if found is None:
        rules = settings.APP_PASSWORD_LIMITS
        limits.take(("app-password-ip", ip, rules["ip"]), ("app-password-user", username, rules["user"]))
        raise WrongCredentials
    unused = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USED_EVERY)
    if found.last_used_at is None or found.last_used_at < now - USED_EVERY:
        AppPassword.objects.filter(unused, pk=found.pk).update(last_used_at=now)
    return found
