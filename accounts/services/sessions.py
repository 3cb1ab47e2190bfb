"""Sign in, refresh, sign out."""

import secrets
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone
from rest_framework_simplejwt.settings import api_settings

from accounts.errors import TokenInvalid, TokenReused
from accounts.models import Session, User
from accounts.services import tokens
from accounts.services.passwords import verify_credentials
from accounts.services.tokens import TokenPack
from common.ids import as_uuid, new_id
from common.realtime import connection


def open_session(*, user: User, device: str, ip: str) -> tuple[Session, TokenPack]:
    """A new session of a user who has proved who they are."""
    now = timezone.now()
    session = Session.objects.create(
        user=user,
        device=device[:255],
        ip=ip or None,
        refresh_jti=new_id(),
        rotated_at=now,
        last_seen_at=now,
        expires_at=now + api_settings.REFRESH_TOKEN_LIFETIME,
    )
    User.objects.filter(pk=user.pk).update(last_login=now)
    user.last_login = now
    return session, tokens.pack(session)


def log_in(*, identifier: str, password: str, device: str, ip: str) -> tuple[User, TokenPack]:
    """Sign in by username, phone or verified e-mail. Raises what `verify_credentials` does."""
    user = verify_credentials(identifier=identifier, password=password, ip=ip)
    _session, pack = open_session(user=user, device=device, ip=ip)
    return user, pack


def refresh(*, refresh_token: str) -> TokenPack:
    """Exchange a refresh token for its successor, exactly once.

    A parallel tab that sends the token just rotated gets the very same successor for REFRESH_GRACE. Any older
    token of the session is taken for stolen: the session ends. Raises TokenInvalid, TokenReused.
    """
    claims = tokens.read_refresh(refresh_token)
    now = timezone.now()
    living = Session.objects.living(now).filter(pk=claims.session_id, user_id=claims.user_id)
    # The join to the user cannot stand in an UPDATE of one statement on the row itself, hence the subquery.
    Session.objects.filter(pk__in=living.values("pk"), refresh_jti=claims.jti).update(
        previous_jti=F("refresh_jti"),
        refresh_jti=new_id(),
        rotated_at=now,
        last_seen_at=now,
        expires_at=now + api_settings.REFRESH_TOKEN_LIFETIME,
    )
    session = living.first()
    if session is None:
        raise TokenInvalid
    if session.previous_jti == claims.jti and now - session.rotated_at <= settings.REFRESH_GRACE:
        return tokens.pack(session)
    end_sessions(Session.objects.filter(pk=session.pk))
    raise TokenReused


def end_sessions(sessions: Any) -> int:
    """End the living ones of `sessions` (a queryset); returns how many. Their tokens are refused from now on."""
    ended: int = sessions.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())
    return ended


def log_out(*, refresh_token: str, access_token: str) -> None:
    """End the session of the refresh token or else of the access token. Ending it twice is no error.

    Raises TokenInvalid.
    """
    claims = tokens.read_refresh(refresh_token) if refresh_token else tokens.read_access(access_token)
    end_sessions(Session.objects.filter(pk=claims.session_id, user_id=claims.user_id))


def session_of(access_token: str) -> Session:
    """The living session (with its user) of an access token, in one query. Raises TokenInvalid."""
    claims = tokens.read_access(access_token)
    return living_session(claims.session_id, claims.user_id)


def living_session(session_id: UUID, user_id: UUID) -> Session:
    session = (
        Session.objects.living(timezone.now())
        .select_related("user")
        .filter(pk=session_id, user_id=user_id)
        .first()
    )
    if session is None:
        raise TokenInvalid
    return session


def ticket_key(ticket: str) -> str:
    return f"{settings.REDIS_PREFIX}:ws-ticket:{ticket}"


def issue_ticket(*, session: Session) -> str:
    """A single-use ticket for opening a WebSocket, good for WS_TICKET_SECONDS."""
    ticket = secrets.token_urlsafe(32)
    connection().set(ticket_key(ticket), f"{session.pk} {session.user_id}", ex=settings.WS_TICKET_SECONDS)
    return ticket


def redeem_ticket(ticket: str) -> Session:
    """The session that `ticket` was issued to; the ticket is spent. Raises TokenInvalid."""
    # Redis takes no half surrogate pairs, and no ticket of ours has any.
    value: Any = connection().getdel(ticket_key(ticket)) if ticket.isascii() else None
    if value is None:
        raise TokenInvalid
    session_id, user_id = (as_uuid(part) for part in value.decode().split())
    if session_id is None or user_id is None:
        raise TokenInvalid
    return living_session(session_id, user_id)
