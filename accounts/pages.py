"""Our own pages: /login and /account. They show; what they do goes by the API, as for every other client."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.wechat import client
from accounts.wechat.browsers import mark_browser


@require_safe
@never_cache
def login(request: HttpRequest) -> HttpResponse:
    """GET /login: by password, phone code or QR code; a QR code is good in this browser alone."""
    wechat = {"offered": bool(client.apps()), "scannable": client.scannable()}
    page = render(request, "accounts/login.html", {"wechat": wechat, "embedded": settings.EMBEDDED_PROFILE})
    mark_browser(request, page)
    return page


@require_safe
@never_cache
def account(request: HttpRequest) -> HttpResponse:
    """GET /account: who is signed in; the page holds nothing itself and asks the API with the browser's token."""
    return render(request, "accounts/account.html")
