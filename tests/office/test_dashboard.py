"""The first page and the sidebar: each operator sees what the role may see, and every figure leads to its list."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import TaskResult

from accounts.permissions import StaffGroup
from backoffice import alerts, figures
from backoffice.navigation import SECTIONS
from billing.models import MoneyAlert, ReconciliationDifference, ReconciliationRun
from billing.services.approvals import request_credit
from billing.services.credits import credit
from billing.services.ledger import wallet_of
from rendering.models import RenderJob, RenderNode
from tests.accounts.staff import office_of, operator
from tests.billing.issuing import approved, asked
from tests.billing.paying import recharged
from tests.factories import make_user
from tests.rendering import makers

pytestmark = pytest.mark.django_db
HOME = "/admin/"


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    cache.clear()


def home(group: str) -> Any:
    answer = office_of(operator(group)).get(HOME)
    assert answer.status_code == 200
    return answer


def titles(group: str) -> set[str]:
    return {card.title for card in home(group).context["cards"]}


MONEY = {"今日收入", "30 天收入", "今日充值"}
JOBS = {"正在渲染的任务", "排队的任务", "昨天以来失败的任务"}
FRAMES = {"最近一小时渲染帧数"}
CARDS = {
    "support": JOBS | FRAMES | {"已用存储", "今日新用户"},
    "finance": MONEY | JOBS | {"今日新用户"},  # they give money for tasks back
    "farm": JOBS | FRAMES | {"在线渲染节点"},
    "auditor": MONEY | JOBS | FRAMES | {"在线渲染节点", "已用存储", "今日新用户"},
    "superuser": MONEY | JOBS | FRAMES | {"在线渲染节点", "已用存储", "今日新用户"},
}


@pytest.mark.parametrize("group", list(StaffGroup))
def test_everybody_sees_what_is_theirs(group: str) -> None:
    assert titles(group) == CARDS[group]


@pytest.mark.parametrize("group", list(StaffGroup))
def test_every_figure_and_every_entry_of_the_sidebar_leads_somewhere(group: str) -> None:
    office = office_of(operator(group))
    context = office.get(HOME).context
    links = [card.link for card in context["cards"]]
    links += [item["link"] for section in context["sidebar_navigation"] for item in section["items"]]
    assert len(links) > 5
    for link in links:
        assert office.get(link).status_code == 200, link


SEEN = {
    "support": {"用户", "渲染农场", "网盘与文件"},
    "finance": {"用户", "财务", "渲染农场"},
    "farm": {"渲染农场", "系统"},
    "auditor": {"用户", "财务", "渲染农场", "网盘与文件", "系统"},
    "superuser": {"用户", "财务", "渲染农场", "网盘与文件", "系统"},
}


@pytest.mark.parametrize("group", list(StaffGroup))
def test_the_sidebar_has_the_sections_of_the_role(group: str) -> None:
    shown = {str(section.get("title", "")) for section in home(group).context["sidebar_navigation"]}
    assert shown & {str(section.title) for section in SECTIONS} == SEEN[group]


def test_money_of_the_month() -> None:
    user = make_user()
    recharged(user, "30")
    credit(user=user, amount=Decimal("7"), key="k1", reason="a correction is no recharge")
    found = figures.money()
    assert len(found["days"]) == len(found["revenue"]) == figures.CHART_DAYS
    assert found["days"][-1] == timezone.localdate()
    assert sum(found["revenue"]) == 0
    assert found["recharged"][-1] == Decimal("30")


def test_work_and_nodes(node: RenderNode) -> None:
    owner = make_user(money="50")
    for status in (RenderJob.Status.FAILED, RenderJob.Status.RENDERING):
        makers.in_status(owner, status, node)
    makers.queued(owner)
    assert figures.jobs() == {"running": 1, "queued": 1, "failed": 1}
    assert figures.frames() == {"frames": 0}
    makers.succeed(makers.claimed(node))
    assert figures.frames() == {"frames": 1}
    RenderNode.objects.create(
        name="gone", host="h", heartbeat_at=timezone.now() - timedelta(hours=1), engines={}
    )
    RenderNode.objects.create(name="off", host="h", heartbeat_at=timezone.now(), state="disabled", engines={})
    assert figures.nodes() == {"online": 1, "draining": 0, "disabled": 1, "lost": 1}


def test_what_is_stored_once_is_saved() -> None:
    from tests.factories import put

    for _copy in range(3):
        put(make_user(), "/lantern.txt", b"light" * 20)
    assert figures.storage() == {"used": 300, "saved": 200}


def test_alerts_are_seen_by_whom_they_concern(node: RenderNode) -> None:
    RenderNode.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    TaskResult.objects.create(task_id="t1", task_name="drives.tasks.sweep", status="FAILURE")
    assert [alert["text"] for alert in home("farm").context["alerts"]] == [
        "1 个渲染节点没有响应", "昨天以来有 1 个后台任务失败",
    ]  # fmt: skip
    assert home("finance").context["alerts"] == []


@pytest.mark.parametrize("group", list(StaffGroup))
def test_who_decides_is_told_of_what_waits(group: str) -> None:
    request_credit(
        wallet=wallet_of(make_user()), amount=Decimal(5), key="k", reason="r", maker=make_user(is_staff=True)
    )
    for _batch in range(2):
        asked()
    approved()
    shown = [alert["text"] for alert in home(group).context["alerts"]]
    assert shown == (
        ["1 笔人工入账等待复核", "2 个代金券批次等待复核"] if group in ("finance", "superuser") else []
    )


@pytest.mark.parametrize("group", list(StaffGroup))
def test_money_that_does_not_agree_is_told(group: str) -> None:
    now = timezone.now()
    failed = ReconciliationRun.objects.create(
        kind="orders",
        day=timezone.localdate(),
        status="failed",
        started_at=now,
        finished_at=now,
        error="away",
    )
    ReconciliationDifference.objects.create(run=failed, check_name="held", subject="x", detail="held 1.00")
    MoneyAlert.objects.create(kind=MoneyAlert.Kind.values[0], key="o-1")
    office = office_of(operator(group))
    told = office.get(HOME).context["alerts"]
    shown = [alert["text"] for alert in told]
    told_of = ["1 次对账失败", "1 条资金差异未解决", "1 条资金警报未处理"]
    assert shown == (told_of if group in ("finance", "auditor", "superuser") else [])
    for alert in told:
        assert office.get(alert["link"]).context["cl"].result_count == 1


def test_a_queue_that_is_old_is_told(node: RenderNode) -> None:
    owner = make_user(money="50")
    job = makers.queued(owner)
    assert alerts.waiting_jobs() == 0
    RenderJob.objects.filter(pk=job.pk).update(submitted_at=timezone.now() - timedelta(minutes=11))
    assert alerts.waiting_jobs() == 1
    makers.claimed(node)
    assert alerts.waiting_jobs() == 0


def test_figures_are_kept_for_a_minute() -> None:
    office = office_of(operator("superuser"))
    office.get(HOME)
    with CaptureQueriesContext(connection) as captured:
        office.get(HOME)
    assert not [query["sql"] for query in captured if "billing_ledgerentry" in query["sql"]]
    assert len(captured) <= 10


def test_strangers_see_no_figure() -> None:
    assert Client().get(HOME).status_code == 302
