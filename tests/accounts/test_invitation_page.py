"""/invitation in a real Chromium: what a link to a team leads to."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import TeamInvitation, User
from accounts.permissions import Role
from accounts.services import invitations
from tests.accounts.conftest import PHONE, codes_sent
from tests.accounts.crew import Crew, make_crew
from tests.browser import chromium, server
from tests.browser import open_live_page as open_page
from tests.factories import PASSWORD, make_user

__all__ = ["chromium", "open_page", "server"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Page]


@pytest.fixture
def crew() -> Crew:
    return make_crew()


def link(crew: Crew, role: Role = Role.VIEWER, phone: str = "") -> str:
    _invitation, token = invitations.invite(team=crew.team, actor=crew.owner, role=role, phone=phone)
    return f"/invitation#{token}"


def sign_in(page: Page, user: User) -> None:
    page.wait_for_url("**/login")
    form = page.locator("#password-form")
    form.locator("[name=username]").fill(user.username)
    form.locator("[name=password]").fill(PASSWORD)
    form.locator("[type=submit]").click()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_link_leads_through_the_sign_in_into_the_team(open_page: Open, crew: Crew, width: int) -> None:
    user, path = make_user(username="lin_mo"), link(crew, Role.ADMIN)
    page = open_page(path, width=width)
    sign_in(page, user)
    page.wait_for_url(f"**{path}")
    expect(page.get_by_role("heading", name="灯笼工作室")).to_be_visible()
    expect(page.locator("#offer")).to_have_text("lead 邀请您加入该团队，角色：管理员。")
    expect(page.locator("#until")).to_contain_text("有效期至")
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.get_by_role("button", name="加入").click()
    expect(page.locator("#offer")).to_have_text("您已加入该团队。")
    expect(page.get_by_role("button", name="加入")).to_be_hidden()
    assert crew.role_of(user) == "admin"
    page.get_by_role("link", name="打开团队").click()
    expect(page.get_by_role("heading", name="灯笼工作室")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # The place was kept for one sign-in.
    page.goto("/login")
    page.wait_for_url("**/drive")


def test_a_newcomer_registers_and_joins(open_page: Open, crew: Crew) -> None:
    path = link(crew, phone=PHONE)
    page = open_page(path)
    page.wait_for_url("**/login")
    page.get_by_role("link", name="注册").first.click()
    form = page.locator("#register-form")
    form.locator("[name=username]").fill("newcomer")
    form.locator("[name=phone]").fill(PHONE)
    form.locator(".send-code").click()
    expect(form.locator("[name=verification_code]")).to_be_focused()
    form.locator("[name=verification_code]").fill(codes_sent()[-1])
    form.locator("[name=password]").fill(PASSWORD)
    form.locator("[type=submit]").click()
    page.wait_for_url(f"**{path}")
    page.get_by_role("button", name="加入").click()
    expect(page.locator("#offer")).to_have_text("您已加入该团队。")
    assert crew.role_of(User.objects.get(phone=PHONE)) == "viewer"


def test_the_news_of_an_invitation_leads_to_it(open_page: Open, crew: Crew) -> None:
    user = make_user(username="lin_mo")
    link(crew, Role.MEMBER, phone=user.phone or "")
    page = open_page("/login")
    sign_in(page, user)
    page.wait_for_url("**/drive")
    expect(page.locator("#unread")).to_contain_text("1")
    page.get_by_role("link", name="账号").click()
    news = page.get_by_role("region", name="通知").get_by_role("listitem").first
    expect(news).to_contain_text("lead 邀请您加入该团队。")
    news.get_by_role("link", name="查看").click()
    page.get_by_role("button", name="加入").click()
    expect(page.locator("#offer")).to_have_text("您已加入该团队。")
    assert crew.role_of(user) == "member"


def test_declined(open_page: Open, crew: Crew) -> None:
    user, path = make_user(username="lin_mo"), link(crew)
    page = open_page(path)
    sign_in(page, user)
    page.get_by_role("button", name="拒绝").click()
    expect(page.locator("#offer")).to_have_text("您已拒绝该邀请。")
    assert TeamInvitation.objects.get().status == "declined"
    assert crew.role_of(user) is None


def test_what_cannot_be_joined_is_told(open_page: Open, crew: Crew) -> None:
    page = open_page(link(crew, phone=PHONE))
    sign_in(page, make_user(username="lin_mo"))
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("没有此邀请，或者它是发给其他手机号的。")
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)

    used = link(crew)
    invitations.accept(user=make_user(), key=used.partition("#")[2])
    page.goto(used)
    expect(alert).to_have_text("该邀请已失效。")

    member = link(crew)
    invitations.accept(user=User.objects.get(username="lin_mo"), key=link(crew).partition("#")[2])
    page.goto(member)
    page.get_by_role("button", name="加入").click()
    expect(alert).to_have_text("您已经是该团队的成员。")
    expect(page.get_by_role("button", name="加入")).to_be_enabled()
