"""The cookie that binds a sign-in by QR code to the browser of our own page."""

import secrets

from django.http import HttpRequest, HttpResponse

COOKIE = "yuntu_browser"


def browser_of(request: HttpRequest) -> str:
    """The browser's secret; empty for clients that never opened our page."""
    return str(request.COOKIES.get(COOKIE, ""))


def mark_browser(request: HttpRequest, response: HttpResponse) -> None:
    """Give the browser its secret, unless it has one."""
    if not browser_of(request):
        response.set_cookie(
            COOKIE, secrets.token_urlsafe(32), httponly=True, samesite="Lax", secure=request.is_secure()
        )
