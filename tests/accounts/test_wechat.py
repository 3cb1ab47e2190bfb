"""Signing in by WeChat's QR code, from the code to the tokens."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as live
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEvent, Session, SocialAccount, User, WechatLoginSession
from accounts.services import wechat as service
from accounts.services.tokens import read_access
from accounts.tasks import purge_wechat_logins
from billing.models import Wallet
from common.ids import digest
from drives.models import Drive
from tests.accounts.conftest import PHONE, code_for
from tests.accounts.wechat import (
    bind_new,
    code_of,
    openid_of,
    parameters,
    phone_code,
    poll,
    scan,
    scanned,
    start,
    unionid_of,
)
from tests.accounts.wechat_servers import ToldWechat
from tests.conftest import Client
from tests.factories import PASSWORD, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wechat")]
Status = WechatLoginSession.Status


@pytest.fixture
def browser() -> Client:
    """A browser of another origin: no cookie of ours."""
    return Client()


def test_a_qr_code(browser: Client) -> None:
    answer = browser.post("/wechat/qrcode", {"device_type": "pc"})
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    assert set(body) == {"session_id", "scene_str", "qr_code_url", "qr_svg", "expires_in"}
    assert body["session_id"] == body["scene_str"]
    assert body["expires_in"] == 300
    assert body["qr_svg"].startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    asked = parameters(body["qr_code_url"])
    assert asked["appid"] == live.WECHAT_MP_APP_ID
    assert asked["redirect_uri"] == "http://testserver/api/v1/wechat/callback"
    # The secret of who asks is not in the code, and neither is kept readable.
    assert body["session_id"] not in body["qr_code_url"] + body["qr_svg"]
    row = WechatLoginSession.objects.get()
    assert (row.poll_hash, row.state_hash) == (digest(body["session_id"]), digest(asked["state"]))
    assert (row.status, row.device_type, row.browser_hash) == (Status.PENDING, "pc", "")


def test_the_address_of_return_is_the_public_one(browser: Client, settings: Any) -> None:
    settings.PUBLIC_URL = "https://yuntu.example.com/"
    url = start(browser)["qr_code_url"]
    assert parameters(url)["redirect_uri"] == "https://yuntu.example.com/api/v1/wechat/callback"


def test_somebody_new_binds_a_phone(browser: Client) -> None:
    login = start(browser)
    assert poll(browser, login) == {"status": "pending", "need_bind_phone": False}
    page = scan(browser, login)
    assert page.status_code == 200
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert "还差一步" in page.content.decode()
    body = poll(browser, login)
    assert set(body) == {"status", "need_bind_phone", "session_token", "nickname"}
    assert (body["status"], body["need_bind_phone"], body["nickname"]) == ("scanned", True, "林墨 🎨")
    assert poll(browser, login) == body  # asked every two seconds until the phone is there

    form = {"session_token": body["session_token"], "phone": PHONE, "verification_code": phone_code(PHONE)}
    answer = browser.post("/wechat/bind-phone", form)
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    signed_in = answer.json()
    assert set(signed_in) == {
        "success", "message", "user", "access_token", "refresh_token", "token_type", "expires_in",
    }  # fmt: skip
    user = User.objects.get()
    assert signed_in["user"] == {
        "id": str(user.pk), "username": user.username, "phone": PHONE, "email": None, "avatar": "",
    }  # fmt: skip
    assert user.username.startswith("wx_")
    assert not user.has_usable_password() and not user.is_guest
    assert Wallet.objects.get(user=user).balance == 50
    assert Drive.objects.filter(user=user).exists()
    linked = SocialAccount.objects.get()
    assert (linked.user, linked.appid, linked.openid) == (user, live.WECHAT_MP_APP_ID, openid_of("lin"))
    assert (linked.unionid, linked.nickname) == (unionid_of("lin"), "林墨 🎨")
    bound = AuditEvent.objects.get(action=AuditEvent.Action.WECHAT_BOUND)
    assert (bound.user, bound.actor, bound.after) == (user, user, {"nickname": "林墨 🎨"})
    # The sign-in is used up.
    assert poll(browser, login) == {"status": "expired", "need_bind_phone": False}
    assert browser.post("/wechat/bind-phone", form).json()["code"] == "wechat_session_invalid"

    me = browser.get("/users/me", headers={"Authorization": f"Bearer {signed_in['access_token']}"}).json()
    masked = f"{openid_of('lin')[:4]}****{openid_of('lin')[-4:]}"
    assert (me["wechat_openid"], me["wechat_nickname"], me["wechat_avatar"]) == (masked, "林墨 🎨", "")
    assert me["wechat_bound_at"] == linked.created_at.isoformat().replace("+00:00", "Z")


def test_somebody_known_is_signed_in_once(browser: Client) -> None:
    bind_new(browser, "lin", PHONE)
    Session.objects.all().delete()
    login = start(browser)
    page = scan(browser, login)
    assert "已确认" in page.content.decode()
    answer = browser.get(f"/wechat/poll/{login['session_id']}")
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    user = User.objects.get()
    assert set(body) == {
        "status", "need_bind_phone", "nickname", "user", "access_token", "refresh_token", "token_type",
        "expires_in",
    }  # fmt: skip
    assert (body["status"], body["user"]["id"]) == ("confirmed", str(user.pk))
    assert read_access(body["access_token"]).user_id == user.pk
    assert Session.objects.get().pk == read_access(body["access_token"]).session_id
    assert poll(browser, login) == {"status": "expired", "need_bind_phone": False}
    assert Session.objects.count() == User.objects.count() == 1


def test_a_code_asked_for_without_a_purpose_binds_as_well(browser: Client) -> None:
    _login, token = scanned(browser)
    form = {"session_token": token, "phone": PHONE, "verification_code": code_for(browser)}
    assert browser.post("/wechat/bind-phone", form).status_code == 201


def test_somebody_with_an_account_links_it(browser: Client) -> None:
    user = make_user()
    _login, token = scanned(browser)
    form = {"session_token": token, "phone": user.phone, "password": PASSWORD}
    answer = browser.post("/wechat/link-account", form)
    assert answer.status_code == 200
    assert answer.json()["user"]["username"] == user.username
    assert SocialAccount.objects.get().user == User.objects.get() == user
    assert browser.post("/wechat/link-account", form).json()["code"] == "wechat_session_invalid"


def test_one_person_in_two_applications_is_one_user(browser: Client, settings: Any) -> None:
    bind_new(browser, "lin", PHONE)
    settings.WECHAT_MP_APP_ID = ""  # from now on codes hold the address of the website application
    login = start(browser)
    scan(browser, login)
    assert poll(browser, login)["status"] == "confirmed"
    assert User.objects.count() == 1
    rows = SocialAccount.objects.order_by("created_at")
    assert [row.appid for row in rows] == ["standin-official", live.WECHAT_APP_ID]
    assert [row.openid for row in rows] == [
        openid_of("lin", "standin-official"),
        openid_of("lin", live.WECHAT_APP_ID),
    ]
    assert {row.unionid for row in rows} == {unionid_of("lin")}


def told_sign_in(told: ToldWechat, **values: Any) -> dict[str, Any]:
    """A sign-in of whom WeChat tells of with `values`."""
    told.change("/sns/oauth2/access_token", openid=values.get("openid", "o-somebody"))
    told.change("/sns/userinfo", **values)
    browser = Client()
    login = start(browser)
    Client().get(f"/wechat/callback?code=any&state={login['state']}")
    return poll(browser, login)


def test_without_a_unionid_the_openid_counts_and_learns_it_later(told_wechat: ToldWechat) -> None:
    user = make_user()
    SocialAccount.objects.create(user=user, provider="wechat", appid=live.WECHAT_MP_APP_ID, openid="o-1")
    body = told_sign_in(told_wechat, openid="o-1", unionid="u-1", nickname="New name")
    assert (body["status"], body["user"]["id"]) == ("confirmed", str(user.pk))
    row = SocialAccount.objects.get()
    assert (row.unionid, row.nickname) == ("u-1", "New name")


def test_the_unionid_goes_before_the_openid(told_wechat: ToldWechat) -> None:
    older, newer = make_user(), make_user()
    for user, appid, openid, unionid in (
        (older, live.WECHAT_APP_ID, "o-9", "u-1"),
        (newer, live.WECHAT_MP_APP_ID, "o-1", ""),
    ):
        SocialAccount.objects.create(
            user=user, provider="wechat", appid=appid, openid=openid, unionid=unionid
        )
    body = told_sign_in(told_wechat, openid="o-1", unionid="u-1")
    assert body["user"]["id"] == str(older.pk)
    assert SocialAccount.objects.get(openid="o-1").user == newer


# --- what expires, and what is used up -------------------------------------------------------------------------


def test_a_code_expires(browser: Client) -> None:
    login = start(browser)
    WechatLoginSession.objects.update(expires_at=timezone.now())
    assert poll(browser, login) == {"status": "expired", "need_bind_phone": False}
    assert scan(browser, login).status_code == 400
    assert WechatLoginSession.objects.get().state_used_at is None


def test_who_scans_at_the_last_moment_has_time_to_bind(browser: Client) -> None:
    login = start(browser)
    WechatLoginSession.objects.update(expires_at=timezone.now() + timedelta(seconds=5))
    scan(browser, login)
    left = WechatLoginSession.objects.get().expires_at - timezone.now()
    assert timedelta(seconds=290) < left <= timedelta(seconds=300)


def test_tokens_not_collected_in_time_are_none(browser: Client) -> None:
    bind_new(browser, "lin", PHONE)
    login = start(browser)
    scan(browser, login)
    WechatLoginSession.objects.filter(status=Status.CONFIRMED).update(expires_at=timezone.now())
    sessions = Session.objects.count()
    assert poll(browser, login)["status"] == "expired"
    assert Session.objects.count() == sessions


def test_a_phone_not_bound_in_time(browser: Client) -> None:
    _login, token = scanned(browser)
    form = {"session_token": token, "phone": PHONE, "verification_code": phone_code(PHONE)}
    WechatLoginSession.objects.update(expires_at=timezone.now())
    answer = browser.post("/wechat/bind-phone", form)
    assert (answer.status_code, answer.json()["code"]) == (400, "wechat_session_invalid")
    assert not User.objects.exists()


@pytest.mark.parametrize("state", ["", "x", "0" * 32, "0" * 5000, "\x00"])
def test_a_foreign_state(browser: Client, state: str) -> None:
    login = start(browser)
    code = code_of("lin", login["qr_code_url"])
    page = browser.get("/wechat/callback", {"code": code, "state": state})
    assert page.status_code == 400
    assert "二维码已使用或已过期" in page.content.decode()
    assert poll(browser, login)["status"] == "pending"
    # The poll id is no state.
    answer = browser.post("/wechat/callback", {"code": code, "state": login["session_id"]})
    assert (answer.status_code, answer.json()["code"]) == (400, "wechat_state_invalid")


def test_a_state_is_good_once(browser: Client) -> None:
    login = start(browser)
    codes = [code_of("lin", login["qr_code_url"]) for _time in range(2)]
    forms = [{"code": code, "state": login["state"]} for code in codes]
    assert browser.post("/wechat/callback", forms[0]).status_code == 200
    answer = browser.post("/wechat/callback", forms[1])
    assert (answer.status_code, answer.json()["code"]) == (400, "wechat_state_invalid")
    assert WechatLoginSession.objects.get().status == Status.SCANNED


@pytest.mark.parametrize("code", ["nonsense", "used", "of another application"])
def test_a_code_that_wechat_does_not_take(browser: Client, code: str) -> None:
    first, login = start(browser), start(browser)
    if code == "used":
        code = code_of("lin", first["qr_code_url"])
        assert browser.post("/wechat/callback", {"code": code, "state": first["state"]}).status_code == 200
    elif code == "of another application":
        url = first["qr_code_url"].replace(live.WECHAT_MP_APP_ID, live.WECHAT_APP_ID)
        url = url.replace("oauth2/authorize", "qrconnect").replace("snsapi_userinfo", "snsapi_login")
        code = code_of("lin", url)
    answer = browser.post("/wechat/callback", {"code": code, "state": login["state"]})
    assert (answer.status_code, answer.json()["code"]) == (400, "wechat_code_invalid")
    # The waiting browser is told to take a new code.
    assert poll(browser, login)["status"] == "expired"


def test_who_refuses_in_wechat(browser: Client) -> None:
    login = start(browser)
    page = Client().get(f"/wechat/callback?state={login['state']}")
    assert page.status_code == 400
    assert "拒绝了登录" in page.content.decode()
    assert poll(browser, login)["status"] == "expired"


def test_wechat_is_away(told_wechat: ToldWechat, browser: Client) -> None:
    told_wechat.answers["/sns/oauth2/access_token"] = b"<html>502</html>"
    login = start(browser)
    page = Client().get(f"/wechat/callback?code=any&state={login['state']}")
    assert (page.status_code, page["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert "微信暂无响应" in page.content.decode()
    assert poll(browser, login)["status"] == "expired"


def test_wechat_limits_us(told_wechat: ToldWechat, browser: Client) -> None:
    told_wechat.answers["/sns/userinfo"] = {"errcode": 45011, "errmsg": "api minute-quota reach limit"}
    answer = browser.post("/wechat/callback", {"code": "any", "state": start(browser)["state"]})
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")


def test_what_cannot_be_stored_is_not_stored(told_wechat: ToldWechat) -> None:
    body = told_sign_in(told_wechat, nickname="🎨" * 500, headimgurl="https://x/" + "y" * 600)
    assert (body["status"], body["nickname"]) == ("scanned", "🎨" * 100)


def test_the_callback_hands_nothing_out(browser: Client) -> None:
    login = start(browser)
    form = {"code": code_of("lin", login["qr_code_url"]), "state": login["state"]}
    masked = f"{openid_of('lin')[:4]}****{openid_of('lin')[-4:]}"
    assert browser.post("/wechat/callback", form).json() == {
        "status": "scanned", "openid": masked, "user_exists": False, "need_bind_phone": True,
    }  # fmt: skip
    bind_new(browser, "zhou", PHONE)
    login = start(browser)
    form = {"code": code_of("zhou", login["qr_code_url"]), "state": login["state"]}
    body = browser.post("/wechat/callback", form).json()
    assert set(body) == {"status", "openid", "user_exists", "need_bind_phone"}
    assert (body["status"], body["user_exists"], body["need_bind_phone"]) == ("confirmed", True, False)


# --- who may poll ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("poll_id", ["x", "0" * 32, "会话", "%00", "y" * 3000])
def test_an_unknown_id(browser: Client, poll_id: str) -> None:
    start(browser)
    answer = browser.get(f"/wechat/poll/{poll_id}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "会话不存在。", "code": "not_found"})


def test_our_page_binds_the_sign_in_to_its_browser(browser: Client) -> None:
    page = browser.get("/login")
    cookie = page.cookies["yuntu_browser"]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")
    assert len(cookie.value) >= 43
    login = start(browser)
    assert WechatLoginSession.objects.get().browser_hash == digest(cookie.value)
    assert poll(browser, login)["status"] == "pending"
    assert Client().get(f"/wechat/poll/{login['session_id']}").status_code == 404
    other = Client()
    other.get("/login")
    assert other.get(f"/wechat/poll/{login['session_id']}").status_code == 404
    # A second visit keeps the browser what it is.
    assert "yuntu_browser" not in browser.get("/login").cookies
    scan(browser, login)
    assert Client().get(f"/wechat/poll/{login['session_id']}").status_code == 404
    assert poll(browser, login)["status"] == "scanned"


def test_over_tls_the_cookie_is_secure() -> None:
    assert Client().get("/login", secure=True).cookies["yuntu_browser"]["secure"]


def test_a_look_at_the_addresses_uses_nothing_up(browser: Client) -> None:
    bind_new(browser, "lin", PHONE)
    login = start(browser)
    code = code_of("lin", login["qr_code_url"])
    assert Client().head(f"/wechat/callback?code={code}&state={login['state']}").status_code == 405
    assert Client().get(f"/wechat/callback?code={code}&state={login['state']}").status_code == 200
    assert browser.head(f"/wechat/poll/{login['session_id']}").status_code == 405
    assert poll(browser, login)["status"] == "confirmed"


def test_polling_costs_one_query(browser: Client) -> None:
    login = start(browser)
    with CaptureQueriesContext(connection) as captured:
        poll(browser, login)
    assert len(captured) == 1


def test_what_is_long_over_is_deleted(browser: Client) -> None:
    kept, over = start(browser), start(browser)
    long_ago = timezone.now() - service.KEPT_FOR - timedelta(seconds=1)
    WechatLoginSession.objects.filter(poll_hash=digest(over["session_id"])).update(expires_at=long_ago)
    purge_wechat_logins()
    assert WechatLoginSession.objects.get().poll_hash == digest(kept["session_id"])
