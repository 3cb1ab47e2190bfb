"""Signing in and out."""

from dataclasses import asdict
from typing import cast

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import auth as shapes
from accounts.api.serializers.base import SignedInSerializer, TokenPackSerializer
from accounts.api.views.base import PublicView, checked, device_of, signed_in
from accounts.authentication import bearer_token
from accounts.models import Session
from accounts.services import codes, registration, sessions
from common.limits import client_ip
from common.serializers import DoneSerializer


class SendCodeView(PublicView):
    @extend_schema(request=shapes.SendCodeSerializer, responses=DoneSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Send a six-digit code to a phone. Never tells whether the phone is registered."""
        data = checked(shapes.SendCodeSerializer, request)
        codes.send_code(phone=data["phone"], purpose=data["purpose"], ip=client_ip(request))
        return Response({"success": True, "message": _("The verification code is on its way.")})


class RegisterView(PublicView):
    @extend_schema(request=shapes.RegisterSerializer, responses={201: SignedInSerializer}, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Register with a phone code; answers signed in, with a default drive and a wallet in place."""
        data = checked(shapes.RegisterSerializer, request)
        user = registration.register(
            username=data["username"],
            phone=data["phone"],
            code=data["verification_code"],
            password=data["password"],
        )
        _session, pack = sessions.open_session(user=user, device=device_of(request), ip=client_ip(request))
        return signed_in(user, pack, status.HTTP_201_CREATED)


class LoginView(PublicView):
    @extend_schema(request=shapes.LoginSerializer, responses=SignedInSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Sign in with username, phone or verified e-mail."""
        data = checked(shapes.LoginSerializer, request)
        user, pack = sessions.log_in(**data, device=device_of(request), ip=client_ip(request))
        return signed_in(user, pack)


class RefreshView(PublicView):
    @extend_schema(request=shapes.RefreshSerializer, responses=TokenPackSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Exchange the refresh token. The old one is void; for 30 s it still gets the very same successor."""
        data = checked(shapes.RefreshSerializer, request)
        return Response(asdict(sessions.refresh(refresh_token=data["refresh_token"])))


class LogoutView(PublicView):
    @extend_schema(
        request=shapes.LogoutSerializer,
        responses=DoneSerializer,
        tags=["auth"],
        auth=cast(list[str], [{"bearer": []}, {}]),  # drf-spectacular takes them as they are
    )
    def post(self, request: Request) -> Response:
        """End the session of the refresh token in the body, or of the access token in the header."""
        data = checked(shapes.LogoutSerializer, request)
        refresh_token = data.get("refresh_token") or ""
        sessions.log_out(
            refresh_token=refresh_token, access_token="" if refresh_token else bearer_token(request) or ""
        )
        return Response({"success": True, "message": _("Signed out.")})


class WsTicketView(APIView):
    @extend_schema(request=None, responses=shapes.TicketSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """A single-use ticket for `/ws?ticket=`, so that no token stands in an address."""
        ticket = sessions.issue_ticket(session=cast(Session, request.auth))
        return Response({"ticket": ticket, "expires_in": settings.WS_TICKET_SECONDS})
