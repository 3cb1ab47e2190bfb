"""Signing in by WeChat."""

from dataclasses import asdict
from typing import Any, cast

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import errors
from accounts.api.serializers import wechat as shapes
from accounts.api.views.base import PublicView, checked, device_of
from accounts.models import SocialAccount, User, WechatLoginSession
from accounts.selectors import wechat_of
from accounts.services import wechat, wechat_accounts
from accounts.services.tokens import TokenPack
from accounts.wechat.browsers import browser_of
from common.errors import DomainError, NotVisible
from common.limits import client_ip
from common.serializers import DoneSerializer

CODE = OpenApiParameter("code", OpenApiTypes.STR, description="Of WeChat; absent where the person refused.")
STATE = OpenApiParameter("state", OpenApiTypes.STR, required=True)


def callback_address(request: Request) -> str:
    """Where WeChat leads a person back to; its host is registered with WeChat."""
    path = reverse("wechat-callback")
    return settings.PUBLIC_URL.rstrip("/") + path if settings.PUBLIC_URL else request.build_absolute_uri(path)


def private(body: dict[str, Any], code: int = status.HTTP_200_OK) -> Response:
    """An answer that nothing on the way may keep."""
    return Response(body, status=code, headers={"Cache-Control": "no-store"})


def wx_user(user: User) -> dict[str, Any]:
    linked = wechat_of(user)
    picture = user.avatar.url if user.avatar else linked.avatar_url if linked else ""
    return {
        "id": user.pk, "username": user.username, "phone": user.phone, "email": user.email, "avatar": picture,
    }  # fmt: skip


def progress_body(progress: wechat.Progress) -> dict[str, Any]:
    body: dict[str, Any] = {"status": progress.status, "need_bind_phone": bool(progress.session_token)}
    if progress.nickname:
        body["nickname"] = progress.nickname
    if progress.session_token:
        body["session_token"] = progress.session_token
    if progress.user and progress.pack:
        body |= {"user": wx_user(progress.user), **asdict(progress.pack)}
    return body


WECHAT_REFUSALS = (
    errors.WechatStateInvalid,
    errors.WechatCodeInvalid,
    errors.WechatRefused,
    errors.AccountBlocked,
    errors.WechatMisconfigured,
    errors.WechatAway,
    errors.WechatUnavailable,
)
"""What bringing a code of WeChat's may end in."""


class QrCodeView(PublicView):
    refusals = {
        "post": (errors.WechatUnavailable,),
    }

    @extend_schema(request=shapes.QrCodeInputSerializer, responses=shapes.QrCodeSerializer, tags=["wechat"])
    def post(self, request: Request) -> Response:
        """A new QR code. Poll with its `session_id`; in a browser that opened /login only that browser can."""
        data = checked(shapes.QrCodeInputSerializer, request)
        code = wechat.start(
            redirect_uri=callback_address(request),
            device_type=data.get("device_type") or "",
            browser=browser_of(request),
            device=device_of(request),
            ip=client_ip(request),
        )
        body = {
            "session_id": code.poll_id,
            "scene_str": code.poll_id,
            "qr_code_url": code.address,
            "qr_svg": code.svg,
            "expires_in": settings.WECHAT_LOGIN_SECONDS,
        }
        return private(body)


class PollView(PublicView):
    http_method_names = ["get", "options"]  # HEAD would collect the tokens and show them to nobody
    throttle_classes = ()  # asked every two seconds by each open page; the service has a limit for it
    refusals = {
        "get": (NotVisible, errors.AccountBlocked),
    }

    @extend_schema(responses=shapes.WechatProgressSerializer, tags=["wechat"])
    def get(self, request: Request, poll_id: str) -> Response:
        """How the sign-in stands. Ask every two seconds; tokens are handed out once."""
        progress = wechat.poll(
            poll_id=poll_id, browser=browser_of(request), device=device_of(request), ip=client_ip(request)
        )
        return private(progress_body(progress))


class CallbackView(PublicView):
    refusals = {
        "get": (*WECHAT_REFUSALS,),
        "post": (*WECHAT_REFUSALS,),
    }

    # HEAD, as of programs that look at links, would use the code up.
    http_method_names = ["get", "post", "options"]

    @extend_schema(
        parameters=[CODE, STATE], responses={(200, "text/html"): OpenApiTypes.STR}, tags=["wechat"]
    )
    def get(self, request: Request) -> HttpResponse:
        """WeChat leads a person here; a page tells them what to do next."""
        login, error = None, None
        try:
            login = wechat.confirm(
                state=request.query_params.get("state", ""),
                code=request.query_params.get("code", ""),
                ip=client_ip(request),
            )
        except DomainError as refused:
            error = refused
        page = render(
            request._request,
            "accounts/wechat_done.html",
            {"login": login, "error": error, "statuses": WechatLoginSession.Status},
            status=error.status if error else 200,
        )
        page["Cache-Control"] = "no-store"
        page.for_people = True  # type: ignore[attr-defined]
        return page

    @extend_schema(
        request=shapes.CallbackSerializer, responses=shapes.CallbackDoneSerializer, tags=["wechat"]
    )
    def post(self, request: Request) -> Response:
        """The same for a client that gets WeChat's redirect itself. Tokens go to who polls, never here."""
        login = wechat.confirm(**checked(shapes.CallbackSerializer, request), ip=client_ip(request))
        known = login.status == WechatLoginSession.Status.CONFIRMED
        masked = SocialAccount(openid=login.openid).masked_openid
        return private(
            {"status": login.status, "openid": masked, "user_exists": known, "need_bind_phone": not known}
        )


