"""HTTP behaviour that holds for every route."""

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC

from csp.constants import HEADER as CSP_HEADER
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _
from django.views.defaults import page_not_found

from common import origin
from common.bodies import arrives
from common.ids import new_id
from common.limits import client_ip

GetResponse = Callable[[HttpRequest], HttpResponse]
request_id: ContextVar[str] = ContextVar("request_id", default="-")
API_PREFIXES = ("/api/", "/health")
UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
ERRORS = {
    400: ("bad_request", _("The request is malformed.")),
    403: ("permission_denied", _("You may not do this.")),
    404: ("not_found", _("Not found.")),
    405: ("method_not_allowed", _("Method not allowed.")),
    413: ("too_large", _("The request body is larger than allowed.")),
    500: ("internal_error", _("Internal server error.")),
}


class RequestIdFilter(logging.Filter):
    """Puts the id of the request at hand on each log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class RequestIdMiddleware:
    """Gives each request an id, taken from X-Request-Id when a proxy set a plain one, and answers it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        value = given if re.fullmatch(r"[\w-]{8,64}", given, re.ASCII) else new_id().hex
        token = request_id.set(value)
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-Id"] = value
        return response


class OriginMiddleware:
    """Says where the request at hand comes from (common.origin)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        device = UNPRINTABLE.sub("", request.META.get("HTTP_USER_AGENT", ""))[:255]
        token = origin.current.set(origin.Origin(client_ip(request), device))
        try:
            return self.get_response(request)
        finally:
            origin.current.reset(token)


class SlashMiddleware:
    """API routes answer with and without a trailing slash; a redirect would lose the body of a POST."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(API_PREFIXES) and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
        return self.get_response(request)


class UtcMiddleware:
    """API times are UTC (`…Z`); operators' pages keep the time zone of the settings."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/api/"):
            return self.get_response(request)
        with timezone.override(UTC):
            return self.get_response(request)


class PolicyMiddleware(CSPMiddleware):
    """What a page may load stands in the settings; an answer of the API is no page, and has nothing to load."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.get("Content-Type") != "application/json":
            return super().process_response(request, response)
        response.headers.setdefault(CSP_HEADER, "default-src 'none'; frame-ancestors 'none'")
        return response


class JsonErrorMiddleware:
    """API errors are JSON also where Django itself answers: unknown route, wrong host, crash, body too large."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if self.is_too_large(request):
            return error_response(request, 413)
        if not request.path_info.startswith(API_PREFIXES):
            return self.get_response(request)
        response = self.get_response(request)
        if response.status_code < 400 or response.get("Content-Type", "").startswith("application/json"):
            return response
        if response.streaming or getattr(response, "for_people", False):
            return response
        replaced = error_response(request, response.status_code, response.reason_phrase)
        for header in ("Allow", "WWW-Authenticate", "Retry-After"):
            if header in response:
                replaced[header] = response[header]
        return replaced

    @staticmethod
    def is_too_large(request: HttpRequest) -> bool:
        """Told from the declared length before anything is read or parsed, or from what BodyLimit counted."""
        if getattr(request, "scope", {}).get(BodyLimit.TOO_LARGE):
            return True
        if not request.path_info.startswith(API_PREFIXES) or arrives(request.path_info):
            return False
        declared = request.META.get("CONTENT_LENGTH") or "0"
        length = int(declared) if declared.isascii() and declared.isdigit() else 0
        files = (request.content_type or "").startswith(("multipart/", "application/octet-stream"))
        return length > (settings.MAX_BODY if files else settings.MAX_JSON_BODY)


class NotFoundPageMiddleware:
    """People see our page of what is not there also where DEBUG is on; Django's own lists every route of ours."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = response.get("Content-Type", "").startswith("text/html")
        if settings.DEBUG and response.status_code == 404 and is_page:
            return page_not_found(request, Http404())
        return response


def error_response(request: HttpRequest, status: int, reason: str = "") -> JsonResponse:
    """An error in the API's shape, in the language of the request: LocaleMiddleware may not have run yet."""
    code, text = ERRORS.get(status, ("error", reason))
    with translation.override(translation.get_language_from_request(request)):
        return JsonResponse({"detail": str(text), "code": code}, status=status)


class BodyLimit:
    """ASGI wrapper: Django reads a body whole before any middleware runs, so it gets no more than `limit` bytes.

    Of a longer one, also one sent without a length, the rest is dropped and the scope is marked;
    JsonErrorMiddleware then answers 413 like any other error.
    """

    TOO_LARGE = "yuntu.body_too_large"

    def __init__(self, app: Callable, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen = 0

        async def counted() -> dict:
            nonlocal seen
            message: dict = await receive()
            seen += len(message.get("body", b""))
            if seen <= self.limit:
                return message
            if scope.get(self.TOO_LARGE):
                while message["type"] != "http.disconnect":
                    message = await receive()
                return message
            scope[self.TOO_LARGE] = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def closing(message: dict) -> None:
            if scope.get(self.TOO_LARGE) and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self.app(scope, counted, closing)
