"""Groups of operators: what each sees, does and must not do in the back office."""

from fnmatch import fnmatchcase
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from accounts.models import Session, Team, User
from accounts.permissions import STAFF_GROUPS, StaffGroup
from accounts.services.teams import create_team
from backoffice.staff import sync_staff_groups
from billing.models import LedgerEntry, PriceRule
from billing.services.ledger import wallet_of
from common.ids import new_id
from rendering.models import RenderJob
from tests.factories import make_user, token_of
from tests.rendering.makers import draft

pytestmark = pytest.mark.django_db
GROUPS = list(StaffGroup)
every_group = pytest.mark.parametrize("group", GROUPS)
BEAT = {"clockedschedule", "crontabschedule", "intervalschedule", "periodictask", "solarschedule"}
registered = {model._meta.label_lower: model for model in admin.site._registry}


def of(app: str, *names: str) -> set[str]:
    """Labels of the registered models of an app: those named, or all."""
    return {f"{app}.{name}" for name in names} or {
        label for label in registered if label.startswith(f"{app}.")
    }


SEEN: dict[str, set[str]] = {
    "support": of(
        "accounts", "user", "session", "device", "phonecode", "socialaccount", "wechatloginsession",
        "notification", "team", "teammember", "teaminvitation",
    )
    | of("drives", "drive", "folder", "file")
    | of("uploads")
    | of("rendering", "renderjob", "renderstep", "frame", "attempt", "frameoutput", "joblog", "scenereport"),
    "finance": of("billing"),
    "farm": of("rendering") | of("django_celery_beat"),
    "auditor": set(registered),
    "superuser": set(registered),
}  # fmt: skip
SCHEDULES = {"enable_tasks", "disable_tasks", "toggle_tasks", "run_tasks"}
JOBS = {"pause", "resume", "cancel"}
PEOPLE = {"block", "unblock", "end_sessions", "remove_avatars"}
ACTIONS: dict[str, dict[str, set[str]]] = {
    "support": {"accounts.user": PEOPLE},
    "finance": {},
    "farm": {"rendering.renderjob": JOBS, "django_celery_beat.periodictask": SCHEDULES},
    "auditor": {},
    "superuser": {
        "accounts.user": PEOPLE,
        "rendering.renderjob": JOBS,
        "django_celery_beat.periodictask": SCHEDULES,
        "uploads.uploadtask": {"cancel"},
    },
}


def operator(group: str, **fields: Any) -> User:
    user = make_user(username=f"{group}_op", is_staff=True, **fields)
    user.groups.add(Group.objects.get(name=group))
    return user


def office_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(model: type[Model], name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def act(office: Client, action: str, *rows: Model) -> None:
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    assert office.post(page(type(rows[0]), "changelist"), chosen).status_code in (200, 302, 403)


def rights_of(name: str) -> set[str]:
    found = Permission.objects.filter(group__name=name).values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in found}


# --- the table and the rows ---


def every_right() -> set[str]:
    found = Permission.objects.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in found}


def test_every_right_of_the_table_exists() -> None:
    existing = every_right()
    for group, patterns in STAFF_GROUPS.items():
        for pattern in patterns:
            assert any(fnmatchcase(name, pattern) for name in existing), (group, pattern)


def test_groups_are_made_by_the_migrations_and_hold_what_the_table_says() -> None:
    assert set(STAFF_GROUPS) == set(StaffGroup)
    assert set(Group.objects.values_list("name", flat=True)) == set(StaffGroup.values)
    existing = every_right()
    for group, patterns in STAFF_GROUPS.items():
        wanted = {name for name in existing if any(fnmatchcase(name, pattern) for pattern in patterns)}
        assert rights_of(group) == wanted
    assert rights_of("superuser") == existing


def test_no_group_but_superuser_gives_rights_or_changes_accounts() -> None:
    held = {name: rights_of(name) for name in StaffGroup.values if name != "superuser"}
    for rights in held.values():
        assert not {right for right in rights if right.startswith("auth.") and ".view_" not in right}
        assert not rights & {"accounts.change_staff", "accounts.add_user", "accounts.change_user"}
    assert {name for name in held if "billing.credit_wallet" in held[name]} == {"finance"}
    assert {name for name in held if "accounts.block_user" in held[name]} == {"support"}
    assert all(right.partition(".")[2].startswith("view_") for right in held["auditor"])


