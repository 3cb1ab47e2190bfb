"""JWT as bytes and claims: simplejwt signs and verifies, the session row decides.

Claims: sub (user id), sid (session id), jti, type (access | refresh), iat, exp. Everything in a token follows from
the session row, so the successor of a refresh token can be given again without being stored.
"""

import functools
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from accounts.errors import TokenInvalid
from accounts.models import Session
from common.ids import as_uuid


@dataclass(frozen=True)
class TokenPack:
    """What a sign-in or refresh answers; `expires_in` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "bearer"  # noqa: S105  (the scheme's name)


@dataclass(frozen=True)
class Claims:
    user_id: UUID
    session_id: UUID
    jti: UUID
    expires_at: int
    """Seconds since 1970."""


def pack(session: Session) -> TokenPack:
    """The token pair for the session's current refresh id and its time of issue."""
    issued = session.rotated_at
    access, refresh = AccessToken(), RefreshToken()
    for token in (access, refresh):
        fill(token, session, issued)
    return TokenPack(str(access), str(refresh), int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()))


def fill(token: Token, session: Session, issued: datetime) -> None:
    token.set_iat(at_time=issued)
    token.set_exp(from_time=issued)
    token["sub"], token["sid"], token["jti"] = str(session.user_id), str(session.pk), str(session.refresh_jti)


def read_access(raw: str) -> Claims:
    """Verified claims of an access token. Raises TokenInvalid."""
    claims = once_verified(raw)
    if claims.expires_at <= time.time():
        raise TokenInvalid
    return claims


@functools.lru_cache(1024)
def once_verified(raw: str) -> Claims:
    """Caches verified tokens: thousands of requests come with the same one, and its signature stays valid."""
    return read(raw, AccessToken)


def read_refresh(raw: str) -> Claims:
    return read(raw, RefreshToken)


def read(raw: str, kind: type[Token]) -> Claims:
    """Verified claims of `raw`. Raises TokenInvalid: bad signature, expired, other type, claims missing."""
    try:
        payload: dict[str, Any] = kind(raw).payload  # type: ignore[arg-type]
    except (TokenError, UnicodeEncodeError) as error:
        raise TokenInvalid from error
    user_id, session_id = as_uuid(payload.get("sub")), as_uuid(payload.get("sid"))
    jti = as_uuid(payload.get("jti"))
    if user_id is None or session_id is None or jti is None:
        raise TokenInvalid
    return Claims(user_id, session_id, jti, payload["exp"])
