"""What operators do by hand in the admin of any app is in the audit log, with what was before and after."""

import datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db.models import Model
from django.forms import BaseForm
from django.test import Client, RequestFactory
from django.urls import reverse
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from accounts.models import AuditEvent, Notice, Team, User
from accounts.receivers import DEEDS
from accounts.services.teams import create_team
from billing.models import MemberLimit, MembershipPlan, PriceRule, VoucherBatch
from common.admin import AuditedAdmin, Deed, ReadOnlyInline, plain, values_of
from common.signals import operator_acted
from drives.models import Drive, StorageCheck
from rendering.models import ConcurrencyLimit, RenderJob, RenderNode
from tests.accounts.staff import FORM, form_of
from tests.factories import PASSWORD, make_user

Action = AuditEvent.Action
LONG_AGO = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PAGES: dict[type[Model], Any] = admin.site._registry

CHANGES: dict[type[Model], dict[str, Any]] = {
    User: {"member_level": "2"},
    Group: {"name": "colourists"},
    Drive: {"name": "Archive"},
    MembershipPlan: {"price": "7.00"},
    MemberLimit: {"amount": "7.00"},
    Team: {"max_members": "7"},
    ConcurrencyLimit: {"maximum": "3"},
    PeriodicTask: {"description": "more seldom"},
    IntervalSchedule: {"every": "77"},
    CrontabSchedule: {"minute": "17"},
    ClockedSchedule: {"clocked_time_0": "2031-01-02"},
    SolarSchedule: {"latitude": "39.900000"},
}
"""One change of each model that can be changed: the field's input and its value; None leaves a checkbox empty."""

ADDITIONS: dict[type[Model], dict[str, Any]] = {
    User: {"username": "by_operator", "phone": "", "password1": PASSWORD, "password2": PASSWORD},
    Group: {"name": "compositors"},
    PriceRule: {
        "engine": "maya", "unit": "frame", "price": "0.75", "currency": "CNY", "valid_from_0": "2026-11-01",
        "valid_from_1": "00:00", "low_multiplier": "1", "high_multiplier": "1", "urgent_multiplier": "2",
        "is_confirmed": "on",
    },
    VoucherBatch: {
        "name": "autumn", "currency": "CNY", "amount": "20", "gift_days": "90", "count": "10", "per_user_limit": "1",
        "valid_from_0": "2026-11-01", "valid_from_1": "00:00", "valid_until_0": "2099-01-01", "valid_until_1": "00:00",
        "reason": "campaign",
    },
    ConcurrencyLimit: {"key": "maya/arnold", "maximum": "2"},
    StorageCheck: {},
    Notice: {"title": "Maintenance tonight", "message": "", "level": "info", "member_level": ""},
    PeriodicTask: {
        "name": "new", "regtask": "", "task": "drives.tasks.sweep", "interval": "{interval}", "args": "[]",
        "kwargs": "{}", "headers": "{}",
    },
    IntervalSchedule: {"every": "3", "period": "days"},
    CrontabSchedule: {
        "minute": "1", "hour": "2", "day_of_month": "*", "month_of_year": "*", "day_of_week": "*",
        "timezone": "Asia/Shanghai",
    },
    ClockedSchedule: {"clocked_time_0": "2032-01-01", "clocked_time_1": "00:00"},
    SolarSchedule: {"event": "sunset", "latitude": "1", "longitude": "2"},
}  # fmt: skip


