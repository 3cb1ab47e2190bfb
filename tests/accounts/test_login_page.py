"""/login in a real Chromium, as a person uses it. Any error of the page, or of its content policy, fails the test."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as live
from django.utils import timezone
from playwright.sync_api import BrowserContext, Locator, Page, expect

from accounts.models import PhoneCode, Session, SocialAccount, User, WechatLoginSession
from tests.accounts.conftest import PHONE, codes_sent
from tests.browser import Server, chromium, server
from tests.browser import open_live_page as open_page
from tests.factories import PASSWORD, make_user

__all__ = ["chromium", "open_page", "server"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Page]


@pytest.fixture(autouse=True)
def _own_wechat(server: Server, settings: Any) -> None:
    settings.WECHAT_OPEN_URL = settings.WECHAT_API_URL = f"{server.url}/standin/wechat"


def lands_as(page: Page, username: str) -> None:
    page.wait_for_url("**/drive")
    page.goto("/account")
    expect(page.locator("#who")).to_have_text(username)


def send_code(form: Locator) -> None:
    """Press the button, and wait until the code is on its way: the countdown begins."""
    form.locator(".send-code").click()
    expect(form.locator(".send-code")).to_have_text(re.compile(r"^(60|5\d) 秒后重发$"))
    expect(form.locator(".send-code")).to_be_disabled()


def ready(page: Page) -> None:
    expect(page.locator("#qr")).to_have_attribute("data-state", "pending")


def test_the_language_is_changed_at_the_foot_of_a_page(open_page: Open) -> None:
    page = open_page("/login")
    ready(page)  # by then the foot stays where it is
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Sign in to Yuntu")).to_be_visible()
    page.get_by_label("Username, phone or e-mail").fill("nobody")
    page.get_by_label("Password", exact=True).first.fill("wrong password")
    page.locator("#password-form").get_by_role("button", name="Sign in").click()
    # The API answers in it, too.
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text(re.compile("^[ -~]+$"))
    ready(page)
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="登录盛世云图")).to_be_visible()


def test_by_password(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    page = open_page("/login")
    ready(page)
    expect(page).to_have_title("登录 · 盛世云图")
    for heading in ("密码登录", "验证码登录", "微信扫码登录"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    page.get_by_label("用户名、手机号或邮箱").fill(user.phone or "")
    page.get_by_label("密码", exact=True).first.fill(PASSWORD)
    page.locator("#password-form").get_by_role("button", name="登录").click()
    lands_as(page, "lin_mo")
    expect(page.locator("#balance")).to_have_text("¥50.00")
    # Tokens lie where the web client keeps them.
    assert page.evaluate("localStorage.getItem('refresh_token')")
    assert page.evaluate("JSON.parse(localStorage.getItem('user')).username") == "lin_mo"
    # Who is signed in has nothing to do on the sign-in page.
    page.goto("/login")
    lands_as(page, "lin_mo")


def test_a_wrong_password_is_told_in_the_form(open_page: Open) -> None:
    make_user(username="lin_mo")
    page = open_page("/login")
    form = page.locator("#password-form")
    form.get_by_label("用户名、手机号或邮箱").fill("lin_mo")
    form.get_by_label("密码").fill("Wrong-lantern-42")
    form.get_by_role("button").click()
    expect(form.get_by_role("alert").filter(visible=True)).to_have_text("账号或密码错误。")
    expect(form.get_by_role("button")).to_be_enabled()
    form.get_by_label("密码").fill(PASSWORD)
    form.get_by_label("密码").press("Enter")
    lands_as(page, "lin_mo")


def test_by_phone_code(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    User.objects.filter(pk=user.pk).update(phone=PHONE)
    page = open_page("/login")
    form = page.locator("#code-form")
    send = form.locator(".send-code")
    form.get_by_label("手机号").fill("123")
    send.click()
    # Beside its field, and the field says so to a screen reader.
    expect(page.locator("#code-phone-error")).to_have_text(re.compile("手机号"))
    expect(form.get_by_label("手机号")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("手机号")).to_be_focused()
    expect(send).to_be_enabled()
    form.get_by_label("手机号").fill(PHONE)
    send_code(form)
    expect(page.locator("#code-phone-error")).to_be_hidden()
    expect(form.get_by_label("验证码")).to_be_focused()
    form.get_by_label("验证码").fill("000000" if codes_sent()[-1] != "000000" else "111111")
    form.get_by_role("button", name="登录").click()
    expect(page.locator("#code-code-error")).to_have_text("验证码无效或已过期。")
    form.get_by_label("验证码").fill(codes_sent()[-1])
    form.get_by_role("button", name="登录").click()
    lands_as(page, "lin_mo")


def test_the_countdown_is_what_the_platform_says(open_page: Open, settings: Any) -> None:
    settings.SMS_LIMITS = {**live.SMS_LIMITS, "phone_minute": (0, 2)}
    page = open_page("/login")
    form = page.locator("#code-form")
    form.get_by_label("手机号").fill(PHONE)
    form.locator(".send-code").click()
    expect(form.get_by_role("alert").filter(visible=True)).to_have_text(re.compile("1 秒"))
    expect(form.locator(".send-code")).to_have_text("1 秒后重发")
    expect(form.locator(".send-code")).to_be_enabled()
    expect(form.locator(".send-code")).to_have_text("发送验证码")


def test_register(open_page: Open) -> None:
    make_user(username="taken")
    page = open_page("/login")
    page.get_by_role("link", name="注册").click()
    form = page.locator("#register-form")
    expect(page.locator("#password-form")).to_be_hidden()
    form.get_by_label("用户名").fill("taken")
    form.get_by_label("密码").fill("short")
    form.get_by_label("手机号").fill(PHONE)
    send_code(form)
    form.get_by_label("验证码").fill(codes_sent()[-1])
    form.get_by_role("button", name="注册").click()
    expect(page.locator("#register-password-error")).to_have_text(re.compile("密码"))
    form.get_by_label("密码").fill(PASSWORD)
    form.get_by_role("button", name="注册").click()
    expect(page.locator("#register-username-error")).to_have_text(re.compile("用户名"))
    form.get_by_label("用户名").fill("lin_mo")
    form.get_by_role("button", name="注册").click()
    lands_as(page, "lin_mo")


def test_a_forgotten_password(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    User.objects.filter(pk=user.pk).update(phone=PHONE)
    page = open_page("/login")
    page.get_by_role("link", name="忘记密码？").click()
    form = page.locator("#reset-form")
    expect(page.locator("#password-form")).to_be_hidden()
    expect(form.get_by_label("账号的手机号")).to_be_focused()
    form.get_by_label("账号的手机号").fill(PHONE)
    send_code(form)
    form.get_by_label("验证码").fill(codes_sent()[-1])
    form.get_by_label("新密码").fill("12345678")
    form.get_by_role("button", name="设置密码").click()
    expect(page.locator("#reset-password-error")).to_have_text(re.compile("密码"))
    # A blank at its end belongs to it.
    form.get_by_label("新密码").fill("Red-lantern-43 ")
    form.get_by_role("button", name="设置密码").click()
    expect(page.get_by_role("status").filter(visible=True).first).to_have_text("密码已修改，请用新密码登录。")
    expect(form).to_be_hidden()
    expect(form.locator("[name=new_password]")).to_have_value("")
    form = page.locator("#password-form")
    expect(form.get_by_label("用户名、手机号或邮箱")).to_have_value(PHONE)
    user.refresh_from_db()
    assert user.check_password("Red-lantern-43 ")
    form.get_by_label("密码").fill("Red-lantern-43 ")
    form.get_by_role("button", name="登录").click()
    lands_as(page, "lin_mo")


def opened_code(page: Page) -> Page:
    """The phone: what opens at the QR code's address."""
    context: BrowserContext = page.context
    with context.expect_page() as opened:
        page.get_by_role("link", name="直接打开二维码中的地址").click()
    return opened.value