def test_after_migrate_the_groups_are_as_the_table_says() -> None:
    before = {name: rights_of(name) for name in StaffGroup.values}
    finance = Group.objects.get(name="finance")
    finance.permissions.remove(Permission.objects.get(codename="credit_wallet"))
    finance.permissions.add(Permission.objects.get(codename="block_user"))
    own = Group.objects.create(name="night shift")
    own.permissions.add(Permission.objects.get(codename="view_rendernode"))
    Group.objects.filter(name="farm").update(name="农场")
    Group.objects.get(name="support").delete()
    member = operator("finance")

    for _twice in range(2):
        call_command("migrate", verbosity=0)
        assert rights_of("finance") == before["finance"]
        assert rights_of("night shift") == {"rendering.view_rendernode"}
        # Renamed or deleted by operators: theirs from then on.
        assert rights_of("农场") == before["farm"]
        assert not Group.objects.filter(name__in=["farm", "support"]).exists()
        assert list(member.groups.all()) == [finance]


def test_where_there_are_no_groups_nothing_is_done() -> None:
    from django.db.migrations.state import StateApps

    sync_staff_groups(apps=StateApps([], {}))
    assert rights_of("auditor")


# --- what is seen ---


@every_group
def test_lists(group: str) -> None:
    office = office_of(operator(group))
    codes = {label: office.get(page(model, "changelist")).status_code for label, model in registered.items()}
    assert set(codes.values()) <= {200, 403}
    assert {label for label, code in codes.items() if code == 200} == SEEN[group]


@every_group
def test_details_and_forms(group: str) -> None:
    """What can be changed by hand is what the table says, and nobody but superusers adds a price or an account."""
    office, request = office_of(operator(group)), RequestFactory().get("/")
    request.user = User.objects.get(username=f"{group}_op")
    writable = set()
    for label, model in registered.items():
        pages = admin.site._registry[model]
        if pages.has_change_permission(request) or pages.has_delete_permission(request):
            writable.add(label)
        added = office.get(page(model, "add")).status_code
        assert added == (200 if pages.has_add_permission(request) else 403), label
        if added == 200:
            writable.add(label)
    schedules = of("django_celery_beat")
    assert writable == {
        "support": set(),
        "finance": set(),
        "farm": {"rendering.rendernode"} | schedules,
        "auditor": set(),
        "superuser": {
            "rendering.rendernode", "accounts.user", "accounts.team", "auth.group", "billing.pricerule",
            "drives.drive",
        } | schedules,
    }[group]  # fmt: skip


@every_group
def test_actions_that_are_offered(group: str) -> None:
    request = RequestFactory().get("/")
    request.user = operator(group)
    offered = {
        label: set(admin.site._registry[model].get_actions(request)) for label, model in registered.items()
    }
    named = {label: names - {"delete_selected"} for label, names in offered.items()}
    assert {label: names for label, names in named.items() if names} == ACTIONS[group]
    deletable = {label for label, names in offered.items() if "delete_selected" in names}
    assert deletable <= ({"auth.group", "rendering.rendernode"} | of("django_celery_beat"))
    assert bool(deletable) == (group in ("farm", "superuser"))


def test_models_that_are_registered_later_belong_to_somebody() -> None:
    """A new model is for auditors and superusers; whoever else needs it is named in the table and here."""
    ours = {model._meta.label_lower for name in ("accounts", "billing", "drives", "uploads", "rendering")
            for model in apps.get_app_config(name).get_models() if model in admin.site._registry}  # fmt: skip
    assert ours <= SEEN["auditor"]
    others = SEEN["support"] | SEEN["finance"] | SEEN["farm"]
    # Not of the daily work: who did what among operators, and where bytes lie.
    assert ours - others == {"accounts.auditevent", "drives.blob", "drives.driveusagesample"}


# --- what is done ---


@every_group
def test_people_are_blocked_and_signed_out_by_support(group: str) -> None:
    office, target = office_of(operator(group)), make_user()
    token_of(target)
    allowed = group in ("support", "superuser")

    act(office, "end_sessions", target)
    assert Session.objects.filter(user=target, revoked_at__isnull=True).exists() == (not allowed)
    act(office, "block", target)
    target.refresh_from_db()
    assert target.is_active == (not allowed)
    User.objects.filter(pk=target.pk).update(is_active=False)
    act(office, "unblock", target)
    target.refresh_from_db()
    assert target.is_active == allowed


@every_group
def test_jobs_are_stopped_by_the_farm(group: str) -> None:
    job = draft(make_user())
    act(office_of(operator(group)), "cancel", job)
    job.refresh_from_db()
    assert (job.status == RenderJob.Status.CANCELLED) == (group in ("farm", "superuser"))


