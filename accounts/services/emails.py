"""E-mail addresses: stored when they are claimed, usable for signing in once a mailed link was opened."""

import logging
from datetime import timedelta
from smtplib import SMTPException
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.errors import EmailLinkInvalid, MailFailed
from accounts.models import AuditEvent, Notification, User
from accounts.services import audit
from accounts.services.notifications import PROFILE, notify
from accounts.services.registration import taken
from common import limits
from common.ids import as_uuid

logger = logging.getLogger(__name__)
SALT = "accounts.email"
LINK_LIFE = timedelta(hours=24)


def change_email(*, user: User, address: str, site: str) -> None:
    """Store another address, unproved, and mail a link to it (see `take_turn`); an empty one takes the present away.

    `site` is scheme and host that the link begins with. An unproved claim of somebody else gives way: only who proves
    an address holds it. Raises EmailTaken (proved by another).
    """
    try:
        with transaction.atomic():
            store(user, address or None)
    except IntegrityError as error:
        raise taken(error) from error
    if not address:
        return
    try:
        send_link(User.objects.get(pk=user.pk), site)
    except MailFailed:
        # The address is stored, and the user can ask for the link again.
        logger.warning("the link for user %s was not mailed", user.pk, exc_info=True)


def masked(address: str | None) -> str:
    """`lin@example.com` as `l***@example.com`: the audit log is never purged."""
    return f"{address[:1]}***@{address.rpartition('@')[2]}" if address else ""


def store(user: User, address: str | None) -> None:
    concerned = Q(pk=user.pk)
    if address:
        concerned |= Q(email__iexact=address, email_verified_at__isnull=True)
    locked = User.objects.filter(concerned).select_for_update(of=("self",)).order_by("pk")
    rows = {row.pk: row for row in locked}
    before = rows.pop(user.pk)
    now = timezone.now()
    User.objects.filter(pk__in=list(rows)).update(email=None, updated_at=now)
    User.objects.filter(pk=user.pk).update(email=address, email_verified_at=None, updated_at=now)
    audit.record(
        AuditEvent.Action.EMAIL_CHANGED,
        user=user,
        actor=user,
        target=user,
        before={"email": masked(before.email), "verified": before.email_verified_at is not None},
        after={"email": masked(address), "verified": False},
    )
    if before.email_verified_at:
        notify(
            user=user,
            title=gettext_noop("E-mail address changed"),
            message=gettext_noop(
                "%(email)s no longer belongs to your account. If it was not you, contact the operators at once."
            ),
            level=Notification.Level.WARNING,
            action_url=PROFILE,
            params={"email": before.email or ""},
        )


def resend_link(*, user: User, ip: str, site: str) -> None:
    """Mail the link again; without an address to prove nothing happens. Raises RateLimited, MailFailed."""
    mine = User.objects.get(pk=user.pk)
    if mine.email and not mine.email_verified_at:
        take_turn(mine, ip)
        send_link(mine, site)


def take_turn(user: User, ip: str) -> None:
    """Limits mails, so that nobody's mailbox can be flooded through us. Raises RateLimited."""
    limits.take(
        ("email-user", str(user.pk), settings.EMAIL_LIMITS["user"]),
        ("email-ip", ip, settings.EMAIL_LIMITS["ip"]),
    )


def send_link(user: User, site: str) -> None:
    """Outside of transactions: the mail server may take its time. Raises MailFailed."""
    token = signing.dumps([user.pk.hex, user.email], salt=SALT)
    text = _(
        "Open this link to confirm that %(email)s is the address of the account %(username)s:\n\n%(link)s\n\n"
        "It is good for %(hours)s hours. If you know nothing of it, do nothing."
    ) % {
        "email": user.email,
        "username": user.username,
        "link": f"{site.rstrip('/')}/verify-email?token={quote(token)}",
        "hours": int(LINK_LIFE.total_seconds() // 3600),
    }
    try:
        send_mail(_("Confirm your e-mail address"), text, None, [str(user.email)])
    except (SMTPException, OSError) as error:
        raise MailFailed from error


def read_link(token: str) -> tuple[UUID, str]:
    """User and address of a mailed link. Raises EmailLinkInvalid."""
    try:
        raw_id, address = signing.loads(token, salt=SALT, max_age=LINK_LIFE)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise EmailLinkInvalid from error
    user_id = as_uuid(raw_id)
    if user_id is None:
        raise EmailLinkInvalid
    return user_id, str(address)


def user_of_link(token: str) -> User:
    """The user whose present address the link names. Raises EmailLinkInvalid."""
    user_id, address = read_link(token)
    user = User.objects.filter(pk=user_id, email=address, is_active=True).first()
    if user is None:
        raise EmailLinkInvalid
    return user


def verify(*, token: str, user: User | None = None) -> User:
    """Take the address as proved, if it still is the user's. A second time is no error.

    `user` is who is signed in: the link has to be theirs. Raises EmailLinkInvalid.
    """
    user_id, address = read_link(token)
    if user is not None and user.pk != user_id:
        raise EmailLinkInvalid
    now = timezone.now()
    with transaction.atomic():
        holder = User.objects.filter(pk=user_id, email=address, is_active=True)
        proved = holder.filter(email_verified_at__isnull=True).update(email_verified_at=now, updated_at=now)
        mine = holder.first()
        if mine is None:
            raise EmailLinkInvalid
        if proved:
            audit.record(
                AuditEvent.Action.EMAIL_CHANGED,
                user=mine,
                actor=mine,
                target=mine,
                before={"email": masked(address), "verified": False},
                after={"email": masked(address), "verified": True},
            )
    return mine
