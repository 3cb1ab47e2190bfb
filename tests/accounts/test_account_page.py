"""/account in a real Chromium: who is signed in, where, and how that ends."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from playwright.sync_api import Locator, Page, expect

from accounts.models import Notification, Session, SocialAccount, TeamMember, User
from accounts.permissions import Role
from accounts.services import wechat_accounts
from accounts.services.notifications import notify
from accounts.wechat import client
from tests.accounts.conftest import PHONE, code_for, codes_sent
from tests.accounts.crew import make_crew
from tests.accounts.pictures import picture
from tests.accounts.test_devices import new_device
from tests.accounts.wechat import openid_of, unionid_of
from tests.browser import Server, chromium, server
from tests.browser import open_live_page as open_page
from tests.conftest import Client
from tests.factories import PASSWORD, make_user, token_of

__all__ = ["chromium", "open_page", "server"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Page]


def signed_in(open_page: Open, username: str = "lin_mo", **kwargs: Any) -> Page:
    """A page at /account of a user who has signed in by password."""
    page = open_page("/login", **kwargs)
    form = page.locator("#password-form")
    form.locator("[name=username]").fill(username)
    form.locator("[name=password]").fill(PASSWORD)
    form.locator("[type=submit]").click()
    page.wait_for_url("**/drive")
    page.goto("/account")
    expect(page.locator("#who")).to_have_text(username)
    return page


def tab(page: Page, name: str) -> None:
    page.get_by_label("账号栏目").get_by_role("link", name=name).click()


def listed(page: Page, region: str) -> Locator:
    return page.get_by_role("region", name=region).get_by_role("listitem")


def send_code(form: Locator) -> None:
    """Press the button, and wait until the code is on its way."""
    form.locator(".send-code").click()
    expect(form.locator(".send-code")).to_have_text(re.compile("秒后重发"))


def test_what_it_shows(open_page: Open) -> None:
    user = make_user(username="lin_mo", money="12.5")
    page = signed_in(open_page)
    expect(page.locator("#phone")).to_have_text(user.phone or "")
    expect(page.locator("#balance")).to_have_text("¥62.50")
    expect(page.locator("#wechat")).to_have_text("未绑定")
    tab(page, "安全")
    expect(page).to_have_title("安全 · 我的账号 · 盛世云图")
    expect(listed(page, "已登录的设备")).to_have_count(1)
    expect(listed(page, "已登录的设备")).to_contain_text("当前浏览器")
    expect(listed(page, "已登录的设备")).to_contain_text("Chrome · Linux")
    expect(page.get_by_role("button", name="全部下线")).to_be_hidden()
    expect(listed(page, "安全日志").first).to_contain_text("登录")
    tab(page, "消息通知")
    expect(page.get_by_text("暂无新消息")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_the_name_the_picture_and_the_e_mail(open_page: Open, mailoutbox: list[Any], tmp_path: Path) -> None:
    make_user(username="zhou")
    user = make_user(username="lin_mo")
    page = signed_in(open_page, width=390)
    page.get_by_role("button", name="修改用户名").click()
    name = page.locator("#name-dialog").get_by_label("用户名")
    expect(name).to_be_focused()
    name.fill("zhou")
    name.press("Enter")
    expect(page.locator("#new-username-error")).to_have_text("该用户名已被注册。")
    name.fill("lin")
    name.press("Enter")
    expect(page.locator("#who")).to_have_text("lin")
    expect(page.get_by_role("status").filter(has_text="用户名已修改。")).to_be_visible()

    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    good.write_bytes(picture())
    bad.write_bytes(b"no picture")
    page.locator("#picture-file").set_input_files(bad)
    dialog = page.locator("#picture-dialog")
    dialog.get_by_role("button", name="使用这张图片").click()
    expect(dialog.get_by_role("alert").filter(has_text="图片")).to_be_visible()
    page.locator("#picture-file").set_input_files(good)
    dialog.get_by_role("button", name="使用这张图片").click()
    expect(page.locator("#face img")).to_be_visible()
    user.refresh_from_db()
    assert user.avatar
    page.get_by_role("button", name="移除", exact=True).click()
    expect(page.locator("#face")).to_have_text("L")

    page.get_by_role("button", name="添加邮箱").click()
    page.locator("#email-dialog").get_by_label("邮箱地址").fill("lin@example.com")
    page.locator("#email-dialog").get_by_role("button", name="发送验证链接").click()
    expect(page.locator("#email")).to_have_text("lin@example.com")
    expect(page.locator("#email-proved")).to_have_text("未验证")
    with page.expect_response("**/send-link"):
        page.get_by_role("button", name="重新发送").click()
    [_first, again] = mailoutbox
    link = re.search(r"/verify-email\?token=\S+", again.body)
    assert link
    proving = page.context.new_page()
    proving.goto(link[0])
    proving.get_by_role("button", name="确认").click()
    expect(proving.get_by_role("heading", name="已确认")).to_be_visible()
    page.reload()
    expect(page.locator("#email-proved")).to_have_text("已验证")
    page.get_by_role("button", name="移除邮箱").click()
    page.locator("#sure-dialog").get_by_role("button", name="移除").click()
    expect(page.locator("#email")).to_have_text("未填写")
    user.refresh_from_db()
    assert (user.username, user.email, bool(user.avatar)) == ("lin", None, False)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_phone_is_changed_by_a_code(open_page: Open) -> None:
    user, taken = make_user(username="lin_mo"), make_user()
    page = signed_in(open_page)
    page.get_by_role("button", name="更换手机号").click()
    form = page.locator("#phone-form")
    form.get_by_label("手机号").fill(taken.phone or "")
    send_code(form)
    form.get_by_label("验证码").fill(codes_sent(taken.phone or "")[-1])
    form.get_by_role("button", name="绑定手机号").click()
    expect(page.locator("#own-phone-error")).to_have_text("该手机号已被注册。")
    form.get_by_label("手机号").fill(PHONE)
    form.get_by_label("验证码").fill(code_for(Client(), PHONE, "bind_phone"))
    form.get_by_role("button", name="绑定手机号").click()
    expect(page.locator("#phone")).to_have_text(PHONE)
    user.refresh_from_db()
    assert user.phone == PHONE


def test_the_password(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    token_of(user)
    page = signed_in(open_page)
    tab(page, "安全")
    page.get_by_role("button", name="修改密码").click()
    form = page.locator("#password-form")
    form.get_by_label("原密码").fill("not the one")
    form.get_by_label("新密码").fill("Lantern-2026")
    form.get_by_role("button", name="修改密码").click()
    expect(page.locator("#old-password-error")).to_have_text("原密码错误。")
    expect(form.get_by_label("原密码")).to_be_focused()
    form.get_by_label("原密码").fill(PASSWORD)
    form.get_by_role("button", name="修改密码").click()
    expect(page.locator("#done")).to_have_text("密码已修改。")
    expect(listed(page, "已登录的设备")).to_have_count(1)
    expect(page.locator("#unread")).to_contain_text("1")

    # Forgotten, it is set by a code; who does so stays here.
    page.get_by_role("button", name="忘记密码").click()
    form = page.locator("#code-form")
    send_code(form)
    form.get_by_label("验证码").fill(codes_sent(user.phone or "")[-1])
    form.get_by_label("新密码").fill("Festival-2027")
    form.get_by_role("button", name="设置密码").click()
    expect(page.locator("#done")).to_have_text("密码已设置。")
    expect(listed(page, "安全日志").first).to_contain_text("登录")
    assert Session.objects.filter(user=user, revoked_at__isnull=True).count() == 1
    user.refresh_from_db()
    assert user.check_password("Festival-2027")


def test_the_account_is_deleted_after_all_or_not(open_page: Open) -> None:
    crew = make_crew()
    page = signed_in(open_page, "lead")
    tab(page, "安全")
    page.get_by_role("button", name="注销账号 …").click()
    form = page.locator("#delete-form")
    password = form.get_by_label("密码")
    password.fill(PASSWORD)
    form.get_by_role("button", name="注销账号").click()
    expect(form.locator(".form-error")).to_contain_text("请先移交：灯笼工作室")
    TeamMember.objects.filter(user=crew.admin).update(role=Role.OWNER)
    password.fill("not the one")
    form.get_by_role("button", name="注销账号").click()
    expect(page.locator("#delete-password-error")).to_have_text("密码不正确。")
    form.get_by_role("button", name="改用手机验证码").click()
    send_code(form)
    form.get_by_label("验证码").fill(codes_sent(crew.owner.phone or "")[-1])
    form.get_by_role("button", name="注销账号").click()
    expect(page.locator("#leaving-says")).to_contain_text("余额 ¥50.00 将一并作废")
    expect(page.get_by_role("button", name="注销账号 …")).to_be_hidden()
    assert User.objects.get(pk=crew.owner.pk).deletion_due_at
    page.get_by_role("button", name="保留账号").click()
    expect(page.locator("#leaving")).to_be_hidden()
    assert User.objects.get(pk=crew.owner.pk).deletion_due_at is None


def test_ending_other_sessions(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    for _session in range(3):
        token_of(user)
    page = signed_in(open_page)
    tab(page, "安全")
    expect(listed(page, "已登录的设备")).to_have_count(4)
    page.get_by_role("button", name="下线", exact=True).first.click()
    expect(listed(page, "已登录的设备")).to_have_count(3)
    page.get_by_role("button", name="全部下线").click()
    page.locator("#sure-dialog").get_by_role("button", name="全部下线").click()
    expect(listed(page, "已登录的设备")).to_have_count(1)
    expect(page.locator("#done")).to_have_text("已让 2 处登录下线。")
    [living] = Session.objects.filter(revoked_at__isnull=True)
    assert "Chrome" in living.device


def test_notifications_live(open_page: Open) -> None:
    user = make_user(username="lin_mo")
    for number in range(21):
        notify(user=user, title="Password changed", message=f"{number}", action_url="/account#security")
    page = signed_in(open_page)
    badge = page.locator("#unread")
    expect(badge).to_contain_text("21 条未读")
    page.get_by_label("页面").get_by_role("link", name="账号").click()
    news = listed(page, "消息通知")
    expect(news).to_have_count(20)
    expect(news.first).to_have_class(re.compile("unread"))
    page.get_by_role("button", name="更多").click()
    expect(news).to_have_count(21)

    notify(user=user, title="Your account stays")
    expect(news.first).to_contain_text("您的账号已保留")
    expect(badge).to_contain_text("22")
    news.first.get_by_role("button", name="标为已读").click()
    expect(news.first).not_to_have_class(re.compile("unread"))
    expect(badge).to_contain_text("21")
    news.nth(1).get_by_role("button", name="删除").click()
    expect(news).to_have_count(21)
    expect(badge).to_contain_text("20")
    news.nth(1).get_by_role("link", name="查看").click()
    expect(listed(page, "已登录的设备")).to_have_count(1)
    expect(badge).to_contain_text("19")
    tab(page, "消息通知")
    page.get_by_label("只看未读").check()
    expect(page.locator("#news-rows .unread")).to_have_count(19)
    page.get_by_role("button", name="全部标为已读").click()
    expect(badge).to_be_hidden()
    expect(page.get_by_text("暂无新消息")).to_be_visible()
    assert not Notification.objects.filter(read_at__isnull=True).exists()


def test_sign_out(open_page: Open) -> None:
    make_user(username="lin_mo")
    page = signed_in(open_page)
    page.get_by_role("button", name="退出登录").click()
    page.wait_for_url("**/login")
    expect(page.get_by_text("登录已失效")).to_be_hidden()
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
    expect(page.locator("#phone")).not_to_be_empty()
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
    expect(page.get_by_text("登录已失效")).to_be_visible()
    assert page.evaluate("localStorage.getItem('access_token')") is None


def become_guest(page: Page, tokens: dict[str, Any]) -> None:
    """Keep the tokens of a device's session where the pages look for them."""
    page.evaluate(
        """tokens => {
            localStorage.setItem("access_token", tokens.access_token);
            localStorage.setItem("refresh_token", tokens.refresh_token);
            localStorage.setItem("token_expires_at", String(Date.now() + tokens.expires_in * 1000));
        }""",
        tokens,
    )