@every_group
def test_schedules_are_kept_by_the_farm(group: str) -> None:
    office = office_of(operator(group))
    task = PeriodicTask.objects.get(task="accounts.tasks.sweep_invitations")
    act(office, "disable_tasks", task)
    task.refresh_from_db()
    assert task.enabled == (group not in ("farm", "superuser"))
    answer = office.post(page(PeriodicTask, "delete", task.pk), {"post": "yes"})
    assert answer.status_code == (302 if group in ("farm", "superuser") else 403)


def credit(office: Client, wallet: Any, **form: Any) -> Any:
    body = {"amount": "12.34", "reason": "bank transfer 4711", "key": str(new_id()), "_form_submitted": "on"}
    return office.post(f"/admin/billing/wallet/{wallet.pk}/credit/", {**body, **form})


@every_group
def test_wallets_are_credited_by_finance(group: str) -> None:
    boss, target = operator(group), make_user()
    office, wallet = office_of(boss), wallet_of(target)
    before = wallet.balance
    link = f"/admin/billing/wallet/{wallet.pk}/credit/"
    allowed = group in ("finance", "superuser")
    shown = office.get(page(type(wallet), "change", wallet.pk))
    if shown.status_code == 200:
        assert (link in shown.content.decode()) == allowed
    assert office.get(link).status_code == (200 if allowed else 403)

    key = str(new_id())
    for _twice in range(2):
        assert credit(office, wallet, key=key).status_code == (200 if allowed else 403)
    wallet.refresh_from_db()
    assert str(wallet.balance - before) == ("12.340000" if allowed else "0.000000")
    entries = LedgerEntry.objects.filter(wallet=wallet, description="bank transfer 4711")
    assert [entry.actor for entry in entries] == ([boss] if allowed else [])


@pytest.mark.parametrize(
    "form",
    [
        {"amount": "0"}, {"amount": "-5"}, {"amount": "0.001"}, {"amount": "10000000.01"}, {"amount": "NaN"},
        {"amount": ""}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}, {"key": "x"}, {"key": ""},
    ],
)  # fmt: skip
def test_credits_that_cannot_be(form: dict[str, str]) -> None:
    office, wallet = office_of(operator("finance")), wallet_of(make_user())
    entries, balance = LedgerEntry.objects.count(), wallet.balance
    answer = credit(office, wallet, **form)
    assert answer.status_code == 200
    assert "HX-Redirect" not in answer
    wallet.refresh_from_db()
    assert (LedgerEntry.objects.count(), wallet.balance) == (entries, balance)


def test_one_key_is_one_credit() -> None:
    office, wallet, key = office_of(operator("finance")), wallet_of(make_user()), str(new_id())
    before = wallet.balance
    assert credit(office, wallet, key=key)["HX-Redirect"] == page(type(wallet), "change", wallet.pk)
    assert credit(office, wallet, key=key, amount="99")["HX-Redirect"]
    wallet.refresh_from_db()
    assert str(wallet.balance - before) == "12.340000"
    told = office.get(page(type(wallet), "change", wallet.pk)).content.decode()
    assert "12.34" in told


@pytest.mark.parametrize("key", ["01a20538-0000-7000-8000-000000000000", "none"])
def test_a_wallet_that_is_none_is_not_credited(key: str) -> None:
    office, entries = office_of(operator("finance")), LedgerEntry.objects.count()
    body = {"amount": "1", "reason": "x", "key": str(new_id()), "_form_submitted": "on"}
    assert office.post(f"/admin/billing/wallet/{key}/credit/", body).status_code == 404
    assert LedgerEntry.objects.count() == entries


@pytest.mark.parametrize("group", ["finance", "superuser"])
def test_nobody_credits_themselves(group: str) -> None:
    me = operator(group)
    office, wallet, entries = office_of(me), wallet_of(me), LedgerEntry.objects.count()
    assert credit(office, wallet)["HX-Redirect"]
    assert LedgerEntry.objects.count() == entries
    told = office.get(page(type(wallet), "change", wallet.pk)).content.decode()
    assert "不能给自己的钱包充值。" in told


def test_finance_sees_prices_and_sets_none() -> None:
    office = office_of(operator("finance"))
    before = PriceRule.objects.count()
    form = {"engine": "maya", "unit": "frame", "price": "0", "currency": "CNY", "valid_from_0": "2026-11-01",
            "valid_from_1": "00:00"}  # fmt: skip
    assert office.post(page(PriceRule, "add"), form).status_code == 403
    assert PriceRule.objects.count() == before


def test_operators_say_how_large_a_team_may_be() -> None:
    team = create_team(owner=make_user(), name="灯笼")
    form = {"max_members": "60", "name": "renamed", "members-TOTAL_FORMS": 0, "members-INITIAL_FORMS": 0}
    for group, code in (("support", 403), ("superuser", 302)):
        assert office_of(operator(group)).post(page(Team, "change", team.pk), form).status_code == code
        team.refresh_from_db()
        assert (team.name, team.max_members) == ("灯笼", 60 if code == 302 else 50)


