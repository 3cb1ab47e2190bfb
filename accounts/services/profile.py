"""What users change about themselves."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.errors import EmailTaken, UsernameTaken
from accounts.models import AuditEvent, User
from accounts.services import audit, avatars, emails
from accounts.services.phones import bind_phone
from accounts.services.registration import taken
from common.errors import Invalid


@dataclass(frozen=True)
class NewProfile:
    """What is asked for. None leaves a value as it is; an empty e-mail or avatar takes the present one away."""

    username: str | None = None
    email: str | None = None
    phone: str | None = None
    verification_code: str = ""
    avatar: str | None = None


def update_profile(*, user: User, new: NewProfile, ip: str, site: str) -> User:
    """Change what differs; returns the user as stored. `site` is scheme and host for the link in a mail.

    Everything that may be refused is checked before anything is changed. The phone is changed first, since a username
    of digits must be the phone. Raises Invalid, CodeInvalid, UsernameTaken, PhoneTaken, EmailTaken, RateLimited.
    """
    mine = User.objects.get(pk=user.pk)  # the user at hand may be a remembered one
    email = None if new.email is None or new.email == (mine.email or "") else new.email
    phone = None if new.phone is None or new.phone == (mine.phone or "") else new.phone
    username = None if new.username in (None, mine.username) else new.username
    check(mine, new, username=username, email=email, phone=phone)
    if email:
        emails.take_turn(mine, ip)
    if phone:
        mine = bind_phone(user=mine, phone=phone, code=new.verification_code, ip=ip)
    if username and username != mine.username:  # one of digits has followed the phone
        rename(mine, username)
    if email is not None:
        emails.change_email(user=mine, address=email, site=site)
    if new.avatar == "":
        avatars.remove_avatar(user=mine)
    return User.objects.get(pk=mine.pk)


def check(mine: User, new: NewProfile, *, username: str | None, email: str | None, phone: str | None) -> None:
    """Raises Invalid, UsernameTaken, EmailTaken. Whether others hold a value is finally decided by the database."""
    if phone == "":
        raise Invalid(_("A phone number can be changed, not taken away."), field="phone")
    if phone and not new.verification_code:
        raise Invalid(
            _("A verification code sent to the new phone number is needed."), field="verification_code"
        )
    if username and username.isdigit() and username != (phone or mine.phone):
        raise Invalid(_("A username of digits must be your own phone number."), field="username")
    if new.avatar and urlsplit(new.avatar).path != (mine.avatar.url if mine.avatar else ""):
        raise Invalid(_("Send a picture to /users/me/avatar; an address is not taken."), field="avatar")
    others = User.objects.exclude(pk=mine.pk)
    if username and others.filter(username=username).exists():
        raise UsernameTaken
    if email and others.filter(email__iexact=email, email_verified_at__isnull=False).exists():
        raise EmailTaken


def rename(user: User, username: str) -> None:
    try:
        with transaction.atomic():
            mine = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
            User.objects.filter(pk=mine.pk).update(username=username, updated_at=timezone.now())
            audit.record(
                AuditEvent.Action.PROFILE_CHANGED,
                user=user,
                actor=user,
                target=user,
                # One of digits is a phone, and the audit log is never purged.
                before={"username": mine.public_name},
                after={"username": User(username=username).public_name},
            )
    except IntegrityError as error:
        raise taken(error) from error
