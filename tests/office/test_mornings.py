"""A morning's work in a real Chromium: of support, of the farm and of finance."""

import csv
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import AuditEvent
from accounts.services.passwords import verify_credentials
from billing.models import CreditRequest, Refund, VoucherBatch
from billing.services.ledger import wallet_of
from billing.services.statements import write_due
from billing.services.vouchers import redeem
from common import origin
from common.errors import DomainError
from rendering.models import Attempt, NodeBlock, RenderJob, RenderNode
from rendering.services import claims
from tests.accounts.staff import operator
from tests.browser import chromium, open_page
from tests.factories import PASSWORD, make_user
from tests.office.browsing import Open, at_work, confirm, groups, price_rule
from tests.rendering import makers

__all__ = ["chromium", "groups", "open_page"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)
IP = "192.0.2.7"


def test_support_lets_a_user_in(open_page: Open, groups: None) -> None:
    painter = make_user(username="lantern_mei", email="mei@example.com")
    here = origin.current.set(origin.Origin(ip=IP))
    for _guess in range(11):
        with pytest.raises(DomainError):
            verify_credentials(identifier="lantern_mei", password="wrong", ip=IP)
    origin.current.reset(here)

    page = at_work(open_page, operator("support"), width=1440)
    page.locator("#nav-sidebar-apps a[href='/admin/accounts/user/']").click()
    page.locator("#searchbar").fill("mei@example")
    page.locator("#searchbar").press("Enter")
    page.get_by_role("link", name="lantern_mei").first.click()
    expect(page.locator("body")).to_contain_text(f"因密码错误过多，{IP} 已被锁定")
    page.get_by_role("link", name="安全日志").click()
    expect(page.locator("#audit_events-group")).to_contain_text(IP)

    page.locator("li a.cursor-pointer", has_text="登录与访问").click()
    page.get_by_role("link", name="解除登录锁定").click()
    confirm(page, "解除登录锁定", reason="电话 4711")
    expect(page.locator("body")).to_contain_text("已解锁 1 个地址")
    expect(page.locator("body")).to_contain_text("邮箱未验证")
    assert verify_credentials(identifier="lantern_mei", password=PASSWORD, ip=IP) == painter
    event = AuditEvent.objects.get(action=AuditEvent.Action.ADMIN_RAN)
    assert event.after == {"action": "lift_locks", "reason": "电话 4711"}


def test_the_farm_takes_a_node_out_and_sees_its_frames_move(open_page: Open, groups: None) -> None:
    nodes = [
        RenderNode.objects.create(
            name=name, host="h", slots=2, engines={"blender": ["5.0.1"]}, heartbeat_at=timezone.now()
        )
        for name in ("node-1", "node-2")
    ]
    price_rule()
    artist = make_user(username="artist", money="50")
    job = makers.queued(artist, frames="1-4", task_name="灯笼街")
    attempt = makers.claimed(nodes[0])
    Attempt.objects.filter(pk=attempt.pk).update(log_tail="Fra:1 Sample 3/64", progress=12)

    page = at_work(open_page, operator("farm"), width=1440)
    page.goto("/admin/rendering/rendernode/")
    row = page.locator("tr", has_text="node-1")
    row.locator("input.action-select").check()
    page.locator("select[name=action]").select_option("drain")
    page.get_by_role("button", name="执行").click()
    expect(page.locator("tr", has_text="node-1")).to_contain_text("排空")
    nodes[0].refresh_from_db()
    assert nodes[0].state == "draining"
    assert claims.claim(node=nodes[0], engine="blender") is None

    page.goto(f"/admin/rendering/renderjob/{job.pk}/change/")
    expect(page.locator(".frame.running")).to_have_count(1)
    expect(page.locator(".attempt-log").first).to_have_text("Fra:1 Sample 3/64")
    page.locator("li a.cursor-pointer", has_text="更多").click()
    page.get_by_role("link", name="移到其他节点").click()
    confirm(page, "移到其他节点")
    expect(page.locator(".frame.running")).to_have_count(0)
    assert NodeBlock.objects.filter(job=job, node=nodes[0]).exists()
    assert claims.claim(node=nodes[1], engine="blender") is not None
    page.reload()
    expect(page.locator(".attempt").first).to_contain_text("node-2")


