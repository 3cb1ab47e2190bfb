"""Who somebody is in WeChat: the address where a person confirms, and the two calls that turn a code into a person.

https://developers.weixin.qq.com/doc/oplatform/Website_App/WeChat_Login/Wechat_Login.html (website application)
https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_webpage_authorization.html (official account)
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from django.conf import settings

from accounts.errors import WechatAway, WechatCodeInvalid, WechatMisconfigured, WechatUnavailable
from common.errors import DomainError, RateLimited
from common.parsers import UNSTORABLE

logger = logging.getLogger(__name__)
NICKNAME_LENGTH, ADDRESS_LENGTH, ID_LENGTH = 100, 512, 128
# https://developers.weixin.qq.com/doc/oplatform/Return_codes/Return_code_descriptions_new.html
CODE_INVALID = {40029, 40163, 41008, 42003}  # not a code, used before, missing, expired
MISCONFIGURED = {40001, 40013, 40125, 41002, 41004, 48001, 50001}  # appid or secret, or an API we may not use
TOO_OFTEN = {45009, 45011}
RATE_WAIT = 60  # seconds; WeChat counts by the minute


@dataclass(frozen=True)
class WechatApp:
    """One of our applications at WeChat; a person has a separate `openid` in each."""

    appid: str
    secret: str
    path: str
    scope: str


@dataclass(frozen=True)
class WechatPerson:
    """`unionid` is the same in all applications of one owner; empty where WeChat gives none."""

    appid: str
    openid: str
    unionid: str = ""
    nickname: str = ""
    avatar_url: str = ""


def apps() -> list[WechatApp]:
    """What is configured; the one whose address goes into QR codes comes first."""
    known = [
        WechatApp(
            settings.WECHAT_MP_APP_ID,
            settings.WECHAT_MP_APP_SECRET,
            "/connect/oauth2/authorize",
            "snsapi_userinfo",
        ),
        WechatApp(settings.WECHAT_APP_ID, settings.WECHAT_APP_SECRET, "/connect/qrconnect", "snsapi_login"),
    ]
    return [app for app in known if app.appid and app.secret]


def scannable() -> bool:
    """Whether a phone can open the QR code's address by itself (docs/adr/0008-wechat-by-two-applications.md)."""
    return bool(settings.WECHAT_MP_APP_ID and settings.WECHAT_MP_APP_SECRET)


def app_of_codes() -> WechatApp:
    """The application whose address goes into QR codes. Raises WechatUnavailable."""
    for app in apps():
        return app
    raise WechatUnavailable


def website_app() -> WechatApp:
    """The application of codes that come without a sign-in of ours. Raises WechatUnavailable."""
    for app in reversed(apps()):
        return app
    raise WechatUnavailable


def app_named(appid: str) -> WechatApp:
    """Raises WechatUnavailable for an application that is no longer configured."""
    for app in apps():
        if app.appid == appid:
            return app
    raise WechatUnavailable


def confirm_address(app: WechatApp, *, redirect_uri: str, state: str) -> str:
    """Where a person allows `app` to know them; WeChat then leads to `redirect_uri` with code and state."""
    # WeChat wants the parameters in this order, and the fragment.
    query = urlencode(
        {
            "appid": app.appid,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": app.scope,
            "state": state,
        }
    )
    return f"{settings.WECHAT_OPEN_URL}{app.path}?{query}#wechat_redirect"


def person_of(app: WechatApp, code: str) -> WechatPerson:
    """Exchange a code for the person who confirmed. Two calls to the outside: never inside a transaction.

    Raises WechatCodeInvalid, WechatMisconfigured, WechatAway, RateLimited.
    """
    with httpx.Client(base_url=settings.WECHAT_API_URL, timeout=settings.WECHAT_TIMEOUT_SECONDS) as http:
        grant = {"appid": app.appid, "secret": app.secret, "code": code, "grant_type": "authorization_code"}
        token = ask(http, "/sns/oauth2/access_token", grant)
        if token.get("is_snapshotuser") == 1:
            # WeChat's preview of a page shows a made-up person with ids of no worth.
            raise WechatCodeInvalid
        key = {"access_token": text(token, "access_token", 2048), "openid": openid_of(token), "lang": "zh_CN"}
        # Reading somebody's name twice does no harm; a code would be used up by the first try.
        found = ask(http, "/sns/userinfo", key, attempts=2)
    if openid_of(found) != key["openid"]:
        raise WechatAway
    return WechatPerson(
        appid=app.appid,
        openid=key["openid"],
        unionid=text(found, "unionid", ID_LENGTH) or text(token, "unionid", ID_LENGTH),
        nickname=nickname_of(found),
        avatar_url=text(found, "headimgurl", ADDRESS_LENGTH),
    )


def ask(http: httpx.Client, path: str, query: dict[str, str], attempts: int = 1) -> dict[str, Any]:
    """WeChat's answer. Neither the query, which holds secrets, nor the answer is logged."""
    for attempt in range(1, attempts + 1):
        try:
            answer = http.get(path, params=query)
            break
        except httpx.HTTPError as error:
            logger.warning("WeChat did not answer %s: %s", path, type(error).__name__)
            connecting = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            if attempt == attempts or not connecting:
                raise WechatAway from None  # the exception's request holds the secrets
    try:
        # Its answers are text/plain without a charset, and UTF-8.
        body = json.loads(answer.content.decode("utf-8"))
    except (ValueError, RecursionError):
        body = None
    if answer.status_code != httpx.codes.OK or not isinstance(body, dict):
        logger.warning("WeChat answered %s with status %s and no JSON object", path, answer.status_code)
        raise WechatAway
    if body.get("errcode"):
        raise refusal(path, body["errcode"])
    return body


def refusal(path: str, errcode: Any) -> DomainError:
    """What one of WeChat's error codes means to us."""
    number = errcode if isinstance(errcode, int) else 0
    if number in CODE_INVALID:
        return WechatCodeInvalid()
    if number in TOO_OFTEN:
        logger.warning("WeChat limits our calls of %s (%s)", path, number)
        return RateLimited(retry_after=RATE_WAIT)
    if number in MISCONFIGURED:
        logger.error("WeChat refuses our application at %s (%s): check appid and secret", path, number)
        return WechatMisconfigured()
    logger.warning("WeChat answered %s with error %s", path, number)
    return WechatAway()


def text(body: dict[str, Any], key: str, longest: int) -> str:
    """A text of WeChat's answer; nothing for what is none, is longer than we hold, or cannot be stored."""
    value = body.get(key)
    if not isinstance(value, str) or len(value) > longest or UNSTORABLE.search(value):
        return ""
    return value


def nickname_of(body: dict[str, Any]) -> str:
    """A name may be anything, and is shown as far as it can be."""
    value = body.get("nickname")
    return UNSTORABLE.sub("", value)[:NICKNAME_LENGTH] if isinstance(value, str) else ""


def openid_of(body: dict[str, Any]) -> str:
    """Raises WechatAway where there is none: without it the answer says nothing."""
    openid = text(body, "openid", ID_LENGTH)
    if not openid:
        raise WechatAway
    return openid