def a_row(model: type[Model]) -> Model:
    makers: dict[type[Model], Any] = {
        User: lambda: make_user(username="painter"),
        Group: lambda: Group.objects.create(name="riggers"),
        Drive: lambda: make_user(username="painter").drives.get(),
        MembershipPlan: lambda: MembershipPlan.objects.get(level=1),
        MemberLimit: lambda: MemberLimit.objects.create(
            team=create_team(owner=make_user(), name="Layout"), user=make_user(), amount=5
        ),
        Team: lambda: create_team(owner=make_user(), name="Lighting"),
        RenderNode: lambda: RenderNode.objects.create(name="n1", host="h", heartbeat_at=LONG_AGO),
        ConcurrencyLimit: lambda: ConcurrencyLimit.objects.create(kind="user", key="somebody"),
        PeriodicTask: lambda: PeriodicTask.objects.get(task="drives.tasks.sweep"),
        IntervalSchedule: lambda: IntervalSchedule.objects.create(every=7, period="minutes"),
        CrontabSchedule: lambda: CrontabSchedule.objects.create(minute="5"),
        ClockedSchedule: lambda: ClockedSchedule.objects.create(
            clocked_time=datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
        ),
        SolarSchedule: lambda: SolarSchedule.objects.create(event="sunrise", latitude=1, longitude=2),
    }
    row: Model = makers[model]()
    return row


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss", PASSWORD)


@pytest.fixture
def office(boss: User) -> Client:
    client = Client(headers={"User-Agent": "Firefox of the office"})
    client.force_login(boss)
    return client


def allowed(what: str) -> set[type[Model]]:
    request = RequestFactory().get("/")
    request.user = User(is_active=True, is_staff=True, is_superuser=True)
    return {model for model, page in PAGES.items() if getattr(page, f"has_{what}_permission")(request)}


def address(model: type[Model], name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def inputs(form: BaseForm, formsets: list[Any]) -> dict[str, Any]:
    """What a browser sends for a form as it was served."""
    found: dict[str, Any] = {}
    for bound in form:
        value, widget = bound.value(), bound.field.widget
        if hasattr(widget, "decompress"):
            for index, part in enumerate(widget.decompress(value)):
                found[f"{bound.html_name}_{index}"] = "" if part is None else str(part)
        elif isinstance(value, bool):
            found |= {bound.html_name: "on"} if value else {}
        elif not bound.field.widget.needs_multipart_form:
            found[bound.html_name] = (
                [plain(each) for each in value]
                if isinstance(value, list)
                else ""
                if value is None
                else str(value)
            )
    for inline in formsets:
        found |= {f"{inline.formset.prefix}-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL")}
    return found


def events() -> list[AuditEvent]:
    deeds = (Action.ADMIN_ADDED, Action.ADMIN_CHANGED, Action.ADMIN_DELETED, Action.ADMIN_RAN)
    return list(AuditEvent.objects.filter(action__in=deeds).order_by("created_at", "pk"))


def the_event(action: Action, row: Model, boss: User) -> AuditEvent:
    [event] = events()
    assert (event.action, event.actor) == (action, boss)
    assert (event.target_type, event.target_id) == (row._meta.label_lower, str(row.pk))
    assert (event.ip, event.device) == ("127.0.0.1", "Firefox of the office")
    return event


# --- Every page -------------------------------------------------------------------------------------------


def test_every_page_tells() -> None:
    assert [model for model, page in PAGES.items() if not isinstance(page, AuditedAdmin)] == []
    # A page tells of its own rows; so nothing may be changed in the inlines.
    editable = [
        inline
        for page in PAGES.values()
        for inline in page.inlines
        if not issubclass(inline, ReadOnlyInline) and set(inline.fields) != set(inline.readonly_fields)
    ]
    assert editable == []


def test_the_tables_of_this_module_are_complete() -> None:
    assert allowed("change") == set(CHANGES)
    assert allowed("add") == set(ADDITIONS)


@pytest.mark.parametrize("model", CHANGES, ids=lambda model: model._meta.label_lower)
def test_each_change_is_told(office: Client, boss: User, model: type[Model]) -> None:
    row = a_row(model)
    row.refresh_from_db()
    page = address(model, "change", row.pk)
    served = office.get(page).context
    form = inputs(served["adminform"].form, served["inline_admin_formsets"])
    [(name, value)] = CHANGES[model].items()
    sent = {key: each for key, each in {**form, name: value}.items() if each is not None}
    answer = office.post(page, sent)
    assert answer.status_code == 302, answer.context["errors"]

    event = the_event(Action.ADMIN_CHANGED, row, boss)
    field = name.removesuffix("_0")
    assert event.before == {field: plain(row.serializable_value(field))}
    row.refresh_from_db()
    assert event.after == {field: plain(row.serializable_value(field))}
    assert event.before != event.after


