"""/account in a real Chromium: who is signed in, where, and how that ends."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from playwright.sync_api import Page, expect

from accounts.models import Notification, Session, SocialAccount, User
from accounts.services import wechat_accounts
from accounts.services.notifications import notify
from accounts.wechat import client
from tests.accounts.conftest import PHONE, codes_sent
from tests.accounts.test_devices import new_device
from tests.accounts.wechat import openid_of, unionid_of
from tests.browser import chromium, open_page
from tests.factories import PASSWORD, make_user, token_of

__all__ = ["chromium", "open_page"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Page]


def signed_in(open_page: Open, username: str = "lin_mo", **kwargs: Any) -> Page:
    """A page at /account of a user who has signed in by password."""
    page = open_page("/login", **kwargs)
    form = page.locator("#password-form")
    form.locator("[name=username]").fill(username)
    form.locator("[name=password]").fill(PASSWORD)
    form.locator("[type=submit]").click()
    page.wait_for_url("**/account")
    expect(page.locator("#who")).to_have_text(username)
    return page


def test_what_it_shows(open_page: Open) -> None:
    user = make_user(username="lin_mo", money="12.5")
    page = signed_in(open_page)
    expect(page.locator("#phone")).to_have_text(user.phone or "")
    expect(page.locator("#balance")).to_have_text("¥62.50")
    expect(page.locator("#wechat")).to_have_text("未绑定")
    sessions = page.get_by_role("region", name="已登录的设备").get_by_role("listitem")
    expect(sessions).to_have_count(1)
    expect(sessions).to_contain_text("当前浏览器")
    expect(sessions).to_contain_text("Chrome · Linux")
    log = page.get_by_role("region", name="安全日志").get_by_role("listitem")
    expect(log.first).to_contain_text("登录")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_ending_another_session(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    token_of(user)
    page = signed_in(open_page)
    region = page.get_by_role("region", name="已登录的设备")
    expect(region.get_by_role("listitem")).to_have_count(2)
    region.get_by_role("button", name="下线").click()
    expect(region.get_by_role("listitem")).to_have_count(1)
    [living] = Session.objects.filter(revoked_at__isnull=True)
    assert "Chrome" in living.device


def test_what_was_shown_is_read(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    notify(user=user, title="Password changed")
    page = signed_in(open_page)
    news = page.get_by_role("region", name="消息通知").get_by_role("listitem")
    expect(news).to_have_class("unread")
    expect(news).to_contain_text("密码已修改")
    page.wait_for_load_state("networkidle")
    page.reload()
    expect(news).to_have_class("")
    assert not Notification.objects.filter(read_at__isnull=True).exists()


def test_sign_out(open_page: Open) -> None:
    make_user(username="lin_mo")
    page = signed_in(open_page)
    page.get_by_role("button", name="退出登录").click()
    page.wait_for_url("**/login")
    assert page.evaluate("localStorage.length") == 0
    assert not Session.objects.filter(revoked_at__isnull=True).exists()
    page.goto("/account")
    page.wait_for_url("**/login")


def test_a_stale_token_is_refreshed(open_page: Open) -> None:
    make_user(username="lin_mo")
    page = signed_in(open_page)
    first = page.evaluate("localStorage.getItem('refresh_token')")
    page.evaluate("localStorage.setItem('token_expires_at', '0')")
    page.reload()
    expect(page.locator("#who")).to_have_text("lin_mo")
    expect(page.get_by_role("region", name="安全日志")).to_be_visible()
    assert page.evaluate("localStorage.getItem('refresh_token')") != first
    # Also one that the platform takes no longer although it looks fresh.
    page.evaluate("localStorage.setItem('access_token', 'x')")
    page.reload()
    expect(page.locator("#who")).to_have_text("lin_mo")
    assert Session.objects.filter(revoked_at__isnull=True).count() == 1


def test_who_is_signed_out_elsewhere_lands_on_the_sign_in_page(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    page = signed_in(open_page)
    user.sessions.all().delete()
    User.objects.filter(pk=user.pk).update(is_active=False)
    page.reload()
    page.wait_for_url("**/login")
    assert page.evaluate("localStorage.getItem('access_token')") is None


def test_a_guest_binds_a_phone(open_page: Open) -> None:
    body = new_device()
    page = open_page("/login")
    page.evaluate(
        """body => {
            localStorage.setItem("access_token", body.access_token);
            localStorage.setItem("refresh_token", body.refresh_token);
            localStorage.setItem("token_expires_at", String(Date.now() + body.expires_in * 1000));
        }""",
        body,
    )
    page.goto("/account")
    form = page.locator("#phone-form")
    expect(form).to_be_visible()
    # A WeChat would not make them more than a guest.
    expect(page.get_by_role("button", name="绑定微信")).to_be_hidden()
    form.get_by_label("手机号").fill(PHONE)
    form.locator(".send-code").click()
    expect(form.locator(".send-code")).to_have_text(re.compile("秒后重发"))
    form.get_by_label("验证码").fill(codes_sent()[-1])
    form.get_by_role("button", name="绑定手机号").click()
    expect(form).to_be_hidden()
    expect(page.locator("#phone")).to_have_text(PHONE)
    expect(page.locator("#balance")).to_have_text("¥50.00")


@pytest.fixture
def _own_wechat(live_server: Any, settings: Any) -> None:
    settings.WECHAT_OPEN_URL = settings.WECHAT_API_URL = f"{live_server.url}/standin/wechat"


def scan(page: Page, person: str) -> None:
    """Ask for a QR code, and open its address as that person's phone does."""
    page.get_by_role("button", name="绑定微信").click()
    expect(page.locator("#qr")).to_have_attribute("data-state", "pending")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="直接打开二维码中的地址").click()
    opened.value.get_by_role("link", name=person).click()
    opened.value.close()