class DesktopSignInView(PublicView):
    refusals = {
        "post": (*WECHAT_REFUSALS, NotVisible),
    }

    @extend_schema(
        request=shapes.DesktopSignInSerializer, responses=shapes.WechatProgressSerializer, tags=["wechat"]
    )
    def post(self, request: Request) -> Response:
        """Callback and poll in one step, for a client that shows WeChat's page in a window of its own."""
        progress = wechat.sign_in(
            **checked(shapes.DesktopSignInSerializer, request),
            browser=browser_of(request),
            device=device_of(request),
            ip=client_ip(request),
        )
        return private(progress_body(progress))


class BindPhoneView(PublicView):
    refusals = {
        "post": (errors.WechatSessionInvalid, errors.CodeInvalid, errors.PhoneTaken, errors.WechatTaken),
    }

    @extend_schema(
        request=shapes.BindPhoneSerializer, responses={201: shapes.WechatSignedInSerializer}, tags=["wechat"]
    )
    def post(self, request: Request) -> Response:
        """A new account with this phone for who scanned; answers signed in."""
        data = checked(shapes.BindPhoneSerializer, request)
        user, pack = wechat.bind_phone(
            session_token=data["session_token"],
            phone=data["phone"],
            code=data["verification_code"],
            device=device_of(request),
            ip=client_ip(request),
        )
        return wechat_signed_in(user, pack, _("Welcome to Yuntu."), status.HTTP_201_CREATED)


class LinkAccountView(PublicView):
    refusals = {
        "post": (
            errors.WechatSessionInvalid,
            errors.WrongCredentials,
            errors.LoginLocked,
            errors.Busy,
            errors.WechatTaken,
            errors.WechatAlreadyBound,
        ),
    }

    @extend_schema(
        request=shapes.LinkAccountSerializer, responses=shapes.WechatSignedInSerializer, tags=["wechat"]
    )
    def post(self, request: Request) -> Response:
        """Link who scanned to the account with this phone and password; answers signed in."""
        data = checked(shapes.LinkAccountSerializer, request)
        user, pack = wechat.link_account(**data, device=device_of(request), ip=client_ip(request))
        return wechat_signed_in(user, pack, _("WeChat is linked."), status.HTTP_200_OK)


def wechat_signed_in(user: User, pack: TokenPack, message: str, code: int) -> Response:
    return private({"success": True, "message": message, "user": wx_user(user), **asdict(pack)}, code)


class BindView(APIView):
    refusals = {
        "post": (
            *WECHAT_REFUSALS,
            errors.WechatSessionInvalid,
            errors.WechatTaken,
            errors.WechatAlreadyBound,
        ),
    }

    @extend_schema(request=shapes.BindSerializer, responses=shapes.BoundSerializer, tags=["wechat"])
    def post(self, request: Request) -> Response:
        """Link WeChat to the signed-in user by a code and the state that came with it, or by a QR code that was
        scanned.
        """
        data = checked(shapes.BindSerializer, request)
        user, ip = cast(User, request.user), client_ip(request)
        if token := data.get("session_token"):
            wechat.bind_scanned(user=user, session_token=token, ip=ip)
        else:
            wechat.bind(user=user, code=data["code"], state=data.get("state") or "", ip=ip)
        linked = cast(SocialAccount, wechat_of(user))
        body = {
            "success": True,
            "message": _("WeChat is linked."),
            "wechat_nickname": linked.nickname,
            "wechat_avatar": linked.avatar_url,
            "bound_at": linked.created_at,
        }
        return Response(body)


class UnbindView(APIView):
    refusals = {
        "delete": (errors.WechatNotBound, errors.LastSignInMethod),
    }

    @extend_schema(request=None, responses={200: DoneSerializer}, tags=["wechat"])
    def delete(self, request: Request) -> Response:
        """Forget the signed-in user's WeChat; refused where they could not sign in otherwise."""
        wechat_accounts.unbind(user=cast(User, request.user))
        return Response({"success": True, "message": _("WeChat is no longer linked.")})
