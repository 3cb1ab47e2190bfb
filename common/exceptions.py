"""DRF's exception handler: every error leaves in the one shape of common.errors."""

import logging
from typing import Any

import redis
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DataError, OperationalError
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response
from rest_framework.views import set_rollback

from common.errors import DomainError, Forbidden, Invalid, NotVisible, ServiceUnavailable, TooLarge

logger = logging.getLogger(__name__)
AWAY = (OperationalError, redis.ConnectionError, redis.TimeoutError)


def flatten(detail: Any, loc: list[str | int]) -> list[dict[str, Any]]:
    """DRF's nested validation detail as a flat list of {loc, msg, type}; the rejected input is never part of it."""
    if isinstance(detail, dict):
        found: list[dict[str, Any]] = []
        for key, value in detail.items():
            found += flatten(value, loc if key == "non_field_errors" else [*loc, key])
        return found
    if isinstance(detail, list):
        found = []
        for index, value in enumerate(detail):
            found += flatten(value, [*loc, index] if isinstance(value, dict | list) else loc)
        return found
    code = getattr(detail, "code", "invalid")
    # The framework's own text for this one repeats what was sent.
    text = _("Not one of the choices.") if code == "invalid_choice" else detail
    return [{"loc": loc, "msg": str(text), "type": code}]


def validation_body(detail: Any, source: str = "body") -> dict[str, Any]:
    errors = flatten(detail, [source])
    first = errors[0] if errors else {"loc": [source], "msg": str(_("Invalid."))}
    field = ".".join(str(part) for part in first["loc"][1:])
    return {
        "detail": f"{field}: {first['msg']}" if field else first["msg"],
        "code": "validation_error",
        "errors": errors,
    }


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every error in the one shape. Unknown exceptions stay 500 (and are logged)."""
    headers: dict[str, str] = {}
    if isinstance(exc, Http404):
        exc = NotVisible()
    elif isinstance(exc, PermissionDenied):
        exc = Forbidden()
    elif isinstance(exc, RequestDataTooBig):
        exc = TooLarge()
    elif isinstance(exc, AWAY):
        logger.error("PostgreSQL or Redis did not answer", exc_info=exc)
        exc = ServiceUnavailable(retry_after=5)
    elif isinstance(exc, DataError):
        # A net under the serializers: a number beyond its column is the client's mistake.
        logger.warning("PostgreSQL refused a value", exc_info=exc)
        exc = Invalid()
    place = "query" if context["request"].method in SAFE_METHODS else "body"
    if isinstance(exc, Invalid) and exc.source == "body":
        exc.source = place
    if isinstance(exc, DomainError):
        status, body, headers = exc.status, exc.body(), exc.headers()
    elif isinstance(exc, exceptions.ValidationError):
        status, body = 422, validation_body(exc.detail, place)
    elif isinstance(exc, exceptions.APIException):
        status = exc.status_code
        code = {"parse_error": "malformed_body"}.get(exc.default_code, exc.default_code)
        body = {"detail": str(exc.detail), "code": code}
        if wait := getattr(exc, "wait", None):
            headers["Retry-After"] = str(int(wait))
    else:
        return None
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    set_rollback()
    return Response(body, status=status, headers=headers)
