"""/billing in a real Chromium: a payer recharges, redeems, looks at what moved, and takes a plan."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, Page, Route, expect

from accounts.models import TeamMember, User
from accounts.services.teams import create_team
from billing.models import LedgerEntry, Membership, RechargeOrder
from billing.services.ledger import wallet_of
from billing.services.parking import park
from billing.services.statements import write_due
from tests.billing.history import set_created
from tests.billing.issuing import issued
from tests.billing.test_money_doors import fill, render
from tests.browser import chromium, open_page
from tests.factories import make_user, token_of

__all__ = ["chromium", "open_page"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., Page]


@pytest.fixture
def payer(live_server: Any, settings: Any) -> User:
    """With 50 yuan of trial credit, where both channels are the stand-ins, which tell us."""
    settings.WECHAT_PAY_URL = f"{live_server.url}/standin/pay/wechat"
    settings.ALIPAY_URL = f"{live_server.url}/standin/pay/alipay/gateway.do"
    settings.PUBLIC_URL = live_server.url.replace("localhost", "127.0.0.1")
    return make_user(username="payer")


def signed_in(open_page: Open, user: User, place: str = "", width: int = 1440) -> Page:
    page = open_page("/login", width=width)
    kept = {"access_token": token_of(user), "refresh_token": "kept", "token_expires_at": "9999999999999"}
    page.evaluate(
        "(kept) => Object.entries(kept).forEach(([key, value]) => localStorage.setItem(key, value))", kept
    )
    page.goto(f"/billing{place}")
    expect(page.get_by_role("heading", name="费用")).to_be_visible()
    return page


def tab(page: Page, name: str) -> None:
    page.get_by_label("账务栏目").get_by_role("link", name=name, exact=True).click()


def rows(page: Page, name: str) -> Locator:
    return page.locator(f"#{name}-rows > *")


def pay(page: Page, link: str) -> None:
    """What the phone, or the other window, does."""
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=link).click()
    opened.value.get_by_role("button", name="支付").click()
    expect(opened.value.get_by_text("平台已知晓")).to_be_visible()
    opened.value.close()


def test_a_recharge_by_each_channel_and_a_voucher(payer: User, open_page: Open) -> None:
    page = signed_in(open_page, payer, width=390)
    amount = page.get_by_label("金额（元）").first
    submit = page.locator("#recharge-form [type=submit]")
    dialog = page.locator("#pay")
    expect(page.locator("#available")).to_have_text("¥50.00")
    amount.fill("0.001")
    submit.click()
    expect(page.locator("#recharge-amount-error")).to_contain_text("2")

    # The answer is cut off: pressed again it is the same order.
    def lose(route: Route) -> None:
        route.fetch()
        route.fulfill(body="")

    page.route("**/billing/recharges", lose, times=1)
    page.get_by_role("button", name="¥200").click()
    submit.click()
    expect(page.locator("#recharge-form .form-error")).to_contain_text("没有响应")
    submit.click()
    expect(dialog.get_by_alt_text("微信支付二维码")).to_be_visible()
    assert RechargeOrder.objects.count() == 1
    pay(page, "直接打开二维码中的地址")
    expect(dialog.get_by_role("status")).to_have_text("支付成功，已到账。")
    dialog.get_by_role("button", name="关闭").click()
    expect(page.locator("#available")).to_have_text("¥250.00")

    # By Alipay: later, from the list; another one is closed.
    page.get_by_text("支付宝").first.click()
    amount.fill("1.5")
    submit.click()
    dialog.get_by_role("button", name="稍后支付").click()
    rows(page, "order").first.get_by_role("button", name="去支付").click()
    pay(page, "打开支付宝付款页")
    page.evaluate("dispatchEvent(new Event('focus'))")  # back from the other window
    expect(dialog.get_by_role("status")).to_have_text("支付成功，已到账。")
    dialog.get_by_role("button", name="关闭").click()
    submit.click()
    dialog.get_by_role("button", name="关闭订单").click()
    expect(dialog.get_by_role("status")).to_have_text("订单已关闭，未扣款。")
    dialog.get_by_role("button", name="关闭", exact=True).click()
    expect(rows(page, "order").first).to_contain_text("未支付，已关闭")
    expect(page.locator("#available")).to_have_text("¥251.50")
    assert wallet_of(payer).balance == Decimal("251.5")

    _batch, [code] = issued(name="秋季拉新")
    page.get_by_label("代金券兑换码").fill("0000-0000-0000-0000")
    page.get_by_role("button", name="兑换").click()
    expect(page.get_by_text("兑换码不存在。")).to_be_visible()
    page.get_by_label("代金券兑换码").fill(f" {code.lower()} ")
    page.get_by_role("button", name="兑换").click()
    expect(page.get_by_text("已到账 ¥20.00。")).to_be_visible()
    expect(page.locator("#available")).to_have_text("¥271.50")
    expect(rows(page, "gift").first).to_contain_text("代金券：秋季拉新")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_moved(payer: User, open_page: Open) -> None:
    wallet = wallet_of(payer)
    long_ago = timezone.now() - timedelta(days=70)
    for entry in LedgerEntry.objects.filter(wallet=wallet):
        set_created(entry, long_ago)
    write_due(now=timezone.now())
    fill(wallet, "100")
    for number in range(52):
        task = render(wallet, "0.25" if number else "7.004", spender=payer, name=f"镜头 {number:02}")
    page = signed_in(open_page, payer, "#entries")
    expect(rows(page, "entry")).to_have_count(50)
    expect(rows(page, "entry").first).to_contain_text("-¥0.25")
    page.get_by_role("button", name="更多").click()
    expect(rows(page, "entry")).to_have_count(54)
    page.locator("#entry-filters").get_by_label("类型").select_option(label="充值")
    expect(rows(page, "entry")).to_have_count(1)
    expect(rows(page, "entry")).to_contain_text("¥150.00")  # the balance after it
    page.get_by_role("button", name="清除筛选").click()
    page.locator("#entry-filters").get_by_label("渲染任务").select_option(str(task))
    expect(rows(page, "entry")).to_have_count(1)
    with page.expect_download() as got:
        page.get_by_role("button", name="导出 CSV").click()
    assert got.value.path().read_text("utf-8-sig").count("\n") == 2
    page.go_back()
    expect(rows(page, "entry")).to_have_count(50)

    tab(page, "账单")
    rows(page, "bill").first.locator("summary").click()
    expect(rows(page, "bill").first.get_by_role("table")).to_contain_text("¥0.25")
    link = rows(page, "bill").first.get_by_role("link", name="查看任务")
    expect(link).to_have_attribute("href", f"/tasks#/{task}")
    tab(page, "消费分析")
    expect(page.locator("#spending-sum")).to_have_text("¥19.75")
    expect(page.locator("#spending-chart > *")).to_have_count(30)
    page.get_by_label("统计方式").select_option(label="渲染引擎")
    expect(rows(page, "spending")).to_have_text(re.compile("blender.*19.75"))
    page.locator("#spending-from").fill("2999-01-01")
    expect(page.locator("#spending-from-error")).to_contain_text("366")
    tab(page, "对账单")
    for kind, start in (("PDF", b"%PDF-"), ("CSV", b"\xef\xbb\xbf")):
        with page.expect_download() as got:
            page.get_by_role("button", name=f"对账单 {kind}").click()
        assert got.value.path().read_bytes().startswith(start)


def test_a_plan_is_bought_raised_and_ended(payer: User, open_page: Open) -> None:
    fill(wallet_of(payer), "100")
    page = signed_in(open_page, payer, "#membership", width=390)
    dialog = page.locator("#plan-dialog")
    page.get_by_role("button", name="购买: 企业版").click()
    expect(dialog).to_contain_text("可用余额为 ¥150.00")
    expect(dialog.locator("#plan-confirm")).to_be_disabled()
    dialog.get_by_role("button", name="取消").click()
    page.get_by_role("button", name="购买: 基础版").click()
    dialog.get_by_role("button", name="支付 ¥29.00").click()
    expect(page.locator("#plan-name")).to_have_text("基础版")
    # Half of the month is over.
    month = timedelta(days=30)
    Membership.objects.update(
        period_start=timezone.now() - month / 2, period_end=timezone.now() + month / 2 + timedelta(seconds=5)
    )
    page.get_by_role("button", name="升级: 专业版").click()
    expect(dialog).to_contain_text("现在从钱包支付 ¥35.00")
    dialog.get_by_role("button", name="支付 ¥35.00").click()
    expect(page.locator("#plan-name")).to_have_text("专业版")
    assert wallet_of(payer).balance == Decimal("86")
    page.get_by_role("button", name="到期取消: 免费版").click()
    dialog.get_by_role("button", name="确认").click()
    expect(page.locator("#plan-until")).to_contain_text("到期终止")
    page.get_by_role("button", name="保留当前套餐").click()
    expect(page.locator("#plan-until")).to_contain_text("自动续费")
    assert Membership.objects.filter(plan__level=2, cancel_at_period_end=False).count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_nobody_sees_the_wallet_of_another(payer: User, open_page: Open) -> None:
    fill(wallet_of(payer), "77")
    other = make_user(username="other")
    page = signed_in(open_page, other, f"?x#balance?wallet={wallet_of(payer).pk}")
    expect(page.locator("#available")).to_have_text("¥50.00")
    expect(page.get_by_label("钱包")).to_be_hidden()
    # A team's: for who manages its money, until they do not any more.
    team = create_team(owner=payer, name="灯笼工作室")
    member = TeamMember.objects.create(team=team, user=other, role="admin")
    park(wallet=wallet_of(payer), reason="r")
    page.reload()
    page.get_by_label("钱包").select_option(label="团队：灯笼工作室")
    expect(page.locator("#available")).to_have_text("¥0.00")
    _batch, [code] = issued()
    page.get_by_label("代金券兑换码").fill(code)
    page.get_by_role("button", name="兑换").click()
    expect(page.locator("#available")).to_have_text("¥20.00")
    TeamMember.objects.filter(pk=member.pk).update(role="member")
    page.reload()
    expect(page.locator("#available")).to_have_text("¥50.00")
    page = signed_in(open_page, payer)
    expect(page.locator("#parked")).to_be_visible()