def test_by_wechat_with_a_phone_to_bind(open_page: Open) -> None:
    page = open_page("/login")
    ready(page)
    expect(page.locator("#qr-image")).to_be_visible()
    assert page.evaluate("document.getElementById('qr-image').naturalWidth") > 0
    phone = opened_code(page)
    phone.get_by_role("link", name="林墨").click()
    expect(phone.get_by_role("heading", name="还差一步")).to_be_visible()
    phone.close()
    form = page.locator("#bind-form")
    expect(page.locator("#qr-nickname")).to_have_text("林墨 🎨")
    expect(page.get_by_role("status")).to_have_text(re.compile("已扫码"))
    form.get_by_label("手机号").fill(PHONE)
    send_code(form)
    form.get_by_label("验证码").fill(codes_sent()[-1])
    form.get_by_role("button", name="绑定并登录").click()
    page.wait_for_url("**/drive")
    user = User.objects.get()
    lands_as(page, user.username)
    expect(page.locator("#wechat")).to_have_text("林墨 🎨")
    expect(page.locator("#phone")).to_have_text(PHONE)
    # The next time the scan alone is enough.
    page.get_by_role("button", name="退出登录").click()
    page.wait_for_url("**/login")
    ready(page)
    phone = opened_code(page)
    phone.get_by_role("link", name="林墨").click()
    expect(phone.get_by_role("heading", name="已确认")).to_be_visible()
    lands_as(page, user.username)
    assert Session.objects.filter(revoked_at__isnull=True).count() == 1


