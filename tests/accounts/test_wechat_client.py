"""The client of WeChat, and WeChat on its bad days."""

import logging
import socket
from typing import Any

import pytest
from django.conf import settings as live

from accounts.errors import WechatAway, WechatCodeInvalid, WechatMisconfigured, WechatUnavailable
from accounts.wechat import client
from common.errors import DomainError, RateLimited
from tests.accounts.wechat_servers import ToldWechat

TOKEN, USER = "/sns/oauth2/access_token", "/sns/userinfo"


def test_who_confirmed(told_wechat: ToldWechat) -> None:
    person = client.person_of(client.website_app(), "the-code")
    assert person == client.WechatPerson(live.WECHAT_APP_ID, "o-somebody", "u-somebody", "某人", "")
    [(first, grant), (second, key)] = told_wechat.asked
    assert (first, second) == (TOKEN, USER)
    assert grant == {
        "appid": live.WECHAT_APP_ID,
        "secret": live.WECHAT_APP_SECRET,
        "code": "the-code",
        "grant_type": "authorization_code",
    }
    assert key == {"access_token": "key-to-a-name", "openid": "o-somebody", "lang": "zh_CN"}


def test_the_address_is_as_wechat_documents_it(settings: Any) -> None:
    settings.WECHAT_OPEN_URL = "https://open.weixin.qq.com"
    back = "https://yuntu.example.com/api/v1/wechat/callback"
    quoted = "https%3A%2F%2Fyuntu.example.com%2Fapi%2Fv1%2Fwechat%2Fcallback"
    assert client.confirm_address(client.website_app(), redirect_uri=back, state="s1") == (
        f"https://open.weixin.qq.com/connect/qrconnect?appid={settings.WECHAT_APP_ID}&redirect_uri={quoted}"
        "&response_type=code&scope=snsapi_login&state=s1#wechat_redirect"
    )
    assert client.confirm_address(client.app_of_codes(), redirect_uri=back, state="s1") == (
        f"https://open.weixin.qq.com/connect/oauth2/authorize?appid={settings.WECHAT_MP_APP_ID}"
        f"&redirect_uri={quoted}&response_type=code&scope=snsapi_userinfo&state=s1#wechat_redirect"
    )


def test_without_an_official_account_the_website_application_is_used(settings: Any) -> None:
    settings.WECHAT_MP_APP_ID = ""
    assert client.app_of_codes() == client.website_app()
    assert not client.scannable()
    settings.WECHAT_APP_SECRET = ""
    for ask in (client.app_of_codes, client.website_app, lambda: client.app_named("standin-website")):
        with pytest.raises(WechatUnavailable):
            ask()


@pytest.mark.parametrize(
    ("errcode", "refusal"),
    [
        (40029, WechatCodeInvalid),
        (40163, WechatCodeInvalid),
        (40013, WechatMisconfigured),
        (40125, WechatMisconfigured),
        (45011, RateLimited),
        (-1, WechatAway),
        (99999, WechatAway),
        ("40029", WechatAway),
        ([40029], WechatAway),
    ],
)
@pytest.mark.parametrize("path", [TOKEN, USER])
def test_error_codes(
    told_wechat: ToldWechat, path: str, errcode: Any, refusal: type[DomainError], caplog: Any
) -> None:
    told_wechat.answers[path] = {"errcode": errcode, "errmsg": "no"}
    with caplog.at_level(logging.DEBUG), pytest.raises(refusal):
        client.person_of(client.website_app(), "the-code")
    assert (logging.ERROR in {record.levelno for record in caplog.records}) == (
        refusal is WechatMisconfigured
    )


@pytest.mark.parametrize("path", [TOKEN, USER])
@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[]", b"null", b"\xff\xfe", b'{"openid": ', b"[" * 100_000, b"{}", b'{"openid": 7}'],
)
def test_garbage(told_wechat: ToldWechat, path: str, body: bytes) -> None:
    told_wechat.answers[path] = body
    with pytest.raises(WechatAway):
        client.person_of(client.website_app(), "the-code")