# --- operators among themselves ---


def user_form(user: User, **changes: Any) -> dict[str, Any]:
    return {
        "username": user.username, "phone": user.phone or "", "email": "", "member_level": 0, "is_active": "on",
        "is_staff": "on", "sessions-TOTAL_FORMS": 0, "sessions-INITIAL_FORMS": 0, **changes,
    }  # fmt: skip


@pytest.mark.parametrize("group", ["support", "finance", "farm", "auditor"])
def test_nobody_gives_rights(group: str) -> None:
    me = operator(group)
    office, target = office_of(me), make_user()
    superusers = Group.objects.get(name="superuser")
    before = {name: rights_of(name) for name in StaffGroup.values}
    for user in (me, target):
        form = user_form(user, groups=[superusers.pk], is_superuser="on")
        assert office.post(page(User, "change", user.pk), form).status_code == 403
        new = {"password1": "Red-lantern-43", "password2": "Red-lantern-43"}
        assert office.post(f"/admin/accounts/user/{user.pk}/password/", new).status_code == 403
    assert office.post(page(Group, "add"), {"name": "mine"}).status_code == 403
    assert office.post(page(Group, "change", superusers.pk), {"name": "superuser"}).status_code == 403
    assert office.post(page(Group, "delete", superusers.pk), {"post": "yes"}).status_code == 403
    target.refresh_from_db()
    assert not target.is_staff
    assert list(me.groups.values_list("name", flat=True)) == [group]
    assert {name: rights_of(name) for name in Group.objects.values_list("name", flat=True)} == before


def test_support_does_not_lock_operators_out() -> None:
    office, colleague = office_of(operator("support")), operator("finance")
    boss = User.objects.create_superuser("boss")
    for target in (colleague, boss):
        token_of(target)
        act(office, "end_sessions", target)
        act(office, "block", target)
        target.refresh_from_db()
        assert target.is_active
        assert Session.objects.filter(user=target, revoked_at__isnull=True).exists()


def test_who_may_change_accounts_does_not_change_operators() -> None:
    """A new password for a colleague would be the colleague's rights."""
    clerk = make_user(username="clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    office, colleague, target = office_of(clerk), operator("finance"), make_user()
    hash_before = User.objects.get(pk=colleague.pk).password
    new = {"password1": "Red-lantern-43", "password2": "Red-lantern-43", "usable_password": "true"}
    for user in (clerk, colleague):
        assert (
            office.post(page(User, "change", user.pk), user_form(user, username="taken")).status_code == 403
        )
        assert office.post(f"/admin/accounts/user/{user.pk}/password/", new).status_code == 403
    assert User.objects.get(pk=colleague.pk).password == hash_before

    form = user_form(
        target, member_level=2, groups=[Group.objects.get(name="superuser").pk], is_superuser="on"
    )
    assert office.post(page(User, "change", target.pk), form).status_code == 302
    target.refresh_from_db()
    assert (target.member_level, target.is_staff, target.is_superuser) == (2, False, False)
    assert not target.groups.exists()


def test_the_group_of_superusers_gives_rights_but_not_the_flag() -> None:
    me, target = operator("superuser"), make_user()
    office = office_of(me)
    support = Group.objects.get(name="support")
    for user in (target, me):
        form = user_form(user, groups=[support.pk], is_superuser="on")
        assert office.post(page(User, "change", user.pk), form).status_code == 302
        user.refresh_from_db()
        assert (user.is_staff, user.is_superuser) == (True, False)
        assert list(user.groups.all()) == [support]


def test_superusers_are_changed_by_superusers_alone() -> None:
    boss = User.objects.create_superuser("boss")
    office = office_of(operator("superuser"))
    assert office.post(page(User, "change", boss.pk), user_form(boss, username="mine")).status_code == 403
    act(office, "block", boss)
    boss.refresh_from_db()
    assert (boss.username, boss.is_active, boss.is_superuser) == ("boss", True, True)

    second = make_user()
    form = user_form(second, is_superuser="on")
    assert office_of(boss).post(page(User, "change", second.pk), form).status_code == 302
    second.refresh_from_db()
    assert second.is_superuser


def test_groups_are_listed_with_their_names_in_chinese() -> None:
    text = office_of(operator("auditor")).get(page(Group, "changelist")).content.decode()
    for name in ("客服", "财务", "农场", "审计", "超级管理员"):
        assert name in text
