"""Who is refused when they come by WeChat."""

from typing import Any

import pytest
from django.conf import settings as live

from accounts.models import Session, SocialAccount, User, WechatLoginSession
from tests.accounts.conftest import PHONE, wrong
from tests.accounts.wechat import bind_new, phone_code, poll, scan, scanned, start
from tests.conftest import Client
from tests.factories import PASSWORD, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wechat")]


@pytest.fixture
def browser() -> Client:
    return Client()


def test_a_blocked_user_is_not_signed_in(browser: Client) -> None:
    bind_new(browser, "lin", PHONE)
    User.objects.update(is_active=False)
    login = start(browser)
    page = scan(browser, login)
    assert page.status_code == 403
    assert "该账号已被停用" in page.content.decode()
    assert poll(browser, login)["status"] == "expired"


def test_who_is_blocked_between_scan_and_poll_gets_nothing(browser: Client) -> None:
    bind_new(browser, "lin", PHONE)
    login = start(browser)
    scan(browser, login)
    User.objects.update(is_active=False)
    sessions = Session.objects.count()
    answer = browser.get(f"/wechat/poll/{login['session_id']}")
    assert (answer.status_code, answer.json()["code"]) == (403, "account_blocked")
    assert Session.objects.count() == sessions


def test_a_phone_that_has_an_account(browser: Client) -> None:
    user = make_user()
    login, token = scanned(browser)
    code = phone_code(user.phone or "")
    form = {"session_token": token, "phone": user.phone, "verification_code": code}
    answer = browser.post("/wechat/bind-phone", form)
    assert (answer.status_code, answer.json()["code"]) == (409, "phone_taken")
    assert answer.json()["hint"] == "link-account"
    assert "手机号" in answer.json()["detail"]
    assert User.objects.get() == user and not SocialAccount.objects.exists()
    assert poll(browser, login)["status"] == "scanned"
    # The code was not used up by it.
    User.objects.update(phone=None)
    assert browser.post("/wechat/bind-phone", form).status_code == 201


def test_a_wrong_code_is_a_guess(browser: Client) -> None:
    login, token = scanned(browser)
    code = phone_code(PHONE)
    form = {"session_token": token, "phone": PHONE, "verification_code": wrong(code)}
    for _guess in range(live.PHONE_CODE_MAX_GUESSES):
        answer = browser.post("/wechat/bind-phone", form)
        assert (answer.status_code, answer.json()["code"]) == (400, "code_invalid")
    answer = browser.post("/wechat/bind-phone", {**form, "verification_code": code})
    assert answer.json()["code"] == "code_invalid"
    assert not User.objects.exists()
    assert poll(browser, login)["status"] == "scanned"


def test_linking_needs_the_password(browser: Client) -> None:
    user = make_user()
    _login, token = scanned(browser)
    form = {"session_token": token, "phone": user.phone, "password": "Wrong-lantern-42"}
    for _time in range(10):
        answer = browser.post("/wechat/link-account", form)
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
    # And the same lock as signing in.
    answer = browser.post("/wechat/link-account", {**form, "password": PASSWORD})
    assert answer.status_code == 429
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("path", ["bind-phone", "link-account"])
@pytest.mark.parametrize("token", ["x", "", "01a2057e-de3c-707f-b809-2f2197adae66", "\x00", "a:b"])
def test_a_session_token_that_is_none(browser: Client, path: str, token: str) -> None:
    user = make_user()
    login, _token = scanned(browser)
    form = {"phone": user.phone, "password": PASSWORD, "verification_code": phone_code(user.phone or "")}
    for tried in (token, login["session_id"], str(WechatLoginSession.objects.get().pk)):
        answer = browser.post(f"/wechat/{path}", {**form, "session_token": tried})
        assert answer.status_code in (400, 422)
        assert answer.json()["code"] in ("wechat_session_invalid", "validation_error")
    assert not SocialAccount.objects.exists()


