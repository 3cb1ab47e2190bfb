"""Passwords: compared, changed, reset."""

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.errors import AccountBlocked, Busy, PhoneNotRegistered, WrongCredentials, WrongPassword
from accounts.models import AuditEvent, Notification, Session, User
from accounts.services import app_passwords, audit, codes, lockout
from accounts.services.notifications import SECURITY, notify
from accounts.services.sessions import End, end_sessions
from common import limits
from common.errors import Invalid

NOBODYS_HASH = "!"
"""Matches nothing, but takes Django the time of one hash: an unknown user costs the same as a known one."""


def check_rules(password: str, user: User, *, field: str = "password") -> None:
    """Raises Invalid with the validators' words."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), field=field) from error


def find_user(identifier: str) -> User | None:
    """The user whose phone (digits), verified e-mail or username this is."""
    if identifier.isdigit():
        return User.objects.filter(phone=identifier).first()
    if "@" in identifier:
        return User.objects.filter(email__iexact=identifier, email_verified_at__isnull=False).first()
    return User.objects.filter(username=identifier).first()


def user_of_phone(phone: str) -> User:
    """The user with a phone that the caller has proved to hold. Raises PhoneNotRegistered, AccountBlocked."""
    user = User.objects.filter(phone=phone).first()
    if user is None:
        raise PhoneNotRegistered
    if not user.is_active:
        raise AccountBlocked
    return user


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
    if not guess(user, password, account=lockout.account_of(user, identifier), ip=ip) or user is None:
        raise WrongCredentials
    return user


def guess(user: User | None, password: str, *, account: str, ip: str) -> bool:
    """Whether this is the password of an active user. A wrong one is counted, recorded, and finally locks the
    account.

    Raises LoginLocked, Busy.
    """
    lockout.check(account, ip)
    if matches(user, password) and user is not None and user.is_active:
        lockout.clear(account, ip)
        return True
    note_failure(user, account, ip)
    return False


def matches(user: User | None, password: str) -> bool:
    """Compare at the same cost whether or not the user exists and has a password, so that the time reveals nothing.

    A hash of the old service is replaced by a current one. Raises Busy.
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
            return
        stored = User.objects.values_list("password", flat=True).get(pk=user.pk)
        if check_password(raw, stored):  # another sign-in has replaced the hash, of the same password
            user.password = stored

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
                action_url=SECURITY,
                params={"ip": ip, "minutes": settings.LOGIN_LOCK_SECONDS // 60},
            )


def change(*, user: User, session: Session, old_password: str, new_password: str, ip: str) -> None:
    """Change the password of who is signed in by `session`; all other sessions and all app passwords end at once.

    Raises Invalid (rules, or the same password), WrongPassword, LoginLocked, RateLimited, Busy.
    """
    if new_password == old_password:
        raise Invalid(_("The new password must differ from the old one."), field="new_password")
    # Before the old one, so that a password to be corrected costs no guess.
    check_rules(new_password, user, field="new_password")
    limits.take(("password-user", str(user.pk), settings.LOGIN_LIMIT))
    # Not the user at hand, who may have been remembered: what is compared is what is replaced below.
    mine = User.objects.get(pk=user.pk)
    if not guess(mine, old_password, account=lockout.account_of(mine, ""), ip=ip):
        raise WrongPassword(field="old_password")
    hashed = make_password(new_password)  # a quarter of a second: before the transaction
    with transaction.atomic():
        unchanged = User.objects.filter(pk=mine.pk, password=mine.password)
        if not unchanged.update(password=hashed, updated_at=timezone.now()):
            raise WrongPassword(field="old_password")
        note_change(mine, actor=mine, keep=session)


def reset(*, phone: str, code: str, new_password: str, ip: str) -> None:
    """Set a new password by a code that was sent to the phone; all sessions and app passwords end at once, and a
    lock is opened.

    Nothing about users is told before the code is right. Raises Invalid (rules), CodeInvalid, RateLimited, Busy;
    PhoneNotRegistered, AccountBlocked: the code then stays usable.
    """
    check_rules(new_password, User(phone=phone), field="new_password")
    limits.take(("login-ip", ip, settings.LOGIN_LIMIT))
    now = timezone.now()
    found = codes.count_guess(phone=phone, purposes=codes.FOR_RESETTING_PASSWORD, code=code, now=now)
    user = user_of_phone(phone)
    check_rules(new_password, user, field="new_password")
    hashed = make_password(new_password)
    with transaction.atomic():
        codes.consume(found, now=now)
        if not User.objects.filter(pk=user.pk, phone=phone).update(password=hashed, updated_at=now):
            raise PhoneNotRegistered
        note_change(user, actor=user)
    lockout.lift(lockout.account_of(user, ""), ip)


def note_change(user: User, *, actor: User, keep: Session | None = None) -> None:
    """Inside the transaction that changed a password: end the sessions but `keep` and all app passwords, record it
    and tell the user."""
    others = user.sessions.exclude(pk=keep.pk) if keep else user.sessions.all()
    end_sessions(others, reason=End.PASSWORD_CHANGED, actor=actor)
    app_passwords.revoke_all(users=[user.pk])
    audit.record(AuditEvent.Action.PASSWORD_CHANGED, user=user, actor=actor, target=user)
    notify(
        user=user,
        title=gettext_noop("Password changed"),
        message=gettext_noop(
            "All other devices were signed out, and the passwords of your network drives ended. If it was not you, "
            "contact the operators at once."
        ),
        level=Notification.Level.WARNING,
        action_url=SECURITY,
    )
