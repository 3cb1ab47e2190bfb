"""Ways to sign in."""

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import codes
from accounts.services.passwords import user_of_phone, verify_credentials
from accounts.services.sessions import open_session
from accounts.services.tokens import TokenPack
from common import limits


def log_in(*, identifier: str, password: str, device: str, ip: str) -> tuple[User, TokenPack]:
    """Sign in by username, phone or verified e-mail. Raises what `verify_credentials` does."""
    user = verify_credentials(identifier=identifier, password=password, ip=ip)
    _session, pack = open_session(user=user, device=device, ip=ip)
    return user, pack


def log_in_by_code(*, phone: str, code: str, device: str, ip: str) -> tuple[User, TokenPack]:
    """Sign in by a code that was sent to the phone. Nothing about users is told before the code is right.

    Raises CodeInvalid, RateLimited; PhoneNotRegistered, AccountBlocked: the code then stays usable.
    """
    limits.take(("login-ip", ip, settings.LOGIN_LIMIT))
    now = timezone.now()
    found = codes.count_guess(phone=phone, purposes=codes.FOR_SIGNING_IN, code=code, now=now)
    user = user_of_phone(phone)
    with transaction.atomic():
        codes.consume(found, now=now)
        _session, pack = open_session(user=user, device=device, ip=ip)
    return user, pack