def test_an_account_of_another_wechat(browser: Client) -> None:
    user = make_user()
    form = {"phone": user.phone, "password": PASSWORD}
    _login, token = scanned(browser, "lin")
    assert browser.post("/wechat/link-account", {**form, "session_token": token}).status_code == 200
    login, token = scanned(browser, "zhou")
    answer = browser.post("/wechat/link-account", {**form, "session_token": token})
    assert (answer.status_code, answer.json()["code"]) == (409, "wechat_already_bound")
    assert SocialAccount.objects.get().nickname == "林墨 🎨"
    assert poll(browser, login)["status"] == "scanned"


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("callback", {}),
        ("callback", {"code": "x"}),
        ("callback", {"code": "x" * 300, "state": "y"}),
        ("bind-phone", {"session_token": "x", "phone": "12345", "verification_code": "123456"}),
        ("bind-phone", {"session_token": "x", "phone": PHONE, "verification_code": "12345a"}),
        ("link-account", {"session_token": "x", "phone": PHONE}),
        ("qrcode", {"device_type": "x" * 21}),
    ],
)
def test_missing_and_malformed_fields(browser: Client, path: str, form: dict[str, Any]) -> None:
    answer = browser.post(f"/wechat/{path}", form)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


def test_wechat_is_not_set_up(browser: Client, settings: Any) -> None:
    settings.WECHAT_APP_ID = settings.WECHAT_MP_APP_ID = ""
    answer = browser.post("/wechat/qrcode", {})
    assert (answer.status_code, answer.json()["code"]) == (503, "wechat_unavailable")
    assert not WechatLoginSession.objects.exists()


@pytest.mark.parametrize(("path", "name"), [("qrcode", "qrcode"), ("callback", "callback")])
def test_limits_by_address(browser: Client, settings: Any, path: str, name: str) -> None:
    settings.WECHAT_LIMITS = {**settings.WECHAT_LIMITS, name: (2, 60)}
    form = {"code": "x", "state": "y"}
    first = [browser.post(f"/wechat/{path}", form).status_code for _time in range(2)]
    answer = browser.post(f"/wechat/{path}", form)
    assert 429 not in first and answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60


def test_polls_are_limited_by_address(browser: Client, settings: Any) -> None:
    login = start(browser)
    settings.WECHAT_LIMITS = {**settings.WECHAT_LIMITS, "poll": (2, 60)}
    # Of any id: whoever tries them out is stopped, too.
    paths = [f"/wechat/poll/{login['session_id']}", "/wechat/poll/x", f"/wechat/poll/{login['session_id']}"]
    answers = [browser.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 404, 429]
    assert 0 < int(answers[-1]["Retry-After"]) <= 60


def test_linking_of_who_is_signed_in_is_limited(owner_api: Client, browser: Client, settings: Any) -> None:
    _login, token = scanned(browser)
    settings.WECHAT_LIMITS = {**settings.WECHAT_LIMITS, "bind": (1, 60)}
    forms = [{"session_token": "x"}, {"session_token": token}, {"code": "x"}]
    answers = [owner_api.post("/wechat/bind", form).status_code for form in forms]
    assert answers == [400, 429, 429]
    assert not SocialAccount.objects.exists()


def test_limits_of_binding(browser: Client, settings: Any) -> None:
    _login, token = scanned(browser)
    settings.WECHAT_LIMITS = {**settings.WECHAT_LIMITS, "phone": (1, 60)}
    form = {"session_token": token, "phone": PHONE, "verification_code": "123456"}
    answers = [browser.post("/wechat/bind-phone", form).status_code for _time in range(2)]
    assert answers == [400, 429]
    settings.WECHAT_LIMITS = {**settings.WECHAT_LIMITS, "bind": (2, 60)}
    form = {"session_token": token, "phone": "13900000000", "password": "x"}
    answers = [browser.post("/wechat/link-account", form).status_code for _time in range(2)]
    assert answers == [401, 429]
