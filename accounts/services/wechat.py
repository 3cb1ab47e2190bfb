"""Signing in by a QR code of WeChat: from the code on the screen to the pair of tokens.

There are three secrets, each for one party: the poll id for the browser that asks, the state for the QR code and
WeChat, and the session token for the same browser when a phone has to be bound.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hmac import compare_digest
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.errors import (
    AccountBlocked,
    PhoneTaken,
    WechatRefused,
    WechatSessionInvalid,
    WechatStateInvalid,
    WechatTaken,
    WrongCredentials,
)
from accounts.models import PhoneCode, User, WechatLoginSession
from accounts.services import codes, passwords, sessions, wechat_accounts
from accounts.services.registration import create_user
from accounts.services.tokens import TokenPack
from accounts.wechat import client
from accounts.wechat.client import WechatPerson
from common import limits
from common.errors import DomainError, NotVisible
from common.ids import digest
from common.qr import qr_svg

Status = WechatLoginSession.Status
KEPT_FOR = timedelta(days=1)
signer = signing.Signer(salt="accounts.wechat-login")


@dataclass(frozen=True)
class QrCode:
    """`poll_id` is the secret of who asked; `svg` is the picture of `address`."""

    poll_id: str
    address: str
    svg: str


@dataclass(frozen=True)
class Progress:
    """How a sign-in stands. `pack` is there once, `session_token` while a phone has to be bound."""

    status: str
    nickname: str = ""
    session_token: str = ""
    user: User | None = None
    pack: TokenPack | None = field(default=None, repr=False)


# --- the browser asks ------------------------------------------------------------------------------------------


def start(*, redirect_uri: str, device_type: str, browser: str, device: str, ip: str) -> QrCode:
    """A new QR code, good for WECHAT_LOGIN_SECONDS.

    `browser` is the secret of a browser that opened our page; only it may then poll. Raises WechatUnavailable,
    RateLimited.
    """
    limits.take(("wechat-qrcode", ip, settings.WECHAT_LIMITS["qrcode"]))
    app = client.app_of_codes()
    # Of 192 bits; WeChat takes letters and digits alone for a state.
    poll_id, state = secrets.token_urlsafe(24), secrets.token_hex(16)
    WechatLoginSession.objects.create(
        poll_hash=digest(poll_id),
        state_hash=digest(state),
        browser_hash=digest(browser) if browser else "",
        device_type=device_type,
        device=device[:255],
        ip=ip or None,
        appid=app.appid,
        expires_at=timezone.now() + timedelta(seconds=settings.WECHAT_LOGIN_SECONDS),
    )
    address = client.confirm_address(app, redirect_uri=redirect_uri, state=state)
    return QrCode(poll_id, address, qr_svg(address))


def poll(*, poll_id: str, browser: str, device: str, ip: str) -> Progress:
    """How the sign-in stands; the first call after the confirmation gets the tokens, later ones find it expired.

    Raises NotVisible for an unknown id and in a foreign browser; AccountBlocked, RateLimited.
    """
    limits.take(("wechat-poll", ip, settings.WECHAT_LIMITS["poll"]))
    login = WechatLoginSession.objects.filter(poll_hash=digest(poll_id)).first()
    if login is None or (login.browser_hash and not compare_digest(login.browser_hash, digest(browser))):
        raise NotVisible(_("There is no such sign-in."))
    now = timezone.now()
    if login.expires_at <= now or login.status in WechatLoginSession.FINAL_STATUSES:
        return Progress(Status.EXPIRED)
    if login.status == Status.SCANNED:
        return Progress(Status.SCANNED, login.nickname, session_token=signer.sign(str(login.pk)))
    if login.status == Status.CONFIRMED:
        return collect(login, now=now, device=device, ip=ip)
    return Progress(Status.PENDING)


def collect(login: WechatLoginSession, *, now: datetime, device: str, ip: str) -> Progress:
    """Hand out the tokens; only one of several callers gets them. Raises AccountBlocked."""
    with transaction.atomic():
        confirmed = WechatLoginSession.objects.filter(pk=login.pk, status=Status.CONFIRMED)
        if not confirmed.update(status=Status.COLLECTED, updated_at=now):
            return Progress(Status.EXPIRED)
        user = User.objects.get(pk=login.user_id)
        try:
            _session, pack = sessions.open_session(user=user, device=device, ip=ip)
        except WrongCredentials as error:
            raise AccountBlocked from error
    return Progress(Status.CONFIRMED, login.nickname, user=user, pack=pack)


# --- WeChat leads back with a code -----------------------------------------------------------------------------


def confirm(*, state: str, code: str, ip: str) -> WechatLoginSession:
    """WeChat's redirect: who scanned is looked up, and the sign-in is theirs, or waits for a phone.

    A state is good once. Whatever goes wrong after that expires the sign-in, so that the waiting browser offers a
    new code. Raises WechatStateInvalid, WechatRefused (no code: they said no), AccountBlocked, RateLimited, and what
    `client.person_of` raises.
    """
    limits.take(("wechat-callback", ip, settings.WECHAT_LIMITS["callback"]))
    login = use_state(state)
    try:
        if not code:
            raise WechatRefused
        person = client.person_of(client.app_named(login.appid), code)
        recognise(login, person)
    except DomainError:
        expire(login)
        raise
    return login


def use_state(state: str) -> WechatLoginSession:
    """The sign-in whose QR code carried `state`; only one of several callers gets it. Raises WechatStateInvalid."""
    now, state_hash = timezone.now(), digest(state)
    unused = WechatLoginSession.objects.filter(
        state_hash=state_hash, state_used_at__isnull=True, status=Status.PENDING, expires_at__gt=now
    )
    if not unused.update(state_used_at=now, updated_at=now):
        raise WechatStateInvalid
    return WechatLoginSession.objects.get(state_hash=state_hash)


def recognise(login: WechatLoginSession, person: WechatPerson) -> None:
    """Move the sign-in on: CONFIRMED where the person is a user, else SCANNED. Raises AccountBlocked."""
    now = timezone.now()
    found = {
        "openid": person.openid,
        "unionid": person.unionid,
        "nickname": person.nickname,
        "avatar_url": person.avatar_url,
        # Who has scanned at the last moment still has the time to bind a phone.
        "expires_at": now + timedelta(seconds=settings.WECHAT_LOGIN_SECONDS),
    }
    with transaction.atomic():
        wechat_accounts.lock_person(person)
        account = wechat_accounts.account_of(person)
        if account is None:
            login.move_to(Status.SCANNED, **found)
            return
        if not account.user.is_active:
            raise AccountBlocked
        wechat_accounts.remember(account.user, person)
        login.move_to(Status.CONFIRMED, user=account.user, confirmed_at=now, **found)


def expire(login: WechatLoginSession) -> None:
    open_ones = WechatLoginSession.objects.filter(pk=login.pk).exclude(
        status__in=WechatLoginSession.FINAL_STATUSES
    )
    open_ones.update(status=Status.EXPIRED, updated_at=timezone.now())


def sign_in(*, poll_id: str, state: str, code: str, browser: str, device: str, ip: str) -> Progress:
    """Both in one step, for a client that gets WeChat's redirect itself and holds the poll id.

    Raises what `confirm` and `poll` raise; WechatStateInvalid also where state and poll id are of two sign-ins.
    """
    own = WechatLoginSession.objects.filter(poll_hash=digest(poll_id), state_hash=digest(state))
    if not own.exists():
        raise WechatStateInvalid
    confirm(state=state, code=code, ip=ip)
    return poll(poll_id=poll_id, browser=browser, device=device, ip=ip)


# --- a person we do not know yet -------------------------------------------------------------------------------


def waiting(session_token: str) -> WechatLoginSession:
    """The sign-in that waits for a phone. Raises WechatSessionInvalid."""
    try:
        login_id = UUID(signer.unsign(session_token))
    except (signing.BadSignature, ValueError) as error:
        raise WechatSessionInvalid from error
    scanned = WechatLoginSession.objects.filter(
        pk=login_id, status=Status.SCANNED, expires_at__gt=timezone.now()
    )
    login = scanned.first()
    if login is None:
        raise WechatSessionInvalid
    return login


def person_of(login: WechatLoginSession) -> WechatPerson:
    return WechatPerson(
        login.appid, login.openid, login.unionid, nickname=login.nickname, avatar_url=login.avatar_url
    )


def take_up(login: WechatLoginSession, user: User, now: datetime) -> None:
    """End the sign-in for `user`; only one of two callers may. Raises WechatSessionInvalid."""
    scanned = WechatLoginSession.objects.filter(pk=login.pk, status=Status.SCANNED)
    if not scanned.update(status=Status.COLLECTED, user=user, confirmed_at=now, updated_at=now):
        raise WechatSessionInvalid


def bind_phone(*, session_token: str, phone: str, code: str, device: str, ip: str) -> tuple[User, TokenPack]:
    """A new user with this phone, linked to who scanned, and signed in.

    Raises WechatSessionInvalid, CodeInvalid, PhoneTaken, WechatTaken, RateLimited.
    """
    limits.take(
        ("wechat-bind", ip, settings.WECHAT_LIMITS["bind"]),
        ("wechat-phone", phone, settings.WECHAT_LIMITS["phone"]),
    )
    login, now = waiting(session_token), timezone.now()
    person = person_of(login)
    # Old clients ask for a code without saying what for.
    purposes = (PhoneCode.Purpose.BIND_PHONE, PhoneCode.Purpose.REGISTER)
    found = codes.count_guess(phone=phone, purposes=purposes, code=code, now=now)
    with transaction.atomic():
        codes.consume(found, now=now)
        wechat_accounts.lock_person(person)
        if wechat_accounts.account_of(person) is not None:
            raise WechatTaken
        try:
            user = create_user(username=f"wx_{secrets.token_hex(6)}", password=None, phone=phone)
        except PhoneTaken as error:
            text = _("This phone number is already registered: link that account with its password.")
            raise PhoneTaken(text, hint="link-account") from error
        take_up(login, user, now)
        wechat_accounts.attach(user, person)
        _session, pack = sessions.open_session(user=user, device=device, ip=ip)
    return user, pack


def link_account(
    *, session_token: str, phone: str, password: str, device: str, ip: str
) -> tuple[User, TokenPack]:
    """Link who scanned to the user with this phone and password, and sign in.

    Raises WechatSessionInvalid, WechatTaken, WechatAlreadyBound, RateLimited, and what
    `passwords.verify_credentials` raises.
    """
    limits.take(("wechat-bind", ip, settings.WECHAT_LIMITS["bind"]))
    login = waiting(session_token)
    user = passwords.verify_credentials(identifier=phone, password=password, ip=ip)
    with transaction.atomic():
        link(login, user)
        _session, pack = sessions.open_session(user=user, device=device, ip=ip)
    return user, pack


def link(login: WechatLoginSession, user: User) -> None:
    """End the sign-in by linking who scanned to `user`.

    Raises WechatSessionInvalid, WechatTaken, WechatAlreadyBound: the sign-in then goes on waiting.
    """
    person = person_of(login)
    with transaction.atomic():
        wechat_accounts.lock_person(person)
        take_up(login, user, timezone.now())
        wechat_accounts.attach(user, person)


# --- signed-in users -------------------------------------------------------------------------------------------


def bind(*, user: User, code: str, state: str, ip: str) -> WechatPerson:
    """Link WeChat to the signed-in user by a code; with a state, of the sign-in whose QR code carried it.

    Raises WechatStateInvalid, WechatTaken, WechatAlreadyBound, RateLimited, and what `client.person_of` raises.
    """
    limits.take(("wechat-bind", ip, settings.WECHAT_LIMITS["bind"]))
    app = client.website_app()
    if state:
        login = use_state(state)
        expire(login)  # it signs nobody in
        app = client.app_named(login.appid)
    person = client.person_of(app, code)
    wechat_accounts.bind(user=user, person=person)
    return person


def bind_scanned(*, user: User, session_token: str, ip: str) -> None:
    """Link who has scanned a QR code, and is no user, to the signed-in user; the sign-in is used up.

    Raises WechatSessionInvalid, WechatTaken, WechatAlreadyBound, RateLimited.
    """
    limits.take(("wechat-bind", ip, settings.WECHAT_LIMITS["bind"]))
    link(waiting(session_token), user)


def purge(*, now: datetime) -> int:
    """Delete sign-ins that ended a day ago or earlier; returns how many."""
    deleted, _rows = WechatLoginSession.objects.filter(expires_at__lt=now - KEPT_FOR).delete()
    return deleted
