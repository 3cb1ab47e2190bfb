"""Signing in and out."""

from dataclasses import asdict
from typing import cast

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import errors
from accounts.api.serializers import auth as shapes
from accounts.api.serializers.base import SignedInSerializer, TokenPackSerializer
from accounts.api.views.base import PublicView, checked, device_of, signed_in
from accounts.authentication import bearer_token
from accounts.models import Session, User
from accounts.services import codes, login, passwords, registration, sessions
from common import limits
from common.limits import client_ip
from common.serializers import DoneSerializer

RATE = {
    "X-RateLimit-Limit": "Codes that the window allows which is closest to being full.",
    "X-RateLimit-Remaining": "How many of them are left.",
    "X-RateLimit-Reset": "The second (Unix time) at which the window ends.",
}
RATE_HEADERS = [
    OpenApiParameter(name, int, OpenApiParameter.HEADER, description=text, response=[200])
    for name, text in RATE.items()
]


class SendCodeView(PublicView):
    refusals = {
        "post": (errors.SmsFailed,),
    }

    @extend_schema(
        request=shapes.SendCodeSerializer, responses=DoneSerializer, parameters=RATE_HEADERS, tags=["auth"]
    )
    def post(self, request: Request) -> Response:
        """Send a six-digit code to a phone. Never tells whether the phone is registered."""
        data = checked(shapes.SendCodeSerializer, request)
        ip = client_ip(request)
        codes.send_code(phone=data["phone"], purpose=data["purpose"], ip=ip)
        headers = limits.headers_of(*codes.rules(data["phone"], ip))
        return Response(
            {"success": True, "message": _("The verification code is on its way.")}, headers=headers
        )


class RegisterView(PublicView):
    refusals = {
        "post": (errors.CodeInvalid, errors.UsernameTaken, errors.PhoneTaken, errors.Busy),
    }

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
    refusals = {
        "post": (errors.WrongCredentials, errors.LoginLocked, errors.Busy),
    }

    @extend_schema(request=shapes.LoginSerializer, responses=SignedInSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Sign in with username, phone or verified e-mail."""
        data = checked(shapes.LoginSerializer, request)
        user, pack = login.log_in(**data, device=device_of(request), ip=client_ip(request))
        return signed_in(user, pack)


class LoginPhoneView(PublicView):
    refusals = {
        "post": (
            errors.CodeInvalid,
            errors.PhoneNotRegistered,
            errors.AccountBlocked,
            errors.WrongCredentials,
        ),
    }

    @extend_schema(request=shapes.LoginPhoneSerializer, responses=SignedInSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Sign in with a code sent to the phone (purpose `login`, or none given).

        404 phone_not_registered after a right code, which can then still be used to register.
        """
        data = checked(shapes.LoginPhoneSerializer, request)
        user, pack = login.log_in_by_code(**data, device=device_of(request), ip=client_ip(request))
        return signed_in(user, pack)


class ChangePasswordView(APIView):
    refusals = {
        "post": (errors.WrongPassword, errors.LoginLocked, errors.Busy),
    }

    @extend_schema(request=shapes.ChangePasswordSerializer, responses=DoneSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Change the password of who asks. All other sessions end at once; this one goes on."""
        data = checked(shapes.ChangePasswordSerializer, request)
        passwords.change(
            user=cast(User, request.user), session=cast(Session, request.auth), **data, ip=client_ip(request)
        )
        return Response({"success": True, "message": _("The password is changed.")})


class ResetPasswordView(PublicView):
    refusals = {
        "post": (errors.CodeInvalid, errors.PhoneNotRegistered, errors.AccountBlocked, errors.Busy),
    }

    @extend_schema(request=shapes.ResetPasswordSerializer, responses=DoneSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Set a new password by a code sent to the phone (purpose `reset_password`). All sessions end at once."""
        data = checked(shapes.ResetPasswordSerializer, request)
        passwords.reset(
            phone=data["phone"],
            code=data["verification_code"],
            new_password=data["new_password"],
            ip=client_ip(request),
        )
        return Response({"success": True, "message": _("The password is changed; sign in with it.")})


class RefreshView(PublicView):
    refusals = {
        "post": (errors.TokenInvalid, errors.TokenReused),
    }

    @extend_schema(request=shapes.RefreshSerializer, responses=TokenPackSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Exchange the refresh token. The old one is void; for 30 s it still gets the very same successor."""
        data = checked(shapes.RefreshSerializer, request)
        return Response(asdict(sessions.refresh(refresh_token=data["refresh_token"])))


class LogoutView(PublicView):
    refusals = {
        "post": (errors.TokenInvalid,),
    }

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
    open_to_guests = ("post",)

    @extend_schema(request=None, responses=shapes.TicketSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """A single-use ticket for `/ws?ticket=`, so that no token stands in an address."""
        ticket = sessions.issue_ticket(session=cast(Session, request.auth))
        return Response({"ticket": ticket, "expires_in": settings.WS_TICKET_SECONDS})