def test_a_guest_deletes_the_account(open_page: Open) -> None:
    page = open_page("/login")
    become_guest(page, new_device())
    page.goto("/account#security")
    page.get_by_role("button", name="注销账号 …").click()
    form = page.locator("#delete-form")
    expect(form.get_by_role("textbox")).to_have_count(0)
    form.get_by_role("button", name="注销账号").click()
    expect(page.locator("#leaving")).to_be_visible()
    assert User.objects.get().deletion_due_at is not None


def test_a_guest_binds_a_phone(open_page: Open) -> None:
    body = new_device()
    page = open_page("/login")
    become_guest(page, body)
    page.goto("/account")
    expect(page.locator("#guest")).to_be_visible()
    # A WeChat would not make them more than a guest.
    expect(page.get_by_role("button", name="绑定微信")).to_be_hidden()
    page.get_by_role("button", name="绑定手机号").click()
    form = page.locator("#phone-form")
    form.get_by_label("手机号").fill(PHONE)
    send_code(form)
    form.get_by_label("验证码").fill(codes_sent()[-1])
    form.get_by_role("button", name="绑定手机号").click()
    expect(form).to_be_hidden()
    expect(page.locator("#phone")).to_have_text(PHONE)
    expect(page.locator("#balance")).to_have_text("¥50.00")


@pytest.fixture
def _own_wechat(server: Server, settings: Any) -> None:
    settings.WECHAT_OPEN_URL = settings.WECHAT_API_URL = f"{server.url}/standin/wechat"


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
    tab(page, "安全")
    expect(listed(page, "安全日志").first).to_contain_text("微信已解绑")


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
    for name in ("安全", "消息通知", "个人资料"):
        tab(page, name)
        expect(
            page.get_by_role("heading", name=name).or_(page.get_by_role("heading", name="安全日志"))
        ).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
