"""Bearer tokens: who asks, and by which session."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from accounts.errors import TokenInvalid
from accounts.models import Session, User
from accounts.services.sessions import session_of


class SessionTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`; request.user is the user and request.auth the living session."""

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        header = get_authorization_header(request).split()
        if not header or header[0].lower() != b"bearer":
            return None
        if len(header) != 2:
            raise TokenInvalid
        try:
            session = session_of(header[1].decode("ascii"))
        except UnicodeDecodeError as error:
            raise TokenInvalid from error
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
