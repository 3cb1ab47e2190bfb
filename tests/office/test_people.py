"""Users in the back office: what is seen at a glance, what keeps them out, what is done and why."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent, Notice, Notification, User
from accounts.permissions import StaffGroup
from accounts.services import notices
from accounts.services.lockout import locked_addresses
from accounts.services.passwords import verify_credentials
from accounts.signals import level_changed
from accounts.tasks import send_notices
from common import origin
from common.errors import DomainError
from rendering.models import RenderNode
from tests.accounts.staff import FORM, act, office_of, operator, page
from tests.factories import PASSWORD, make_user
from tests.rendering import makers

pytestmark = pytest.mark.django_db
IP = "192.0.2.7"


@pytest.fixture
def painter(db: None) -> User:
    return make_user(username="painter", money="12.50")


@pytest.fixture
def locked(painter: User) -> User:
    """Shut out for an address."""
    here = origin.current.set(origin.Origin(ip=IP))
    try:
        for _guess in range(11):
            with pytest.raises(DomainError):
                verify_credentials(identifier=painter.username, password="wrong", ip=IP)
    finally:
        origin.current.reset(here)
    assert list(locked_addresses(painter)) == [IP]
    return painter


# --- What is seen ---


COLUMNS = {
    "support": {"storage", "jobs"},
    "auditor": {"balance", "storage", "jobs"},
    "superuser": {"balance", "storage", "jobs"},
}


@pytest.mark.parametrize("group", list(COLUMNS))
def test_at_a_glance(painter: User, node: RenderNode, group: str) -> None:
    makers.queued(painter)
    answer = office_of(operator(group)).get(page(User, "changelist"), {"q": "painter"})
    shown = set(answer.context["cl"].list_display)
    assert shown & {"balance", "storage", "jobs"} == COLUMNS[group]
    text = answer.content.decode()
    assert f"?user__id__exact={painter.pk}" in text
    assert ("62.50" in text) == (group != "support")


def test_the_glance_costs_the_same_for_many(painter: User) -> None:
    office = office_of(operator("superuser"))

    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            office.get(page(User, "changelist"))
        return len(captured)

    count()
    before = count()
    for _number in range(5):
        make_user(money="1")
    assert count() == before <= 12


def test_the_tabs_are_those_of_the_role(painter: User, node: RenderNode) -> None:
    makers.queued(painter, task_name="a shot of lanterns")
    tabs = {"support": {"sessions", "audit_events", "drives", "render_jobs"}}
    tabs["superuser"] = tabs["auditor"] = tabs["support"] | {"wallets"}
    for group, expected in tabs.items():
        answer = office_of(operator(group)).get(page(User, "change", painter.pk))
        assert {formset.formset.prefix for formset in answer.context["inline_admin_formsets"]} == expected, (
            group
        )
        assert "a shot of lanterns" in answer.content.decode()


# --- Why somebody cannot come in ---


def test_support_sees_what_keeps_a_user_out_and_lets_them_in(locked: User) -> None:
    office = office_of(operator("support"))
    text = office.get(page(User, "change", locked.pk)).content.decode()
    assert f"因密码错误过多，{IP} 已被锁定" in text
    answer = office.post(f"/admin/accounts/user/{locked.pk}/lift-locks/", FORM)
    assert answer["HX-Redirect"] == page(User, "change", locked.pk)
    assert verify_credentials(identifier="painter", password=PASSWORD, ip=IP) == locked
    event = AuditEvent.objects.get(action=AuditEvent.Action.LOCK_LIFTED)
    assert event.actor is not None
    assert (event.user, event.actor.username, event.after) == (locked, "support_op", {"ips": [IP]})


@pytest.mark.parametrize("group", ["finance", "farm", "auditor"])
def test_others_unlock_nobody(locked: User, group: str) -> None:
    office = office_of(operator(group))
    assert office.post(f"/admin/accounts/user/{locked.pk}/lift-locks/", FORM).status_code == 403
    act(office, "lift_locks", locked)
    assert list(locked_addresses(locked)) == [IP]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"is_active": False}, "已被操作员封禁"), ({"password": "!x"}, "没有密码"),
        ({"email": "a@example.com"}, "邮箱未验证"), ({}, "没有登录障碍"),
    ],
)  # fmt: skip
def test_other_obstacles(painter: User, fields: dict[str, Any], text: str) -> None:
    User.objects.filter(pk=painter.pk).update(**fields)
    assert text in office_of(operator("support")).get(page(User, "change", painter.pk)).content.decode()


# --- What is done ---


@pytest.mark.parametrize("name", ["block", "unblock", "end-sessions", "lift-locks", "remove-avatars"])
def test_nothing_is_done_without_a_reason_or_by_looking(painter: User, name: str) -> None:
    office = office_of(operator("support"))
    link = f"/admin/accounts/user/{painter.pk}/{name}/"
    for answer in (office.get(link), office.post(link, {"_form_submitted": "on", "reason": ""})):
        assert answer.status_code == 200
        assert "HX-Redirect" not in answer
    chosen = {"action": name.replace("-", "_"), "_selected_action": [str(painter.pk)]}
    asked = office.post(page(User, "changelist"), chosen)
    assert asked.status_code == 200
    assert "painter" in asked.content.decode()
    painter.refresh_from_db()
    assert painter.is_active
    assert not AuditEvent.objects.filter(action=AuditEvent.Action.ADMIN_RAN).exists()


def test_the_reason_is_in_the_audit_log(painter: User) -> None:
    office_of(operator("support")).post(f"/admin/accounts/user/{painter.pk}/block/", FORM)
    painter.refresh_from_db()
    assert not painter.is_active
    event = AuditEvent.objects.get(action=AuditEvent.Action.ADMIN_RAN)
    assert event.after == {"action": "block", "reason": "ticket 4711"}


@pytest.mark.parametrize("group", list(StaffGroup))
def test_levels_are_changed_by_superusers_and_told_above(painter: User, group: str) -> None:
    heard: list[tuple[str, int]] = []

    def hear(user: User, **news: Any) -> None:
        heard.append((user.username, user.member_level))

    level_changed.connect(hear)
    try:
        act(office_of(operator(group)), "change_level", painter, level="2")
    finally:
        level_changed.disconnect(hear)
    assert heard == ([("painter", 2)] if group == "superuser" else [])


def test_a_message_to_a_user(painter: User) -> None:
    act(
        office_of(operator("support")), "send_notification", painter, title="您的文件已恢复", message="请查收"
    )
    notification = Notification.objects.get(user=painter)
    assert (notification.title, notification.message) == ("您的文件已恢复", "请查收")


def test_operators_below_superusers_do_not_touch_operators(painter: User) -> None:
    boss = make_user(username="boss", is_staff=True)
    office = office_of(operator("support"))
    for name in ("block", "end_sessions", "lift_locks"):
        act(office, name, boss)
    boss.refresh_from_db()
    assert boss.is_active
    assert not AuditEvent.objects.filter(user=boss).exclude(action="registered").exists()


# --- Notices ---


@pytest.fixture
def office(db: None) -> Client:
    return office_of(operator("support"))


def write(office: Client, **form: Any) -> Any:
    return office.post(
        page(Notice, "add"), {"title": "今晚维护", "message": "", "level": "info", "member_level": "", **form}
    )


def test_a_notice_reaches_everybody_once(office: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "BATCH", 2)
    users = [make_user() for _number in range(5)]
    gone = make_user(is_active=False)
    assert write(office).status_code == 302
    late = make_user()
    send_notices()
    send_notices()
    told = Notification.objects.filter(title="今晚维护").values_list("user", flat=True)
    assert len(told) == len(set(told))
    assert {user.pk for user in users} <= set(told)
    assert not {gone.pk, late.pk} & set(told)
    notice = Notice.objects.get()
    assert notice.finished_at is not None
    assert notice.sent_count == len(told)
    assert notice.actor.username == "support_op"


def test_a_notice_to_one_level(office: Client) -> None:
    make_user()
    pro = make_user(member_level=2)
    write(office, member_level="2")
    send_notices()
    assert [notification.user for notification in Notification.objects.filter(title="今晚维护")] == [pro]


def test_a_crash_between_batches_tells_nobody_twice(office: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "BATCH", 2)
    for _number in range(5):
        make_user()
    write(office)
    assert notices.send_batch()

    def crash(_notification: Notification) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(notices, "push", crash)
        with pytest.raises(RuntimeError):
            notices.send_batch()
    send_notices()
    told = list(Notification.objects.filter(title="今晚维护").values_list("user", flat=True))
    assert len(told) == len(set(told)) == User.objects.count()


@pytest.mark.parametrize("group", ["finance", "farm", "auditor"])
def test_who_writes_no_notices(group: str) -> None:
    assert write(office_of(operator(group))).status_code == 403
    assert not Notice.objects.exists()


def test_notices_are_neither_changed_nor_deleted(office: Client) -> None:
    write(office)
    notice = Notice.objects.get()
    boss = office_of(operator("superuser", is_superuser=True))
    assert boss.post(page(Notice, "change", notice.pk), {"title": "x"}).status_code == 403
    assert boss.post(page(Notice, "delete", notice.pk), {"post": "yes"}).status_code == 403
