"""Errors that leave through the API: a stable code, an HTTP status, a text for people and data for programs.

The body is `{"detail": text, "code": slug, "errors": [...], ...data}` for every 4xx and 5xx.
"""

import re
import time
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise


class DomainError(Exception):
    """Base of the apps' errors. Subclasses set `code`, `status` and `text`; the data goes to the client unchanged."""

    code = "error"
    status = 400
    text: Text = _("The request cannot be carried out.")

    def __init__(self, text: Text | None = None, **data: Any) -> None:
        self.data = data
        self.message = text if text is not None else self.text
        super().__init__(self.code, self.message, data)

    def __str__(self) -> str:
        return str(self.message) % self.data if self.data else str(self.message)

    def body(self) -> dict[str, Any]:
        return {"detail": str(self), "code": self.code, **self.data}

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.data["retry_after"])} if "retry_after" in self.data else {}


class Conflict(DomainError):
    code, status, text = "conflict", 409, _("The request conflicts with what is there.")


class TransitionNotAllowed(Conflict):
    code, text = "transition_not_allowed", _("Not possible in the present state (%(status)s).")


class NotVisible(DomainError):
    code, status, text = "not_found", 404, _("Not found.")


class Invalid(DomainError):
    """A value that a service refuses; answered with 422, like the errors of serializers.

    `field` is the dotted path of the value within `source` (body, query, path or header); digits in it are places in
    a list. The values of a GET are in its query, and the exception handler says so.
    """

    code, status, text = "validation_error", 422, _("The request holds a value that is not allowed.")

    def __init__(
        self, text: Text | None = None, *, field: str = "", source: str = "body", **data: Any
    ) -> None:
        super().__init__(text, **data)
        self.field, self.source = field, source

    def body(self) -> dict[str, Any]:
        parts = self.field.split(".") if self.field else []
        loc = [self.source, *(int(part) if re.fullmatch("[0-9]+", part) else part for part in parts)]
        return {**super().body(), "errors": [{"loc": loc, "msg": str(self), "type": self.code}]}


class TooLarge(DomainError):
    code, status, text = "too_large", 413, _("The request body is larger than allowed.")


class Forbidden(DomainError):
    code, status, text = "permission_denied", 403, _("You may not do this.")


class Unauthorized(DomainError):
    code, status, text = "not_authenticated", 401, _("Sign in first.")


def rate_headers(limit: int, remaining: int, seconds: int) -> dict[str, str]:
    """What a window of `limit` uses still allows; Reset is the second (Unix time) at which it ends."""
    shown = {"Limit": limit, "Remaining": remaining, "Reset": int(time.time()) + seconds}
    return {f"X-RateLimit-{name}": str(value) for name, value in shown.items()}


class RateLimited(DomainError):
    """Data: retry_after in seconds, and limit, the number of uses that the exhausted window allows."""

    code, status, text = "rate_limited", 429, _("Too many requests; try again in %(retry_after)s s.")

    def headers(self) -> dict[str, str]:
        known = "limit" in self.data
        shown = rate_headers(self.data["limit"], 0, self.data["retry_after"]) if known else {}
        return {**super().headers(), **shown}


class ServiceUnavailable(DomainError):
    code, status, text = "unavailable", 503, _("The service is not available at the moment.")
