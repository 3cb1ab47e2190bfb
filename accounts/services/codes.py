"""Phone codes: sent, guessed, used up."""

import hmac
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from accounts import sms
from accounts.errors import CodeInvalid, SmsFailed
from accounts.models import PhoneCode
from common import limits

# Clients that name no purpose get a code for registering. It proves as much as one for signing in or for linking
# WeChat, so it serves there; who resets a password or changes a phone must have asked for just that.
FOR_REGISTERING = (PhoneCode.Purpose.REGISTER,)
FOR_SIGNING_IN = (PhoneCode.Purpose.LOGIN, PhoneCode.Purpose.REGISTER)
FOR_RESETTING_PASSWORD = (PhoneCode.Purpose.RESET_PASSWORD,)

KEPT = timedelta(days=1)
"""For operators whom somebody asks where their code is."""


def hash_of(phone: str, purpose: str, code: str) -> str:
    """Keyed hash: with a plain hash, whoever reads the table could try out all six-digit codes."""
    text = f"{purpose}:{phone}:{code}".encode()
    return hmac.new(settings.SECRET_KEY.encode(), text, "sha256").hexdigest()


def rules(phone: str, ip: str) -> list[limits.Rule]:
    """How often codes are sent: to a phone once a minute and five times an hour, for an address ten times an hour."""
    return [
        ("sms-phone-minute", phone, settings.SMS_LIMITS["phone_minute"]),
        ("sms-phone-hour", phone, settings.SMS_LIMITS["phone_hour"]),
        ("sms-ip-hour", ip, settings.SMS_LIMITS["ip_hour"]),
    ]


def send_code(*, phone: str, purpose: str, ip: str) -> None:
    """Send a fresh six-digit code; an earlier one for the same purpose is void from now on.

    Raises RateLimited (by `rules`, or by the provider's own) and SmsFailed.
    """
    minute, *hours = rules(phone, ip)
    limits.take(minute, *hours)
    code = f"{secrets.randbelow(10**6):06d}"
    fresh = {
        "code_hash": hash_of(phone, purpose, code),
        "guesses": 0,
        "expires_at": timezone.now() + settings.PHONE_CODE_LIFETIME,
    }
    PhoneCode.objects.update_or_create(phone=phone, purpose=purpose, consumed_at=None, defaults=fresh)
    try:
        sms.provider().send_code(phone, code)
    except SmsFailed:
        # Nobody has to wait a minute for what never came. The hours stay counted: the provider was asked, and where
        # it was too slow to answer it may have sent the message, which somebody pays for and somebody else gets.
        limits.give_back(minute)
        raise


def count_guess(*, phone: str, purposes: tuple[str, ...], code: str, now: datetime) -> PhoneCode:
    """The open code for one of `purposes` that `code` matches.

    A guess is counted before it is compared, and uncounted when it was right. Call this outside of the transaction
    that uses the code up (`consume`), so that a wrong guess stays counted. Raises CodeInvalid.
    """
    for purpose in purposes:
        if found := guessed(phone=phone, purpose=purpose, code=code, now=now):
            return found
    raise CodeInvalid


def guessed(*, phone: str, purpose: str, code: str, now: datetime) -> PhoneCode | None:
    open_codes = PhoneCode.objects.filter(phone=phone, purpose=purpose, consumed_at__isnull=True)
    counted = open_codes.filter(expires_at__gt=now, guesses__lt=settings.PHONE_CODE_MAX_GUESSES).update(
        guesses=F("guesses") + 1
    )
    found = open_codes.first() if counted else None
    if found is None or not hmac.compare_digest(found.code_hash, hash_of(phone, purpose, code)):
        return None
    PhoneCode.objects.filter(pk=found.pk, code_hash=found.code_hash).update(guesses=F("guesses") - 1)
    return found


def consume(found: PhoneCode, *, now: datetime) -> None:
    """Use the code up, inside the transaction of what it allows. Raises CodeInvalid for the second of two racers."""
    open_code = PhoneCode.objects.filter(pk=found.pk, consumed_at__isnull=True, code_hash=found.code_hash)
    if not open_code.update(consumed_at=now):
        raise CodeInvalid


def purge(*, now: datetime) -> int:
    """Delete codes that expired a day ago or earlier; returns how many."""
    deleted, _by_model = PhoneCode.objects.filter(expires_at__lt=now - KEPT).delete()
    return deleted
