"""/teams in a real Chromium: people who work together, as each of them sees it."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from accounts.models import Team, TeamInvitation, User
from accounts.permissions import Role
from accounts.services import invitations
from accounts.services.teams import create_team
from drives.models import Drive
from tests.accounts.crew import Crew, make_crew
from tests.browser import chromium, server
from tests.browser import open_live_page as open_page
from tests.factories import make_user, token_of

__all__ = ["chromium", "open_page", "server"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Page]


@pytest.fixture
def crew() -> Crew:
    return make_crew()


def signed_in(open_page: Open, user: User, place: str = "", width: int = 1280) -> Page:
    page = open_page("/login", width=width)
    kept = {"access_token": token_of(user), "refresh_token": "kept", "token_expires_at": "9999999999999"}
    page.evaluate(
        "(kept) => Object.entries(kept).forEach(([key, value]) => localStorage.setItem(key, value))", kept
    )
    page.goto(f"/teams{place}")
    expect(page.locator("#teams")).to_be_visible()
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator(".rows li").filter(has=page.get_by_text(name, exact=True))


def sure(page: Page, name: str) -> None:
    page.locator("#sure-dialog").get_by_role("button", name=name, exact=True).click()


def test_a_team_is_made_and_others_invited(open_page: Open) -> None:
    owner = make_user(username="lin_mo")
    page = signed_in(open_page, owner, width=390)
    expect(page.get_by_text("您还没有加入任何团队。")).to_be_visible()
    page.get_by_role("button", name="新建团队").click()
    dialog = page.locator("#team-dialog")
    dialog.get_by_role("button", name="保存").click()
    expect(page.locator("#new-team-name-error")).not_to_be_empty()
    dialog.get_by_label("名称").fill("灯笼工作室")
    dialog.get_by_role("button", name="保存").click()
    expect(page.get_by_role("heading", name="灯笼工作室")).to_be_visible()
    page.get_by_role("button", name="编辑").click()
    dialog.get_by_label("简介").fill("夜戏\n第二组")
    dialog.get_by_role("button", name="保存").click()
    expect(page.locator("#team-about")).to_have_text("夜戏\n第二组")
    team = Team.objects.get()
    assert (team.name, team.description) == ("灯笼工作室", "夜戏\n第二组")

    invite = page.locator("#invite-form")
    send = invite.get_by_role("button", name="邀请")
    invite.get_by_label("手机号").fill("12")
    send.click()
    expect(page.locator("#invite-phone-error")).to_have_text("手机号格式不正确。")
    invite.get_by_label("手机号").fill("13912345678")
    invite.get_by_label("角色").select_option("查看者")
    send.click()
    sent = page.locator("#invitation-rows > li")
    expect(sent).to_contain_text("139****5678")
    invite.get_by_label("手机号").fill("13912345678")
    send.click()
    expect(page.locator("#invite-phone-error")).to_have_text("该手机号已有一份待处理的邀请。")
    invite.get_by_label("手机号").fill("")
    send.click()
    expect(sent).to_have_count(2)
    link = page.locator("#invite-link").input_value()
    assert invitations.find(user=make_user(), key=link.partition("#")[2]).team == team
    sent.nth(1).get_by_role("button", name="撤回").click()
    sure(page, "撤回")
    expect(sent).to_have_count(1)
    assert [*TeamInvitation.objects.order_by("pk").values_list("role", "status")] == [
        ("viewer", "revoked"),
        ("viewer", "open"),
    ]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    # What somebody else does is seen while one looks on.
    invitations.accept(user=make_user(username="zhou"), key=link.partition("#")[2])
    expect(row(page, "zhou")).to_be_visible()
    expect(page.get_by_text("没有待接受的邀请。")).to_be_visible()


def test_an_owner_rules(open_page: Open, crew: Crew) -> None:
    Drive.objects.create(team=crew.team, name="镜头库")
    page = signed_in(open_page, crew.owner)
    page.get_by_role("link", name="灯笼工作室").click()
    drive = page.locator("#team-drives").get_by_role("link", name="镜头库")
    expect(drive).to_have_attribute("href", re.compile("^/drive#/"))
    expect(page.locator("#team-wallet")).to_have_attribute("href", re.compile(r"^/billing#balance\?wallet="))
    expect(page.get_by_role("button", name="退出", exact=True)).to_be_disabled()

    page.get_by_label("member 的角色").select_option("管理员")
    expect(page.locator("#done")).to_have_text("member 现在是管理员。")
    row(page, "other").get_by_role("button", name="移除").click()
    sure(page, "移除")
    expect(row(page, "other")).to_have_count(0)
    page.get_by_label("viewer 的角色").select_option("所有者")
    sure(page, "设为所有者")
    expect(page.get_by_role("button", name="退出", exact=True)).to_be_enabled()
    assert [crew.role_of(user) for user in (crew.member, crew.other, crew.viewer)] == ["admin", None, "owner"]

    page.get_by_role("button", name="删除", exact=True).click()
    sure(page, "删除")
    expect(page.locator("#failure")).to_have_text("团队仍有正在使用的资源，请先移除。")
    page.get_by_role("button", name="移交", exact=True).click()
    page.locator("#transfer-form").get_by_label("新所有者").select_option("admin")
    page.locator("#transfer-form").get_by_role("button", name="移交").click()
    expect(page.locator("#team-role")).to_have_text("管理员")
    assert (crew.role_of(crew.admin), crew.role_of(crew.owner)) == ("owner", "admin")
    for name in ("移交", "删除"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_hidden()
    # An administrator has a say about members and viewers alone.
    expect(page.locator("#member-rows select")).to_have_count(0)
    page.get_by_role("button", name="退出", exact=True).click()
    sure(page, "退出")
    expect(page.get_by_text("您还没有加入任何团队。")).to_be_visible()
    assert crew.role_of(crew.owner) is None


def test_a_viewer_looks_and_answers_invitations(open_page: Open, crew: Crew) -> None:
    lead = make_user(username="zhou")
    for name in ("云上动画", "飞檐特效"):
        team = create_team(owner=lead, name=name)
        invitations.invite(team=team, actor=lead, role=Role.MEMBER, phone=crew.viewer.phone or "")
    page = signed_in(open_page, crew.viewer)
    row(page, "云上动画").get_by_role("button", name="加入").click()
    expect(page.get_by_role("link", name="云上动画")).to_be_visible()
    row(page, "飞檐特效").get_by_role("button", name="拒绝").click()
    expect(page.locator("#received")).to_be_hidden()
    assert {*crew.viewer.memberships.values_list("team__name", "role")} == {
        ("灯笼工作室", "viewer"),
        ("云上动画", "member"),
    }

    page.get_by_role("link", name="灯笼工作室").click()
    expect(page.locator("#member-rows > li")).to_have_count(5)
    expect(page.locator("#one-view").get_by_role("button")).to_have_text(["退出"])
    expect(page.locator("#one-view").get_by_role("combobox")).to_have_count(0)
    expect(page.locator("#team-money")).to_be_hidden()
    page.goto(f"/teams#{TeamInvitation.objects.earliest('pk').pk}")
    expect(page.locator("#failure")).to_have_text("没有此团队，或者您已不在其中。")
