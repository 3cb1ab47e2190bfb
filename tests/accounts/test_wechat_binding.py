"""WeChat of signed-in users, the desktop client's one step, and the stand-in itself."""

import json
from typing import Any

import httpx
import pytest
from django.conf import settings as live
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent, Session, SocialAccount, User, WechatLoginSession
from accounts.services.tokens import read_access
from tests.accounts.conftest import PHONE
from tests.accounts.wechat import (
    bind_new,
    code_of,
    openid_of,
    parameters,
    poll,
    scan,
    scanned,
    start,
    unionid_of,
)
from tests.accounts.wechat_servers import ToldWechat
from tests.conftest import Client
from tests.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wechat")]


@pytest.fixture
def browser() -> Client:
    return Client()


def website_code(name: str) -> str:
    """A code as a client gets it that shows WeChat's own page for the website application."""
    url = start(Client())["qr_code_url"].replace(live.WECHAT_MP_APP_ID, live.WECHAT_APP_ID)
    return code_of(
        name, url.replace("oauth2/authorize", "qrconnect").replace("snsapi_userinfo", "snsapi_login")
    )


# --- bind and unbind -------------------------------------------------------------------------------------------


def test_bind_by_a_code(owner: User, owner_api: Client) -> None:
    answer = owner_api.post("/wechat/bind", {"code": website_code("lin")})
    assert answer.status_code == 200
    linked = SocialAccount.objects.get()
    assert answer.json() == {
        "success": True,
        "message": "微信已绑定。",
        "wechat_nickname": "林墨 🎨",
        "wechat_avatar": "",
        "bound_at": linked.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert (linked.user, linked.appid) == (owner, live.WECHAT_APP_ID)
    # From now on a QR code, of the other application, signs them in.
    login = start(Client())
    scan(Client(), login)
    assert poll(Client(), login)["user"]["id"] == str(owner.pk)


def test_bind_by_the_state_of_a_qr_code(owner: User, owner_api: Client) -> None:
    login = start(owner_api)
    form = {"code": code_of("lin", login["qr_code_url"]), "state": login["state"]}
    assert owner_api.post("/wechat/bind", form).status_code == 200
    assert SocialAccount.objects.get().openid == openid_of("lin")
    # It was for binding: nobody is signed in by it, and it is good once.
    assert poll(owner_api, login)["status"] == "expired"
    answer = owner_api.post("/wechat/bind", form)
    assert (answer.status_code, answer.json()["code"]) == (400, "wechat_state_invalid")


def test_bind_by_a_qr_code_that_was_scanned(owner: User, owner_api: Client, browser: Client) -> None:
    login, token = scanned(browser)
    form = {"session_token": token}
    answer = owner_api.post("/wechat/bind", form)
    assert (answer.status_code, answer.json()["wechat_nickname"]) == (200, "林墨 🎨")
    assert SocialAccount.objects.get().user == owner
    # It was for binding: nobody is signed in by it, and it is good once.
    assert poll(browser, login)["status"] == "expired"
    answer = owner_api.post("/wechat/bind", form)
    assert (answer.status_code, answer.json()["code"]) == (400, "wechat_session_invalid")
    assert browser.post("/wechat/bind", form).status_code == 401


def test_a_scanned_code_does_not_bind_what_cannot_be(owner: User, owner_api: Client, browser: Client) -> None:
    owner_api.post("/wechat/bind", {"code": website_code("lin")})
    login, token = scanned(browser, "zhou")
    answer = owner_api.post("/wechat/bind", {"session_token": token})
    assert (answer.status_code, answer.json()["code"]) == (409, "wechat_already_bound")
    # The sign-in goes on waiting, for another account.
    assert poll(browser, login)["status"] == "scanned"
    assert SocialAccount.objects.get().nickname == "林墨 🎨"


@pytest.mark.parametrize(
    "body", [{}, {"code": "x", "session_token": "y"}, {"session_token": ""}, {"state": "x"}]
)
def test_bind_needs_one_of_two(owner_api: Client, body: dict[str, str]) -> None:
    answer = owner_api.post("/wechat/bind", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    answer = owner_api.post("/wechat/bind", {"session_token": "forged:x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "wechat_session_invalid")
    assert not SocialAccount.objects.exists()


def test_binding_the_same_again_changes_nothing(owner: User, owner_api: Client) -> None:
    for _time in range(2):
        assert owner_api.post("/wechat/bind", {"code": website_code("lin")}).status_code == 200
    assert SocialAccount.objects.count() == 1
    assert AuditEvent.objects.filter(action=AuditEvent.Action.WECHAT_BOUND, user=owner).count() == 1


def test_a_wechat_of_somebody_else(owner: User, owner_api: Client, stranger_api: Client) -> None:
    assert stranger_api.post("/wechat/bind", {"code": website_code("lin")}).status_code == 200
    answer = owner_api.post("/wechat/bind", {"code": website_code("lin")})
    assert (answer.status_code, answer.json()["code"]) == (409, "wechat_taken")
    assert SocialAccount.objects.get().user.username == "stranger"
    assert not SocialAccount.objects.filter(user=owner).exists()


def test_a_second_wechat(owner: User, owner_api: Client) -> None:
    owner_api.post("/wechat/bind", {"code": website_code("lin")})
    answer = owner_api.post("/wechat/bind", {"code": website_code("zhou")})
    assert (answer.status_code, answer.json()["code"]) == (409, "wechat_already_bound")
    # Also where it comes from the other application.
    login = start(owner_api)
    form = {"code": code_of("zhou", login["qr_code_url"]), "state": login["state"]}
    assert owner_api.post("/wechat/bind", form).json()["code"] == "wechat_already_bound"
    assert SocialAccount.objects.get(user=owner).unionid == unionid_of("lin")


def test_bind_with_a_bad_code(owner: User, owner_api: Client) -> None:
    code = website_code("lin")
    login = start(owner_api)
    crossed = {"code": code, "state": login["state"]}  # of the other application
    for form in ({"code": "nonsense"}, crossed, {"code": code}):
        answer = owner_api.post("/wechat/bind", form)
        assert (answer.status_code, answer.json()["code"]) == (400, "wechat_code_invalid")
    assert not SocialAccount.objects.exists()


def test_bind_and_unbind_need_a_user(browser: Client) -> None:
    assert browser.post("/wechat/bind", {"code": "x"}).status_code == 401
    assert browser.delete("/wechat/unbind").status_code == 401


def test_unbind(owner: User, owner_api: Client) -> None:
    owner_api.post("/wechat/bind", {"code": website_code("lin")})
    answer = owner_api.delete("/wechat/unbind")
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert not SocialAccount.objects.exists()
    unbound = AuditEvent.objects.get(action=AuditEvent.Action.WECHAT_UNBOUND)
    assert (unbound.user, unbound.before) == (owner, {"nickname": "林墨 🎨"})
    me = owner_api.get("/users/me").json()
    assert (me["wechat_openid"], me["wechat_bound_at"]) == ("", None)
    answer = owner_api.delete("/wechat/unbind")
    assert (answer.status_code, answer.json()) == (
        400,
        {"detail": "未绑定微信。", "code": "wechat_not_bound"},
    )


def test_the_last_way_in_stays(browser: Client) -> None:
    signed_in = bind_new(browser, "lin", PHONE)
    browser.credentials(HTTP_AUTHORIZATION=f"Bearer {signed_in['access_token']}")
    User.objects.update(phone=None)
    answer = browser.delete("/wechat/unbind")
    assert (answer.status_code, answer.json()["code"]) == (409, "last_sign_in_method")
    assert SocialAccount.objects.count() == 1
    assert not AuditEvent.objects.filter(action=AuditEvent.Action.WECHAT_UNBOUND).exists()
    User.objects.update(phone=PHONE)
    assert browser.delete("/wechat/unbind").status_code == 200


def test_the_profile_asks_once_for_wechat(owner: User, owner_api: Client) -> None:
    owner_api.get("/users/me")
    with CaptureQueriesContext(connection) as captured:
        owner_api.get("/users/me")
    assert len([query for query in captured if "accounts_socialaccount" in query["sql"]]) == 1


# --- the desktop client ----------------------------------------------------------------------------------------


def desktop_form(login: dict[str, Any], name: str = "lin") -> dict[str, Any]:
    return {
        "code": code_of(name, login["qr_code_url"]),
        "state": login["state"],
        "scene_str": login["scene_str"],
    }


def test_the_desktop_client_signs_in_with_one_call(browser: Client) -> None:
    bind_new(browser, "lin", PHONE)
    answer = browser.post("/auth/wechat-login", desktop_form(start(browser)))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["user"]["phone"]) == ("confirmed", PHONE)
    session = Session.objects.get(pk=read_access(body["access_token"]).session_id)
    assert session.user == User.objects.get()


def test_the_desktop_client_reads_camel_case(browser: Client) -> None:
    bind_new(browser, "lin", PHONE)
    login = start(browser)
    form = {
        "code": code_of("lin", login["qr_code_url"]), "state": login["state"], "sessionId": login["session_id"],
    }  # fmt: skip
    answer = browser.post("/auth/wechat-login", form, headers={"User-Agent": "YuntuClient/1.0.0"})
    assert {"accessToken", "refreshToken", "expiresIn", "user"} <= set(answer.json())
    assert answer.json()["user"]["userId"] == str(User.objects.get().pk)


def test_somebody_new_gets_the_session_token(browser: Client) -> None:
    body = browser.post("/auth/wechat-login", desktop_form(start(browser))).json()
    assert (body["status"], body["need_bind_phone"]) == ("scanned", True)
    assert body["session_token"] and "access_token" not in body


def test_a_code_alone_signs_nobody_in(browser: Client) -> None:
    """Whoever sees code and state, as in a proxy's log, has neither the poll id nor the tokens."""
    bind_new(browser, "lin", PHONE)
    mine, other = start(browser), start(browser)
    sessions = Session.objects.count()
    for scene_str in (other["scene_str"], "x" * 32):
        answer = browser.post("/auth/wechat-login", {**desktop_form(mine), "scene_str": scene_str})
        assert (answer.status_code, answer.json()["code"]) == (400, "wechat_state_invalid")
    for missing in ({"scene_str": ""}, {"code": ""}, {"state": ""}):
        assert browser.post("/auth/wechat-login", {**desktop_form(mine), **missing}).status_code == 422
    assert Session.objects.count() == sessions
    # Nothing of it used the sign-in up.
    assert WechatLoginSession.objects.filter(state_used_at__isnull=True).count() == 2


# --- the stand-in ----------------------------------------------------------------------------------------------


def sns(path: str, **query: str) -> dict[str, Any]:
    answer = httpx.get(f"{live.WECHAT_API_URL}/sns/{path}", params=query)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain")
    found: dict[str, Any] = json.loads(answer.content)
    return found


def exchange(code: str, **changes: str) -> dict[str, Any]:
    grant = {"appid": live.WECHAT_MP_APP_ID, "secret": live.WECHAT_MP_APP_SECRET, "code": code}
    return sns("oauth2/access_token", **{**grant, "grant_type": "authorization_code", **changes})


def test_the_stand_in_answers_as_wechat_does(browser: Client) -> None:
    code = code_of("qiao", start(browser)["qr_code_url"])
    assert exchange(code, appid="wx0")["errcode"] == 40013
    assert exchange(code, secret="guessed")["errcode"] == 40125
    assert exchange(code, grant_type="password")["errcode"] == 40002
    assert exchange("")["errcode"] == 41008
    assert exchange("x" * 32)["errcode"] == 40029
    token = exchange(code)
    assert set(token) == {"access_token", "expires_in", "scope", "openid", "unionid"}
    assert exchange(code)["errcode"] == 40163
    person = sns("userinfo", access_token=token["access_token"], openid=token["openid"])
    assert (person["nickname"], person["unionid"]) == ("乔一", unionid_of("qiao"))
    assert sns("userinfo", access_token="x", openid=token["openid"])["errcode"] == 40001
    assert sns("userinfo", access_token=token["access_token"], openid="o")["errcode"] == 40003
    # A code of one application is none of the other's.
    foreign = code_of("qiao", start(browser)["qr_code_url"])
    other = {"appid": live.WECHAT_APP_ID, "secret": live.WECHAT_APP_SECRET}
    assert exchange(foreign, **other)["errcode"] == 40029


def test_the_stand_ins_page(browser: Client) -> None:
    url = start(browser)["qr_code_url"].partition("#")[0]
    page = httpx.get(url)
    assert page.status_code == 200
    for nickname in ("林墨 🎨", "周 Animator", "乔一"):
        assert nickname in page.text
    refused = httpx.get(f"{url}&refuse=1")
    assert set(parameters(refused.headers["Location"])) == {"state"}
    for wrong in (
        url.replace(live.WECHAT_MP_APP_ID, "wx0"),
        url.replace("snsapi_userinfo", "snsapi_login"),
        url.replace("wechat%2Fcallback", "wechat%2Felsewhere"),
        url.replace("response_type=code", "response_type=token"),
        f"{url}&as=nobody",
    ):
        answer = httpx.get(f"{wrong}&as=lin" if "as=" not in wrong else wrong)
        assert answer.status_code == 400 and "Location" not in answer.headers


def test_what_wechat_says_is_brought_up_to_date(told_wechat: ToldWechat) -> None:
    user = make_user()
    for appid, openid in ((live.WECHAT_APP_ID, "o-web"), (live.WECHAT_MP_APP_ID, "o-1")):
        SocialAccount.objects.create(
            user=user, provider="wechat", appid=appid, openid=openid, unionid="u-1", nickname="Old"
        )
    told_wechat.change("/sns/oauth2/access_token", openid="o-1")
    told_wechat.change("/sns/userinfo", openid="o-1", unionid="u-1", nickname="New", headimgurl="https://x/y")
    Client().get(f"/wechat/callback?code=any&state={start(Client())['state']}")
    assert set(SocialAccount.objects.values_list("nickname", "avatar_url")) == {("New", "https://x/y")}