def test_finance_gives_back_approves_and_answers(open_page: Open, groups: None) -> None:
    price_rule()
    node = RenderNode.objects.create(
        name="node-1", host="h", slots=1, engines={"blender": ["5.0.1"]}, heartbeat_at=timezone.now()
    )
    artist = make_user(username="lantern_mei", money="50")
    job = makers.queued(artist, frames="1-2", task_name="灯笼街")
    makers.succeed(makers.claimed(node))
    makers.fail(makers.claimed(node), is_permanent=True)
    assert makers.fresh(job).status == RenderJob.Status.FAILED
    wallet = wallet_of(artist)
    before = wallet.balance
    write_due(now=timezone.now() + timedelta(days=32))

    li = make_user(username="finance_li", is_staff=True)
    li.groups.add(Group.objects.get(name="finance"))
    page = at_work(open_page, li, width=1440)
    page.goto(f"/admin/accounts/user/{artist.pk}/change/")
    page.get_by_role("link", name="申请调账").click()
    with page.expect_navigation():
        confirm(page, "申请调账", amount="20", reason="银行转账 4711")
    wallet.refresh_from_db()
    assert (wallet.balance, CreditRequest.objects.get().maker) == (before, li)

    page = at_work(open_page, operator("finance"), width=1440)
    page.goto("/admin/rendering/renderjob/")
    page.locator("#searchbar").fill("lantern_mei")
    page.locator("#searchbar").press("Enter")
    page.get_by_role("link", name="灯笼街").first.click()
    page.locator("li a.cursor-pointer", has_text="更多").click()
    page.get_by_role("link", name="退款").click()
    with page.expect_navigation():
        confirm(page, "退款", amount="0.50", reason="工单 12")
    wallet.refresh_from_db()
    assert (wallet.balance, Refund.objects.get().reason) == (before + Decimal("0.50"), "工单 12")

    page.goto("/admin/billing/creditrequest/")
    page.locator("#result_list tbody a[href*='/creditrequest/']").first.click()
    page.get_by_role("link", name="批准").click()
    with page.expect_navigation():
        confirm(page, "批准", reason="已到账")
    expect(page.locator("body")).to_contain_text("已到账")
    wallet.refresh_from_db()
    assert wallet.balance == before + Decimal("20.50")

    page.goto("/admin/billing/statement/?q=lantern_mei")
    page.locator("#result_list tbody a[href*='/statement/']").first.click()
    expect(page.locator("body")).to_contain_text("消费 -0.50")


def test_finance_issues_codes_that_an_artist_redeems(open_page: Open, groups: None) -> None:
    li, wang = (make_user(username=name, is_staff=True) for name in ("finance_li", "finance_wang"))
    for user in (li, wang):
        user.groups.add(Group.objects.get(name="finance"))
    artist = make_user(username="lantern_mei")
    before = wallet_of(artist).balance

    page = at_work(open_page, li, width=1440)
    page.get_by_role("link", name="代金券批次").first.click()
    page.locator("a[href$='/voucherbatch/add/']").first.click()
    facts = {
        "name": "灯节", "amount": "8.88", "gift_days": "30", "count": "2", "valid_from_0": "2026-11-01",
        "valid_from_1": "00:00", "valid_until_0": "2099-12-31", "valid_until_1": "23:59", "reason": "活动 5",
    }  # fmt: skip
    for name, text in facts.items():
        page.locator(f"[name={name}]").fill(text)
    page.locator("[name=_save]").click()
    expect(page.locator("body")).to_contain_text("灯节")
    batch = VoucherBatch.objects.get()
    assert (batch.status, batch.maker) == ("pending", li)
    address = f"/admin/billing/voucherbatch/{batch.pk}/change/"

    other = at_work(open_page, wang, width=1440)
    other.goto(address)
    other.get_by_role("link", name="批准").click()
    with other.expect_navigation():
        confirm(other, "批准", reason="预算内")

    page.goto(address)
    page.get_by_role("link", name="生成兑换码").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="生成兑换码").click()
    _header, *rows = csv.reader(download.value.path().read_text("utf-8-sig").splitlines())
    assert [(row[1], row[2]) for row in rows] == 2 * [("灯节", "8.88")]
    page.goto(address)
    expect(page.locator("body")).to_contain_text("已发放")

    redeem(user=artist, code=rows[0][0], ip="", now=timezone.now())
    assert wallet_of(artist).balance == before + Decimal("8.88")
    page.reload()
    page.get_by_role("link", name="兑换记录").first.click()
    expect(page.locator("#result_list")).to_contain_text("lantern_mei")