@pytest.mark.parametrize("model", ADDITIONS, ids=lambda model: model._meta.label_lower)
def test_each_addition_is_told(office: Client, boss: User, model: type[Model]) -> None:
    known = set(model._default_manager.values_list("pk", flat=True))
    interval = IntervalSchedule.objects.order_by("pk").values_list("pk", flat=True)[0]
    form = {
        name: str(interval) if value == "{interval}" else value for name, value in ADDITIONS[model].items()
    }
    formsets = office.get(address(model, "add")).context["inline_admin_formsets"]
    management = {
        f"{each.formset.prefix}-{name}_FORMS": 0 for each in formsets for name in ("TOTAL", "INITIAL")
    }
    answer = office.post(address(model, "add"), {**form, **management})
    assert answer.status_code == 302, answer.context["errors"]

    row = model._default_manager.exclude(pk__in=known).get()
    event = the_event(Action.ADMIN_ADDED, row, boss)
    assert event.before == {}
    assert event.after["id"] == plain(row.pk)
    assert "password" not in event.after
    assert PASSWORD not in str(event.after)


@pytest.mark.parametrize("model", [model for model in PAGES if model in allowed("delete")])
def test_each_deletion_is_told(office: Client, boss: User, model: type[Model]) -> None:
    row = a_row(model)
    assert office.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 302
    assert not model._default_manager.filter(pk=row.pk).exists()
    event = the_event(Action.ADMIN_DELETED, row, boss)
    assert (event.before["id"], event.after) == (plain(row.pk), {})


def run(office: Client, action: str, *rows: Model, **more: Any) -> int:
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows], **FORM, **more}
    return office.post(address(type(rows[0]), "changelist"), chosen).status_code


def test_deleting_several_is_told_once_it_is_done(office: Client, boss: User) -> None:
    rows = [Group.objects.create(name=name) for name in ("a", "b")]
    assert run(office, "delete_selected", *rows) == 200  # asks first
    assert events() == []
    assert run(office, "delete_selected", *rows, post="yes") == 302
    assert {(event.action, event.before["name"]) for event in events()} == {
        (Action.ADMIN_DELETED, "a"), (Action.ADMIN_DELETED, "b"),
    }  # fmt: skip