@pytest.mark.parametrize("path", [TOKEN, USER])
def test_a_server_error_is_no_answer(told_wechat: ToldWechat, path: str) -> None:
    told_wechat.status = 502
    with pytest.raises(WechatAway):
        client.person_of(client.website_app(), "the-code")


@pytest.mark.parametrize(("path", "asked"), [(TOKEN, 1), (USER, 2)])
def test_slow_is_as_bad_as_away_and_is_not_asked_again(
    told_wechat: ToldWechat, path: str, asked: int, settings: Any
) -> None:
    settings.WECHAT_TIMEOUT_SECONDS = 1.5
    told_wechat.answers[path] = 30
    with pytest.raises(WechatAway):
        client.person_of(client.website_app(), "the-code")
    assert len(told_wechat.asked) == asked
    assert not told_wechat.outwaited


def test_nobody_listens(settings: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings.WECHAT_API_URL = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(WechatAway):
            client.person_of(client.website_app(), "the-code")


def test_reading_a_name_is_tried_once_more_where_no_connection_came_about(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def connect(address: Any, *args: Any, **kwargs: Any) -> Any:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    settings.WECHAT_API_URL = "http://127.0.0.1:1"
    with client.httpx.Client(base_url=settings.WECHAT_API_URL) as http:
        for attempts in (1, 2):
            tried.clear()
            with pytest.raises(WechatAway):
                client.ask(http, USER, {}, attempts=attempts)
            assert len(tried) == attempts


def test_another_openid_than_the_tokens_is_no_answer(told_wechat: ToldWechat) -> None:
    told_wechat.change(USER, openid="o-another")
    with pytest.raises(WechatAway):
        client.person_of(client.website_app(), "the-code")


def test_the_made_up_person_of_a_preview_is_nobody(told_wechat: ToldWechat) -> None:
    told_wechat.change(TOKEN, is_snapshotuser=1)
    with pytest.raises(WechatCodeInvalid):
        client.person_of(client.website_app(), "the-code")


@pytest.mark.parametrize(
    ("nickname", "shown"),
    [
        ("林" * 101, "林" * 100),
        ("🎨" * 100, "🎨" * 100),
        ("a\x00b", "ab"),
        (7, ""),
        (None, ""),
        ("", ""),
    ],
)
def test_nicknames(told_wechat: ToldWechat, nickname: Any, shown: str) -> None:
    told_wechat.change(USER, nickname=nickname)
    assert client.person_of(client.website_app(), "the-code").nickname == shown


def test_half_a_surrogate_pair_is_left_out(told_wechat: ToldWechat) -> None:
    told_wechat.answers[USER] = b'{"openid": "o-somebody", "nickname": "x\\ud83dy", "unionid": "\\udc00"}'
    person = client.person_of(client.website_app(), "the-code")
    assert (person.nickname, person.unionid) == ("xy", "")


def test_what_is_too_long_is_nothing(told_wechat: ToldWechat) -> None:
    told_wechat.change(USER, headimgurl="https://" + "x" * 600, unionid="u" * 129)
    person = client.person_of(client.website_app(), "the-code")
    assert (person.avatar_url, person.unionid) == ("", "")


def test_no_secret_reaches_the_log(
    told_wechat: ToldWechat, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    """The levels of the settings, and the lowest for everything else."""
    logging.getLogger("httpx").setLevel(settings.LOGGING["loggers"]["httpx"]["level"])
    for answer in (GOOD_USER, 30, b"garbage", {"errcode": 40013}):
        told_wechat.answers[USER] = answer
        with caplog.at_level(logging.DEBUG):
            try:
                client.person_of(client.website_app(), "the-secret-code")
            except DomainError as error:
                assert error.__cause__ is None
    assert caplog.records
    for record in caplog.records:
        words = record.getMessage() + str(record.exc_info)
        for secret in ("the-secret-code", settings.WECHAT_APP_SECRET, "key-to-a-name"):
            assert secret not in words


GOOD_USER = {"openid": "o-somebody", "unionid": "", "nickname": "", "headimgurl": ""}