def test_by_wechat_with_an_account_to_link(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    page = open_page("/login")
    ready(page)
    phone = opened_code(page)
    phone.get_by_role("link", name="乔一").click()
    form = page.locator("#bind-form")
    form.get_by_label("手机号").fill(user.phone or "")
    send_code(form)
    form.get_by_label("验证码").fill(codes_sent(user.phone or "")[-1])
    form.get_by_role("button", name="绑定并登录").click()
    # The phone has an account: on with that one's password.
    link = page.locator("#link-form")
    expect(link).to_be_visible()
    expect(page.get_by_role("tab", name="已有账号")).to_have_attribute("aria-selected", "true")
    expect(link.get_by_label("账号的手机号")).to_have_value(user.phone or "")
    expect(page.locator("#link-phone-error")).to_have_text(re.compile("已注册"))
    link.get_by_label("密码").fill("Wrong-lantern-42")
    link.get_by_role("button", name="关联并登录").click()
    expect(link.get_by_role("alert").filter(visible=True)).to_have_text("账号或密码错误。")
    link.get_by_label("密码").fill(PASSWORD)
    link.get_by_role("button", name="关联并登录").click()
    lands_as(page, "lin_mo")
    assert SocialAccount.objects.get().user == user


def test_a_code_expires_visibly_and_is_renewed(open_page: Open) -> None:
    page = open_page("/login")
    ready(page)
    expect(page.locator("#qr-left")).to_have_text(re.compile(r"^(5:00|4:5\d)$"))
    WechatLoginSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    expect(page.get_by_text("二维码已过期。")).to_be_visible()
    first = page.get_attribute("#qr-image", "src")
    page.get_by_role("button", name="换一个二维码").click()
    ready(page)
    expect(page.get_by_text("二维码已过期。")).to_be_hidden()
    assert page.get_attribute("#qr-image", "src") != first
    assert WechatLoginSession.objects.count() == 2


def test_who_refuses_gets_a_new_code(open_page: Open) -> None:
    page = open_page("/login")
    ready(page)
    phone = opened_code(page)
    phone.get_by_role("link", name="拒绝").click()
    expect(phone.get_by_text("您在微信中拒绝了登录。")).to_be_visible()
    expect(page.get_by_text("二维码已过期。")).to_be_visible()


def test_another_browser_cannot_use_the_code(open_page: Open) -> None:
    page, other = open_page("/login"), open_page("/login")
    ready(page)
    ready(other)
    login = WechatLoginSession.objects.order_by("created_at").first()
    assert login and login.browser_hash
    hashes = WechatLoginSession.objects.values_list("browser_hash", flat=True)
    assert len(set(hashes)) == 2


def test_without_an_official_account_a_window_of_wechats_opens(open_page: Open, settings: Any) -> None:
    settings.WECHAT_MP_APP_ID = ""
    page = open_page("/login")
    ready(page)
    expect(page.locator("#qr-image")).to_have_count(0)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="打开微信二维码").click()
    assert "/connect/qrconnect?" in opened.value.url
    opened.value.get_by_role("link", name="乔一").click()
    expect(page.locator("#bind-form")).to_be_visible()


def test_wechat_is_not_offered_where_it_is_not_set_up(open_page: Open, settings: Any) -> None:
    settings.WECHAT_APP_ID = settings.WECHAT_MP_APP_ID = ""
    page = open_page("/login")
    expect(page.get_by_role("heading", name="密码登录")).to_be_visible()
    expect(page.locator("#qr")).to_have_count(0)


def test_too_many_codes_are_told(open_page: Open, settings: Any) -> None:
    usual = settings.WECHAT_LIMITS
    settings.WECHAT_LIMITS = {**usual, "qrcode": (0, 60)}
    page = open_page("/login")
    expect(page.locator("#qr-failure")).to_have_text("请求过于频繁，请在 1 秒后重试。")
    settings.WECHAT_LIMITS = usual
    page.get_by_role("button", name="换一个二维码").click()
    ready(page)


def test_english_for_who_asks_for_it(open_page: Open) -> None:
    page = open_page("/login", locale="en-US")
    ready(page)
    expect(page.get_by_role("heading", name="Sign in to Yuntu")).to_be_visible()
    page.locator("#code-form").get_by_label("Phone number").fill("1")
    page.locator("#code-form .send-code").click()
    expect(page.locator("#code-phone-error")).to_have_text("Not a valid phone number.")
    assert not PhoneCode.objects.exists()


@pytest.mark.parametrize("width", [1280, 800, 390, 320])
def test_nothing_is_cut_off_on_narrow_screens(open_page: Open, width: int) -> None:
    page = open_page("/login", width=width)
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    places = [page.locator(f"#{name}").bounding_box() for name in ("password-form", "code-form", "qr")]
    tops = [place["y"] for place in places if place]
    # Side by side, or one below the other.
    assert len(tops) == 3
    assert (max(tops) - min(tops) < 100) == (width == 1280)