def test_a_deletion_that_fails_is_not_told(office: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Group.objects.create(name="a")]

    def fail(*_args: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(PAGES[Group], "delete_queryset", fail)
    with pytest.raises(RuntimeError):
        run(office, "delete_selected", *rows, post="yes")
    assert events() == []
    assert Group.objects.filter(name="a").exists()


def test_actions_are_told_of_each_chosen_row(office: Client, boss: User) -> None:
    rows = [make_user(), make_user()]
    make_user()
    assert run(office, "block", *rows) == 302
    assert [(event.action, event.actor, event.target_id, event.after) for event in events()] == [
        (Action.ADMIN_RAN, boss, str(row.pk), {"action": "block", "reason": "ticket 4711"})
        for row in sorted(rows, key=lambda row: row.created_at, reverse=True)
    ]
    # Users hear of it by what the service says.
    assert {event.user for event in events()} == {None}
    # In words: the deed, its form, the fields of a row.
    told = office.get(reverse("admin:accounts_auditevent_changelist")).content.decode()
    assert "操作: 封禁并强制下线, 原因: ticket 4711" in told and "action:" not in told


def test_actions_of_every_app_are_told(office: Client, boss: User) -> None:
    pages = {model: page for model, page in PAGES.items() if set(page.actions or ()) - {"delete_selected"}}
    assert {RenderJob, User, PeriodicTask} <= set(pages)
    request = RequestFactory().get("/")
    request.user = boss
    for page in pages.values():
        for name, (function, _name, _text) in page.get_actions(request).items():
            assert getattr(function, "is_deed", False) or function.__wrapped__.__name__ == name


def test_buttons_that_go_another_way_are_told_by_their_services() -> None:
    names = ("actions_list", "actions_row", "actions_detail", "actions_submit_line")
    found = {
        (model, button)
        for model, page in PAGES.items()
        for name in names
        for button in page._extract_action_names(getattr(page, name))
        if not getattr(getattr(page, button), "is_deed", False)
    }
    # Teams tell of roles: tests/accounts/test_office_teams.py; codes go as a file: billing/test_office_vouchers.py
    assert found == {(Team, "appoint_owner"), (VoucherBatch, "issue_codes")}


def test_a_task_switched_off_in_bulk(office: Client, boss: User) -> None:
    task = PeriodicTask.objects.get(task="drives.tasks.sweep")
    assert run(office, "disable", task) == 302
    assert the_event(Action.ADMIN_RAN, task, boss).after == {"action": "disable"}
    task.refresh_from_db()
    assert not task.enabled


# --- What is told -----------------------------------------------------------------------------------------


def test_rights_are_told_by_their_ids(office: Client, boss: User) -> None:
    user, group = make_user(), Group.objects.create(name="extras")
    right = Permission.objects.get(codename="view_user")
    form = form_of(user, is_staff="on", groups=[group.pk], user_permissions=[right.pk])
    assert office.post(address(User, "change", user.pk), form).status_code == 302
    event = the_event(Action.ADMIN_CHANGED, user, boss)
    assert event.before == {"is_staff": False, "groups": [], "user_permissions": []}
    assert event.after == {"is_staff": True, "groups": [group.pk], "user_permissions": [right.pk]}
    assert event.user == user


def test_saving_without_a_change_tells_nothing(office: Client) -> None:
    user = make_user()
    assert office.post(address(User, "change", user.pk), form_of(user)).status_code == 302
    assert events() == []


def test_a_refused_form_tells_nothing(office: Client) -> None:
    user = make_user()
    assert office.post(address(User, "change", user.pk), form_of(user, username="x")).status_code == 200
    assert events() == []


def test_a_password_is_told_without_itself(office: Client, boss: User) -> None:
    user = make_user()
    path = f"/admin/accounts/user/{user.pk}/password/"
    form = {"password1": "Red-lantern-43", "password2": "Red-lantern-43", "usable_password": "true"}
    assert office.post(path, {**form, "set-password": "1"}).status_code == 302
    event = the_event(Action.ADMIN_CHANGED, user, boss)
    assert (event.before, event.after) == ({"password": "***"}, {"password": "***"})
    user.refresh_from_db()
    everything = str(list(AuditEvent.objects.values()))
    assert "Red-lantern-43" not in everything
    assert user.password not in everything


def test_the_owner_of_a_row_sees_what_was_changed_in_it(office: Client, boss: User) -> None:
    user = make_user()
    drive = user.drives.get()
    form = {"name": "Larger", "icon": "", "description": "", "is_active": "on"}
    assert office.post(address(Drive, "change", drive.pk), form).status_code == 302
    assert the_event(Action.ADMIN_CHANGED, drive, boss).user == user


def test_what_cannot_be_told_is_not_done(office: Client) -> None:
    """The audit log and the change are one transaction."""
    user = make_user()

    def refuse(**_news: Any) -> None:
        raise RuntimeError("no log")

    operator_acted.connect(refuse)
    try:
        with pytest.raises(RuntimeError):
            office.post(address(User, "change", user.pk), form_of(user, member_level=2))
    finally:
        operator_acted.disconnect(refuse)
    user.refresh_from_db()
    assert user.member_level == 0
    assert events() == []


def test_no_column_with_a_secret_is_told() -> None:
    """Additions and deletions tell all columns but those whose names say that they are secret."""
    hashes = {
        field.name
        for model in PAGES
        for field in model._meta.concrete_fields
        if field.name.endswith(("_hash", "_jti", "password", "_secret"))
    }
    assert len(hashes) >= 8
    told = {name for model in PAGES for name in values_of(model())}
    assert hashes & told == set()


def test_deeds_and_actions_of_the_log_are_the_same() -> None:
    assert set(DEEDS) == set(Deed)
    assert set(DEEDS.values()) <= AuditEvent.BY_OPERATORS
