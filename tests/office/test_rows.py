"""What the page of a row offers and says: the buttons that fit it, its history, and words instead of raw values."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.utils import timezone, translation
from django_celery_beat.models import CrontabSchedule, IntervalSchedule

from accounts.models import AuditEvent, User
from accounts.services import blocking
from backoffice.admin.schedules import spoken
from billing.models import PriceRule
from billing.services.approvals import approve_credit, request_credit
from billing.services.ledger import wallet_of
from drives.services.trash import trash
from rendering.models import ConcurrencyLimit, Frame, RenderNode
from tests.accounts.staff import act, office_of, operator, page
from tests.factories import make_user, put
from tests.rendering import makers

pytestmark = pytest.mark.django_db


@pytest.fixture
def office() -> Client:
    return office_of(operator("superuser"))


def buttons(office: Client, row: Model) -> set[str]:
    """Deeds that the page of `row` offers, those in menus among them."""
    answer = office.get(page(type(row), "change", row.pk))
    assert answer.status_code == 200
    offered = answer.context["actions_detail"]
    flat = [item for entry in offered for item in entry.get("items", [entry])]
    return {item["path"].rstrip("/").rpartition("/")[2] for item in flat}


def test_a_user_is_blocked_or_unblocked(office: Client) -> None:
    user = make_user()
    assert buttons(office, user) >= {"block", "change-level"}
    assert not buttons(office, user) & {"unblock", "remove-avatars", "remove-second-factor"}
    blocking.block(User.objects.filter(pk=user.pk), actor=make_user(is_staff=True))
    assert buttons(office, user) >= {"unblock"}
    assert "block" not in buttons(office, user)


def test_a_credit_is_decided_once(office: Client) -> None:
    maker, checker = make_user(is_staff=True), make_user(is_staff=True)
    asked = request_credit(wallet=wallet_of(make_user()), amount=Decimal(5), key="k", reason="r", maker=maker)
    assert buttons(office, asked) == {"approve", "reject", "withdraw"}
    approve_credit(request=asked, checker=checker, decision="seen")
    assert buttons(office, asked) == set()


def test_jobs_nodes_and_files_offer_what_their_state_allows(office: Client) -> None:
    now = timezone.now()
    node = RenderNode.objects.create(
        name="n", host="h", slots=2, engines={"blender": ["5.0.1"]}, heartbeat_at=now
    )
    assert buttons(office, node) == {"drain", "disable"}
    artist = make_user(money="50")
    job = makers.queued(artist, frames="1-2")
    assert buttons(office, job) == {"pause", "raise-priority", "move", "unblock-nodes", "cancel"}
    for _frame in range(2):
        makers.succeed(makers.claimed(node))
    assert buttons(office, makers.fresh(job)) == {"refund"}
    file = put(artist, "/a.png", b"light")
    assert buttons(office, file) == {"open-file"}
    trash(entry=file, actor=artist)
    assert buttons(office, file) == {"open-file", "restore"}


def test_the_history_of_a_row_is_its_part_of_the_audit_log(office: Client) -> None:
    nodes = [RenderNode.objects.create(name=name, host="h", heartbeat_at=timezone.now()) for name in "ab"]
    for node in nodes:
        act(office, "drain", node)
    answer = office.get(page(RenderNode, "history", nodes[0].pk), follow=True)
    assert [event.target_id for event in answer.context["cl"].result_list] == [str(nodes[0].pk)]
    assert page(RenderNode, "change", nodes[0].pk) in answer.content.decode()
    for group in ("farm", "support"):
        other = office_of(operator(group))
        assert other.get(page(RenderNode, "history", nodes[0].pk)).status_code == 403
        assert "/history/" not in other.get(page(RenderNode, "changelist")).content.decode()


def test_a_user_has_the_history_of_what_happened_to_them(office: Client) -> None:
    user, other = make_user(), make_user()
    for each in (user, other):
        blocking.block(User.objects.filter(pk=each.pk), actor=make_user(is_staff=True))
    answer = office.get(page(User, "history", user.pk), follow=True)
    events = list(answer.context["cl"].result_list)
    assert {event.user for event in events} == {user}
    assert AuditEvent.Action.BLOCKED in {event.action for event in events}


def test_nothing_of_a_living_node_is_changed_or_deleted_by_hand(office: Client) -> None:
    node = RenderNode.objects.create(name="n", host="h", heartbeat_at=timezone.now())
    assert office.post(page(RenderNode, "change", node.pk), {"state": "disabled"}).status_code == 403
    assert office.post(page(RenderNode, "delete", node.pk), {"post": "yes"}).status_code == 403
    node.refresh_from_db()
    assert node.state == RenderNode.State.ENABLED


def test_lists_show_words(office: Client) -> None:
    RenderNode.objects.create(
        name="n", host="h", slots=2, engines={"blender": ["5.0.1"]}, heartbeat_at=timezone.now()
    )
    artist = make_user(username="lantern_mei", money="50")
    makers.queued(artist, frames="1-2")
    assert "就绪" in office.get(page(Frame, "changelist")).content.decode()
    ConcurrencyLimit.objects.create(kind=ConcurrencyLimit.Kind.USER, key="no id")
    shown = office.get(page(ConcurrencyLimit, "changelist")).content.decode()
    assert "lantern_mei" in shown
    assert "no id" in shown
    file = put(artist, "/a.png", b"x" * 3000)
    assert "2.9\u00a0KB" in office.get(page(type(file), "change", file.pk)).content.decode()


def test_counts_of_filters_are_not_offered(office: Client) -> None:
    answer = office.get(page(User, "changelist"), {"_facets": "True"})
    assert answer.context["cl"].add_facets is False
    assert all(shown.show_facets is admin.ShowFacets.NEVER for shown in admin.site._registry.values())


def test_the_effect_of_a_price_stands_beside_its_confirmation(office: Client) -> None:
    form: dict[str, Any] = {
        "engine": "", "unit": "frame", "price": "0.80", "currency": "CNY", "low_multiplier": "1",
        "high_multiplier": "1", "urgent_multiplier": "1", "valid_from_0": "2099-01-01", "valid_from_1": "00:00",
        "valid_to_0": "", "valid_to_1": "",
    }  # fmt: skip
    answer = office.post(page(PriceRule, "add"), form)
    effect = answer.context["adminform"].form.errors["is_confirmed"]
    assert len(effect) == 4
    assert "→ 80.00" in effect[1]


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (CrontabSchedule(minute="0", hour="4", timezone="UTC"), "在 04:00 (UTC)"),
        (IntervalSchedule(every=604800, period="seconds"), "每 7 天"),
        (IntervalSchedule(every=90, period="seconds"), "每 90 秒"),
    ],
)
def test_schedules_are_told_in_words(schedule: Any, text: str) -> None:
    with translation.override("zh-hans"):
        assert spoken(schedule) == text


def test_scripts_speak_chinese(office: Client) -> None:
    catalogue = office.get("/admin/jsi18n/", headers={"Accept-Language": "zh-hans"}).content.decode()
    assert '"(click to clear)": "\\uff08\\u70b9\\u51fb\\u6e05\\u9664\\uff09"' in catalogue
