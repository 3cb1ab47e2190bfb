"""Our own pages: /login, /account, /teams and /invitation. They only show: what they do goes through the API, as with
every client.

Only /verify-email acts by itself: whoever opens a mailed link need not be signed in where they read their mail.
"""

from django.conf import settings
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.errors import EmailLinkInvalid
from accounts.services import emails
from accounts.wechat import client
from accounts.wechat.browsers import mark_browser

AVATAR_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


@require_safe
@never_cache
def login(request: HttpRequest) -> HttpResponse:
    """GET /login: by password, phone code or QR code, or to a new password."""
    return with_qr_code(request, "accounts/login.html")


@require_safe
@never_cache
def account(request: HttpRequest) -> HttpResponse:
    """GET /account: who is signed in; the page holds nothing itself and asks the API with the browser's token."""
    return with_qr_code(request, "accounts/account.html")


def with_qr_code(request: HttpRequest, template: str) -> HttpResponse:
    """A page that may show a QR code of WeChat; one is good in this browser alone."""
    wechat = {"offered": bool(client.apps()), "scannable": client.scannable()}
    context = {
        "wechat": wechat,
        "embedded": settings.EMBEDDED_PROFILE,
        "days_of_grace": settings.ACCOUNT_DELETION_DAYS,
    }
    page = render(request, template, context)
    mark_browser(request, page)
    return page


@require_safe
@never_cache
def teams(request: HttpRequest) -> HttpResponse:
    """GET /teams: the teams of who is signed in, with members and invitations; the page asks the API for all of it."""
    return render(request, "accounts/teams.html")


@require_safe
@never_cache
def invitation(request: HttpRequest) -> HttpResponse:
    """GET /invitation#token: an invitation to a team; the page asks the API what it is, and answers it there."""
    return render(request, "accounts/invitation.html")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def verify_email(request: HttpRequest) -> HttpResponse:
    """GET /verify-email?token= asks, POST confirms: programs that look into mail open links, too."""
    token = request.GET.get("token", "")
    try:
        user = emails.verify(token=token) if request.method == "POST" else emails.user_of_link(token)
    except EmailLinkInvalid as error:
        return render(request, "accounts/verify_email.html", {"error": error}, status=error.status)
    return render(request, "accounts/verify_email.html", {"holder": user})


@require_safe
def avatar(request: HttpRequest, name: str) -> HttpResponse:
    """GET /media/avatars/<name>: a picture that we drew. Another picture has another name, so it is kept for good.

    In production nginx answers instead (deploy/nginx.conf).
    """
    try:
        with default_storage.open(f"avatars/{name}") as file:
            content = file.read()
    except OSError as error:
        raise Http404 from error
    return HttpResponse(content, content_type="image/webp", headers=AVATAR_HEADERS)
