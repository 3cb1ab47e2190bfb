"""Sessions: opened, refreshed, ended, found again."""

import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop
from rest_framework_simplejwt.settings import api_settings

from accounts.errors import TokenInvalid, TokenReused, WrongCredentials
from accounts.models import AuditEvent, Notification, Session, User
from accounts.services import audit, auth_cache, tokens
from accounts.services.notifications import SECURITY, notify
from accounts.services.tokens import TokenPack
from common import realtime
from common.ids import as_uuid, new_id
from common.realtime import connection

SEEN_EVERY = timedelta(minutes=5)
"""`last_seen_at` is written at most this often."""

KEPT = timedelta(days=30)
"""Rows of dead sessions, for operators; what happened to them stays in the audit log."""


class End(StrEnum):
    """Why a session ended, as the audit log has it."""

    LOGGED_OUT = "logged_out"
    ENDED = "ended"
    OTHERS_ENDED = "others_ended"
    TOKEN_REUSED = "token_reused"  # noqa: S105
    BLOCKED = "blocked"
    OPERATOR = "operator"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    DELETED = "deleted"


def open_session(*, user: User, device: str, ip: str) -> tuple[Session, TokenPack]:
    """A new session of a user who has proved who they are.

    Raises WrongCredentials where the user was blocked or got another password meanwhile. Whoever ends sessions
    changes the user's row first; so a session is either refused here, or seen and ended there.
    """
    now = timezone.now()
    with transaction.atomic():
        proved = User.objects.filter(pk=user.pk, is_active=True, password=user.password)
        if not proved.update(last_login=now):
            raise WrongCredentials
        session = Session.objects.create(
            user=user,
            device=device[:255],
            ip=ip or None,
            refresh_jti=new_id(),
            rotated_at=now,
            last_seen_at=now,
            expires_at=now + api_settings.REFRESH_TOKEN_LIFETIME,
        )
        audit.record(AuditEvent.Action.LOGIN, user=user, actor=user, target=session)
    user.last_login = now
    return session, tokens.pack(session)


def refresh(*, refresh_token: str) -> TokenPack:
    """Exchange a refresh token for its successor, exactly once.

    A parallel tab that sends the token just rotated gets the very same successor for REFRESH_GRACE. Any older
    token of the session is taken for stolen: the session ends. Raises TokenInvalid, TokenReused.
    """
    claims = tokens.read_refresh(refresh_token)
    now = timezone.now()
    living = Session.objects.living(now).filter(pk=claims.session_id, user_id=claims.user_id)
    # One transaction: whoever rotates also answers, before one who finds the token used can end the session.
    with transaction.atomic():
        # The join to the user cannot stand in an UPDATE of one statement on the row itself, hence the subquery.
        rotated = Session.objects.filter(pk__in=living.values("pk"), refresh_jti=claims.jti).update(
            previous_jti=F("refresh_jti"),
            refresh_jti=new_id(),
            rotated_at=now,
            last_seen_at=now,
            expires_at=now + api_settings.REFRESH_TOKEN_LIFETIME,
        )
        session = living.select_related("user").first()
    if session is None:
        raise TokenInvalid
    in_grace = session.previous_jti == claims.jti and now - session.rotated_at <= settings.REFRESH_GRACE
    if rotated or in_grace:
        return tokens.pack(session)
    end_stolen(session)
    raise TokenReused


def end_stolen(session: Session) -> None:
    """End a session of which an old refresh token has turned up, and tell its user."""
    with transaction.atomic():
        if not end_sessions(Session.objects.filter(pk=session.pk), reason=End.TOKEN_REUSED):
            return  # another one was quicker and has told
        audit.record(AuditEvent.Action.TOKEN_REUSED, user=session.user, target=session)
        notify(
            user=session.user,
            title=gettext_noop("A session was ended"),
            message=gettext_noop(
                "An old sign-in token of %(device)s was used again. In case it was stolen, that session is ended; "
                "if you do not know why, change your password."
            ),
            level=Notification.Level.WARNING,
            action_url=SECURITY,
            params={"device": session.device[:100] or "?"},
        )


def end_sessions(sessions: QuerySet[Session], *, reason: End = End.ENDED, actor: User | None = None) -> int:
    """End the living ones of `sessions`; returns how many. Their tokens are refused and their sockets close at once.

    `actor` is who ended them, where somebody did.
    """
    with transaction.atomic():
        chosen = sessions.filter(revoked_at__isnull=True).select_related("user")
        living = list(chosen.select_for_update(of=("self",)).order_by("user_id", "pk"))
        Session.objects.filter(pk__in=[session.pk for session in living]).update(revoked_at=timezone.now())
        for user, ended in groupby(living, lambda session: session.user):
            note_end(user, list(ended), reason, actor)
    return len(living)


def note_end(user: User, ended: list[Session], reason: End, actor: User | None) -> None:
    audit.record(
        AuditEvent.Action.SESSION_ENDED,
        user=user,
        actor=actor,
        target=ended[0] if len(ended) == 1 else None,
        before={"devices": [session.device[:100] for session in ended[:10]]},
        after={"reason": reason, "sessions": len(ended)},
    )
    auth_cache.forget([user.pk])
    realtime.call_sockets_on_commit(user.pk, "session.check")


def log_out(*, refresh_token: str, access_token: str) -> None:
    """End the session of the refresh token or else of the access token. Ending it twice is no error.

    Raises TokenInvalid.
    """
    claims = tokens.read_refresh(refresh_token) if refresh_token else tokens.read_access(access_token)
    session = Session.objects.filter(pk=claims.session_id, user_id=claims.user_id)
    if found := session.select_related("user").first():
        end_sessions(session, reason=End.LOGGED_OUT, actor=found.user)


def session_of(access_token: str) -> Session:
    """The living session (with its user) of an access token, in one query at most. Raises TokenInvalid."""
    claims = tokens.read_access(access_token)
    session_id, user_id = claims.session_id, claims.user_id
    return auth_cache.remembered(session_id, user_id, lambda: seen(living_session(session_id, user_id)))


def living_session(session_id: UUID, user_id: UUID) -> Session:
    """The session as the database has it, with its user but without the password's hash. Raises TokenInvalid."""
    session = (
        Session.objects.living(timezone.now())
        .select_related("user")
        .defer("user__password")
        .filter(pk=session_id, user_id=user_id)
        .first()
    )
    if session is None:
        raise TokenInvalid
    return session


def seen(session: Session) -> Session:
    """Note that the session is in use, at most once in SEEN_EVERY over all processes."""
    now = timezone.now()
    if now - session.last_seen_at >= SEEN_EVERY:
        unchanged = Session.objects.filter(pk=session.pk, last_seen_at=session.last_seen_at)
        unchanged.update(last_seen_at=now)
        session.last_seen_at = now
    return session


def purge(*, now: datetime, at_once: int = 1000) -> int:
    """Delete sessions that have been dead for KEPT, in portions; returns how many."""
    long_dead = Session.objects.filter(Q(revoked_at__lt=now - KEPT) | Q(expires_at__lt=now - KEPT))
    deleted = 0
    while portion := list(long_dead.order_by("pk").values_list("pk", flat=True)[:at_once]):
        Session.objects.filter(pk__in=portion).delete()
        deleted += len(portion)
    return deleted


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