@pytest.mark.usefixtures("_own_wechat")
def test_wechat_is_linked_and_taken_away(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    page = signed_in(open_page)
    scan(page, "林墨")
    expect(page.locator("#wechat")).to_have_text("林墨 🎨")
    expect(page.locator("#qr")).to_be_hidden()
    expect(page.get_by_role("button", name="绑定微信")).to_be_hidden()
    assert SocialAccount.objects.get().user == user
    page.get_by_role("button", name="解除绑定").click()
    expect(page.locator("#wechat")).to_have_text("未绑定")
    expect(page.get_by_role("button", name="绑定微信")).to_be_enabled()
    assert not SocialAccount.objects.exists()
    log = page.get_by_role("region", name="安全日志").get_by_role("listitem")
    expect(log.first).to_contain_text("微信已解绑")


@pytest.mark.usefixtures("_own_wechat")
def test_the_wechat_of_somebody_else_stays_theirs(open_page: Open) -> None:
    other = make_user()
    person = client.WechatPerson(settings.WECHAT_MP_APP_ID, openid_of("zhou"), unionid_of("zhou"))
    wechat_accounts.bind(user=other, person=person)
    make_user(username="lin_mo")
    page = signed_in(open_page)
    scan(page, "周")
    expect(page.locator("#wechat-error")).to_have_text("该微信已绑定其他账号。")
    expect(page.locator("#wechat")).to_have_text("未绑定")
    assert SocialAccount.objects.get().user == other
    # What the code opened was their session: it is over.
    assert not other.sessions.filter(revoked_at__isnull=True).exists()


@pytest.mark.usefixtures("_own_wechat")
def test_the_last_way_in_stays(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    page = signed_in(open_page)
    scan(page, "林墨")
    User.objects.filter(pk=user.pk).update(phone=None, password=make_password(None))
    page.get_by_role("button", name="解除绑定").click()
    expect(page.locator("#wechat-error")).to_have_text(re.compile("密码"))
    expect(page.locator("#wechat")).to_have_text("林墨 🎨")
    assert SocialAccount.objects.get().user == user


def test_on_a_phone(open_page: Open) -> None:
    make_user(username="a_name_of_fifty_letters_that_is_as_long_as_it_may_")
    page = signed_in(open_page, "a_name_of_fifty_letters_that_is_as_long_as_it_may_", width=390)
    expect(page.locator("#who")).to_have_text(re.compile("fifty"))
    expect(page.get_by_role("region", name="安全日志")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
