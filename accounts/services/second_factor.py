"""The second factor of operators: a program on a telephone that shows codes (TOTP), and recovery codes besides."""

import base64
import hashlib
import secrets
from typing import Any

import pyotp
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.errors import CodeInvalid
from accounts.models import AuditEvent, SecondFactor, User
from accounts.services import audit
from common import limits
from common.ids import digest

RECOVERY_CODES = 10
DRIFT = (0, -1, 1)
"""Half minutes by which a telephone's clock may be wrong."""


def ciphers() -> MultiFernet:
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    derived = (hashlib.sha256(f"accounts.second-factor:{key}".encode()).digest() for key in map(str, keys))
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])


def totp_of(factor: SecondFactor) -> pyotp.TOTP:
    return pyotp.TOTP(ciphers().decrypt(factor.secret.encode()).decode())


def confirmed_factor(user: User) -> SecondFactor | None:
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).first()


PASSED = "second_factor"


def is_passed(session: Any, user: User) -> bool:
    """Whether the operator of `session` has entered everything that is asked for."""
    factor = confirmed_factor(user)
    if factor is None:
        return not settings.STAFF_SECOND_FACTOR
    return bool(session.get(PASSED) == str(factor.pk))


def begin(user: User) -> SecondFactor:
    """The factor that the user is setting up; its secret stays the same until it is confirmed.

    Raises CodeInvalid where one is confirmed: only an operator who may change others can remove it.
    """
    sealed = ciphers().encrypt(pyotp.random_base32().encode()).decode()
    factor, _made = SecondFactor.objects.get_or_create(user=user, defaults={"secret": sealed})
    if factor.confirmed_at:
        raise CodeInvalid
    return factor


def address_of(factor: SecondFactor) -> str:
    """What the telephone reads from the QR code (otpauth://)."""
    return totp_of(factor).provisioning_uri(name=factor.user.username, issuer_name="Yuntu")


def secret_of(factor: SecondFactor) -> str:
    """The same for typing, while it is being set up."""
    return totp_of(factor).secret


def confirm(*, user: User, code: str) -> list[str]:
    """The right code was entered: from now on a code is asked for. Returns the recovery codes, which are told only
    now.

    Raises CodeInvalid, RateLimited.
    """
    codes = [f"{secrets.token_hex(4)}-{secrets.token_hex(4)}" for _number in range(RECOVERY_CODES)]
    take_turn(user)
    with transaction.atomic():
        unconfirmed = SecondFactor.objects.select_for_update().filter(user=user, confirmed_at__isnull=True)
        factor = unconfirmed.first()
        step = factor and matching_step(factor, code)
        if not factor or not step:
            raise CodeInvalid
        factor.confirmed_at, factor.last_step = timezone.now(), step
        factor.recovery_hashes = [digest(recovery) for recovery in codes]
        factor.save()
        audit.record(AuditEvent.Action.SECOND_FACTOR_SET, user=user, actor=user, target=user)
    return codes


def verify(*, user: User, code: str) -> SecondFactor:
    """Accept a code of the telephone, or a recovery code, each of them once. Raises CodeInvalid, RateLimited."""
    take_turn(user)
    code = code.strip().lower().replace(" ", "")
    with transaction.atomic():
        # Locked, so that of two who send the same code at once one is refused.
        confirmed = SecondFactor.objects.select_for_update().filter(user=user, confirmed_at__isnull=False)
        factor = confirmed.first()
        if factor and (use_step(factor, code) or use_recovery(factor, code)):
            return factor
    audit.record(AuditEvent.Action.SECOND_FACTOR_FAILED, user=user)
    raise CodeInvalid


def take_turn(user: User) -> None:
    limits.take(("second-factor", str(user.pk), settings.SECOND_FACTOR_LIMIT))


def matching_step(factor: SecondFactor, code: str) -> int:
    """The half minute of this code, if it comes after the last accepted one; 0 where there is none."""
    totp, now = totp_of(factor), int(timezone.now().timestamp()) // 30
    steps = [now + drift for drift in DRIFT if now + drift > factor.last_step]
    return next((step for step in steps if constant_time_compare(totp.generate_otp(step), code)), 0)


def use_step(factor: SecondFactor, code: str) -> bool:
    step = matching_step(factor, code)
    if step:
        factor.last_step = step
        factor.save(update_fields=["last_step", "updated_at"])
    return bool(step)


def use_recovery(factor: SecondFactor, code: str) -> bool:
    used = digest(code)
    if used not in factor.recovery_hashes:
        return False
    factor.recovery_hashes = [kept for kept in factor.recovery_hashes if kept != used]
    factor.save(update_fields=["recovery_hashes", "updated_at"])
    return True


def remove(*, user: User, actor: User) -> bool:
    """Remove the second factor; returns whether there was one."""
    with transaction.atomic():
        removed, _by_model = SecondFactor.objects.filter(user=user).delete()
        if removed:
            audit.record(AuditEvent.Action.SECOND_FACTOR_REMOVED, user=user, actor=actor, target=user)
    return bool(removed)
