"""The WeChat of the embedded profile: plays WeChat's servers and, by a page, the phone of who scans.

It behaves as https://developers.weixin.qq.com/doc/oplatform/Website_App/WeChat_Login/Wechat_Login.html says: a code is
good once, for ten minutes and for its application alone; errors are an errcode with status 200; answers are
text/plain without a charset. Routed in the embedded profile alone (config/urls.py).
"""

import json
import secrets
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from accounts.wechat import client
from common.ids import digest
from common.realtime import connection

CODE_SECONDS, TOKEN_SECONDS = 600, 7200
SCOPES = {"/connect/qrconnect": "snsapi_login", "/connect/oauth2/authorize": "snsapi_userinfo"}
PEOPLE = {
    "lin": "林墨 🎨",
    "zhou": "周 Animator",
    "qiao": "乔一",
}
"""Made-up people: a name for the address, and the nickname."""


def person_of(name: str, appid: str) -> dict[str, Any]:
    """What WeChat tells about one of PEOPLE: an openid for each application, one unionid for all."""
    return {
        "openid": f"o{digest(f'{appid}:{name}')[:27]}",
        "unionid": f"u{digest(name)[:27]}",
        "nickname": PEOPLE[name],
        "sex": 0,
        "headimgurl": "",
        "privilege": [],
    }


def key(kind: str, value: str) -> str:
    return f"{settings.REDIS_PREFIX}:standin-wechat:{kind}:{value}"


def answer(body: dict[str, Any]) -> HttpResponse:
    return HttpResponse(json.dumps(body, ensure_ascii=False).encode(), content_type="text/plain")


def error(errcode: int, errmsg: str) -> HttpResponse:
    return answer({"errcode": errcode, "errmsg": errmsg})


def secret_of(appid: str) -> str | None:
    return next((app.secret for app in client.apps() if app.appid == appid), None)


@require_safe
def authorize(request: HttpRequest) -> HttpResponse:
    """Both pages of WeChat where a person confirms: here with a choice of who one is.

    `as` names the person; without it the page is shown. `refuse` leads back without a code, as WeChat documents it.
    """
    asked = {
        name: request.GET.get(name, "")
        for name in ("appid", "redirect_uri", "response_type", "scope", "state")
    }
    back = urlsplit(asked["redirect_uri"])
    valid = (
        secret_of(asked["appid"]) is not None
        and (back.scheme, back.path) in {(scheme, reverse("wechat-callback")) for scheme in ("http", "https")}
        and asked["response_type"] == "code"
        and asked["scope"] == SCOPES[request.path_info.removeprefix("/standin/wechat")]
    )
    name = request.GET.get("as", "")
    if not valid or (name and name not in PEOPLE):
        return render(request, "accounts/wechat_standin.html", {"valid": False}, status=400)
    if not name and "refuse" not in request.GET:
        return render(
            request,
            "accounts/wechat_standin.html",
            {"valid": True, "people": PEOPLE, "query": urlencode(asked)},
        )
    values = {"state": asked["state"]}
    if name:
        code = secrets.token_hex(16)
        grant = json.dumps({"appid": asked["appid"], "person": name, "scope": asked["scope"]})
        connection().set(key("code", code), grant, ex=CODE_SECONDS)
        values = {"code": code, **values}
    return HttpResponseRedirect(f"{asked['redirect_uri']}?{urlencode(values)}")


@require_safe
def access_token(request: HttpRequest) -> HttpResponse:
    """/sns/oauth2/access_token"""
    asked = request.GET
    secret = secret_of(asked.get("appid", ""))
    if secret is None:
        return error(40013, "invalid appid")
    if not secrets.compare_digest(secret.encode(), asked.get("secret", "").encode()):
        return error(40125, "invalid appsecret")
    if asked.get("grant_type") != "authorization_code":
        return error(40002, "invalid grant_type")
    code = asked.get("code", "")
    if not code:
        return error(41008, "missing code")
    found: Any = connection().getdel(key("code", code))
    if found is None:
        used = connection().exists(key("used", code))
        return error(40163, "code been used") if used else error(40029, "invalid code")
    connection().set(key("used", code), 1, ex=CODE_SECONDS)
    grant = json.loads(found)
    if grant["appid"] != asked["appid"]:
        return error(40029, "invalid code")
    token = secrets.token_urlsafe(32)
    connection().set(key("token", token), found, ex=TOKEN_SECONDS)
    person = person_of(grant["person"], grant["appid"])
    ids = {name: person[name] for name in ("openid", "unionid")}
    return answer({"access_token": token, "expires_in": TOKEN_SECONDS, "scope": grant["scope"], **ids})


@require_safe
def userinfo(request: HttpRequest) -> HttpResponse:
    """/sns/userinfo"""
    found: Any = connection().get(key("token", request.GET.get("access_token", "")))
    if found is None:
        return error(40001, "invalid credential, access_token is invalid or not latest")
    grant = json.loads(found)
    person = person_of(grant["person"], grant["appid"])
    if request.GET.get("openid") != person["openid"]:
        return error(40003, "invalid openid")
    return answer(person)


urlpatterns = [
    path("connect/qrconnect", authorize),
    path("connect/oauth2/authorize", authorize),
    path("sns/oauth2/access_token", access_token),
    path("sns/userinfo", userinfo),
]
