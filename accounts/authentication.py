"""Bearer tokens: who asks, and by which session."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from accounts.errors import TokenInvalid
from accounts.models import Session, User
from accounts.services.sessions import session_of


def bearer_token(request: Request) -> str | None:
    """The token of the Authorization header, None where it names none. Raises TokenInvalid."""
    header = get_authorization_header(request).split()
    if not header or header[0].lower() != b"bearer":
        return None
    if len(header) != 2 or not header[1].isascii():
        raise TokenInvalid
    return header[1].decode("ascii")


class SessionTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`; request.user is the user and request.auth the living session."""

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        token = bearer_token(request)
        if token is None:
            return None
        session = session_of(token)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
