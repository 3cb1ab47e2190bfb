"""The phone of a signed-in user."""

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.models import AuditEvent, Notification, PhoneCode, User
from accounts.models.users import masked
from accounts.services import codes
from accounts.services.audit import record
from accounts.services.notifications import PROFILE, notify
from accounts.services.registration import taken
from accounts.signals import phone_bound
from common import limits


def bind_phone(*, user: User, phone: str, code: str, ip: str) -> User:
    """Give the user this phone in place of the one they had; a guest is none any more. Sessions go on.

    Raises CodeInvalid, PhoneTaken, RateLimited.
    """
    limits.take(
        ("phone-bind-ip", ip, settings.WECHAT_LIMITS["bind"]),
        ("phone-bind-user", str(user.pk), settings.WECHAT_LIMITS["phone"]),
    )
    now = timezone.now()
    purposes = (PhoneCode.Purpose.BIND_PHONE,)
    found = codes.count_guess(phone=phone, purposes=purposes, code=code, now=now)
    try:
        with transaction.atomic():
            codes.consume(found, now=now)
            # Money moves before the phone does: whoever has the wallet in hand may still tell the user of it, and a
            # row that points to a user waits while a column is changed that is unique.
            mine = User.objects.select_for_update(of=("self",), no_key=True).get(pk=user.pk)
            before = mine.phone
            changes = {"phone": phone, "is_guest": False, "updated_at": now}
            # A username of digits is the user's own phone, so it moves along.
            if mine.username.isdigit():
                changes["username"] = phone
            tell(mine, before, phone)
            mine.phone = phone
            phone_bound.send(sender=User, user=mine, was_guest=mine.is_guest)
            User.objects.filter(pk=mine.pk).update(**changes)
    except IntegrityError as error:
        raise taken(error) from error
    user.refresh_from_db()
    return user


def tell(user: User, before: str | None, after: str) -> None:
    record(
        AuditEvent.Action.PHONE_BOUND,
        user=user,
        actor=user,
        target=user,
        before={"phone": masked(before)},
        after={"phone": masked(after)},
    )
    if before and before != after:
        notify(
            user=user,
            title=gettext_noop("Phone number changed"),
            message=gettext_noop(
                "You now sign in with %(phone)s. If it was not you, contact the operators at once."
            ),
            level=Notification.Level.WARNING,
            action_url=PROFILE,
            params={"phone": masked(after)},
        )
