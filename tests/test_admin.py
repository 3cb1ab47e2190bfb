"""The back office: every registered model is listed and shown in Chinese; money and codes are only read."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Model
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import PhoneCode, Session, User
from accounts.services.codes import send_code
from billing.models import Bill, BillLine, Hold, LedgerEntry, PriceRule, Wallet
from billing.services.bills import Charge
from billing.services.holds import place_hold, settle_hold
from billing.services.ledger import wallet_of
from common.ids import new_id
from tests.accounts.staff import FORM, form_of
from tests.factories import PASSWORD, make_user, put, token_of

OURS = ("accounts", "billing", "drives", "uploads", "rendering")
READ_ONLY = (Wallet, LedgerEntry, Hold, Bill, BillLine, Session, PhoneCode)
registered = sorted(admin.site._registry, key=lambda model: model._meta.label)
every_model = pytest.mark.parametrize("model", registered, ids=lambda model: model._meta.label_lower)


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss", PASSWORD)


@pytest.fixture
def office(boss: User) -> Client:
    client = Client()
    assert client.login(username="boss", password=PASSWORD)
    return client


@pytest.fixture
def rows(db: None) -> User:
    """A user with a session, a code, a file, a bill and an open hold."""
    user = make_user(username="painter", money="10")
    token_of(user)
    send_code(phone="13912345678", purpose="register", ip="127.0.0.1")
    put(user, "/scenes/lantern.txt", b"light")
    for count in (2, 0):
        hold = place_hold(
            wallet=wallet_of(user), amount=Decimal(5), key=str(new_id()), task_id=new_id(), description="job"
        )
        if count:
            settle_hold(
                hold=hold, charges=[Charge("frames", Decimal(count), Decimal("0.5"))], description="job"
            )
    return user


def page(model: type[Model], name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def test_every_model_of_ours_is_registered() -> None:
    missing = {
        model._meta.label
        for app in OURS
        for model in apps.get_app_config(app).get_models()
        if model not in admin.site._registry
    }
    assert missing == set()


@every_model
def test_lists_and_details(office: Client, rows: User, model: type[Model]) -> None:
    assert office.get(page(model, "changelist")).status_code == 200
    if admin.site._registry[model].search_fields:
        assert office.get(page(model, "changelist"), {"q": "a"}).status_code == 200
    if row := model._default_manager.first():
        assert office.get(page(model, "change", row.pk)).status_code == 200
        history = office.get(page(model, "history", row.pk))
        assert history.status_code == 302
        assert office.get(history["Location"]).status_code == 200


@every_model
def test_adding_is_offered_or_refused_never_broken(office: Client, model: type[Model]) -> None:
    request = RequestFactory().get("/")
    request.user = User.objects.get(username="boss")
    expected = 200 if admin.site._registry[model].has_add_permission(request) else 403
    assert office.get(page(model, "add")).status_code == expected


def queries_of_list(office: Client, model: type[Model]) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert office.get(page(model, "changelist")).status_code == 200
    return len(captured)


@pytest.mark.parametrize("model", [User, Session, Wallet, LedgerEntry, Hold, Bill, BillLine])
def test_lists_take_a_constant_number_of_queries(office: Client, rows: User, model: type[Model]) -> None:
    queries_of_list(office, model)  # content types are looked up once
    before = queries_of_list(office, model)
    for _number in range(5):
        user = make_user(money="10")
        token_of(user)
        hold = place_hold(
            wallet=wallet_of(user), amount=Decimal(5), key="k", task_id=new_id(), description="job"
        )
        settle_hold(hold=hold, charges=[Charge("f", Decimal(1), Decimal(1))], description="job")
    assert queries_of_list(office, model) == before


@pytest.mark.parametrize("model", READ_ONLY)
def test_what_is_only_read_is_only_read_for_superusers_too(
    office: Client, rows: User, model: type[Model]
) -> None:
    row = model._default_manager.first()
    assert row is not None
    before = model._default_manager.values().get(pk=row.pk)

    assert office.get(page(model, "add")).status_code == 403
    assert office.post(page(model, "add"), {}).status_code == 403
    assert office.post(page(model, "change", row.pk), {"amount": "7"}).status_code == 403
    assert office.get(page(model, "delete", row.pk)).status_code == 403
    assert office.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    office.post(page(model, "changelist"), {"action": "delete_selected", "_selected_action": [str(row.pk)]})

    assert model._default_manager.values().get(pk=row.pk) == before
    text = office.get(page(model, "change", row.pk)).content.decode()
    assert 'name="_save"' not in text


def test_lines_on_a_bill_are_only_read(office: Client, rows: User) -> None:
    bill = Bill.objects.get()
    text = office.get(page(Bill, "change", bill.pk)).content.decode()
    assert "frames" in text
    assert 'name="lines-0-amount"' not in text
    assert "lines-__prefix__" not in text


def test_prices_are_replaced_not_rewritten(office: Client, db: None) -> None:
    rule = PriceRule.objects.create(price=Decimal("0.5"), valid_from=timezone.now())
    assert office.post(page(PriceRule, "change", rule.pk), {"price": "9"}).status_code == 403
    assert office.post(page(PriceRule, "delete", rule.pk), {"post": "yes"}).status_code == 403

    form = {
        "engine": "maya", "unit": "frame", "price": "0.75", "currency": "CNY", "valid_from_0": "2026-11-01",
        "valid_from_1": "00:00", "low_multiplier": "1", "high_multiplier": "1.5", "urgent_multiplier": "2",
    }  # fmt: skip
    shown = office.post(page(PriceRule, "add"), form)
    assert (shown.status_code, PriceRule.objects.filter(engine="maya").exists()) == (200, False)
    # What 100 frames cost now and will cost, at normal and urgent priority.
    assert "50.00 → 75.00" in shown.content.decode()
    assert "→ 150.00" in shown.content.decode()
    assert office.post(page(PriceRule, "add"), {**form, "is_confirmed": "on"}).status_code == 302

    assert PriceRule.objects.get(engine="maya").price == Decimal("0.75")
    rule.refresh_from_db()
    assert rule.price == Decimal("0.5")


# --- people -----------------------------------------------------------------------------------------------


def test_no_password_hash_is_shown(office: Client, rows: User) -> None:
    algorithm, _, secret = rows.password.partition("$")
    for path in (page(User, "change", rows.pk), page(User, "changelist")):
        text = office.get(path).content.decode()
        assert algorithm not in text
        assert secret[-20:] not in text
    code = PhoneCode.objects.get()
    assert code.code_hash not in office.get(page(PhoneCode, "change", code.pk)).content.decode()


def test_a_user_made_by_an_operator_is_whole(office: Client) -> None:
    form = {"username": "by_operator", "phone": "13912345678", "password1": PASSWORD, "password2": PASSWORD}
    answer = office.post(page(User, "add"), form)

    assert answer.status_code == 302, answer.content.decode()
    user = User.objects.get(username="by_operator")
    assert user.check_password(PASSWORD)
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert user.wallets.count() == user.drives.count() == 1


@pytest.mark.parametrize(
    "form", [{"username": "x"}, {"username": "13800001111"}, {"username": "painter"}, {"phone": "12345"}]
)
def test_a_user_that_cannot_be_is_told_so(office: Client, rows: User, form: dict[str, str]) -> None:
    whole = {"username": "new_one", "phone": "", "password1": PASSWORD, "password2": PASSWORD}
    assert office.post(page(User, "add"), {**whole, **form}).status_code == 200
    assert User.objects.count() == 2


def test_users_are_changed_but_not_deleted(office: Client, rows: User) -> None:
    answer = office.post(page(User, "change", rows.pk), form_of(rows, member_level=2, email=""))
    assert answer.status_code == 302
    rows.refresh_from_db()
    assert (rows.member_level, rows.email, rows.is_active) == (2, None, True)
    assert rows.check_password(PASSWORD)
    assert office.post(page(User, "delete", rows.pk), {"post": "yes"}).status_code == 403


def test_blocking_ends_the_sessions(office: Client, rows: User) -> None:
    assert office.post(page(User, "change", rows.pk), form_of(rows, is_active=None)).status_code == 302
    rows.refresh_from_db()
    assert not rows.is_active
    assert not Session.objects.filter(user=rows, revoked_at__isnull=True).exists()


def act(office: Client, action: str, *users: User) -> None:
    chosen = {"action": action, "_selected_action": [str(user.pk) for user in users], **FORM}
    assert office.post(page(User, "changelist"), chosen).status_code == 302


def test_actions_block_unblock_and_sign_out(office: Client, boss: User, rows: User) -> None:
    act(office, "end_sessions", rows)
    assert not Session.objects.filter(user=rows, revoked_at__isnull=True).exists()
    rows.refresh_from_db()
    assert rows.is_active

    act(office, "block", rows, boss)
    assert set(User.objects.filter(is_active=False)) == {rows}  # nobody blocks themselves

    act(office, "unblock", rows)
    assert not User.objects.filter(is_active=False).exists()


def test_a_new_password_ends_the_sessions(office: Client, rows: User) -> None:
    path = f"/admin/accounts/user/{rows.pk}/password/"
    assert office.get(path).status_code == 200
    form = {"password1": "Red-lantern-43", "password2": "Red-lantern-43", "usable_password": "true"}
    answer = office.post(path, {**form, "set-password": "1"})

    assert answer.status_code == 302
    rows.refresh_from_db()
    assert rows.check_password("Red-lantern-43")
    assert not Session.objects.filter(user=rows, revoked_at__isnull=True).exists()


@pytest.fixture
def clerk(db: None) -> Client:
    """An operator who may change users, but neither operators nor what anybody may do."""
    user = make_user(username="clerk", is_staff=True)
    rights = Permission.objects.filter(content_type__app_label="accounts").exclude(codename="change_staff")
    user.user_permissions.set(rights)
    client = Client()
    assert client.login(username="clerk", password=PASSWORD)
    return client


def test_an_operator_cannot_raise_themselves(clerk: Client) -> None:
    user = User.objects.get(username="clerk")
    form = form_of(user, is_superuser="on", is_staff="on", member_level=1)
    assert clerk.post(page(User, "change", user.pk), form).status_code == 403
    user.refresh_from_db()
    assert (user.member_level, user.is_staff, user.is_superuser) == (0, True, False)


def test_an_operator_raises_nobody_else(clerk: Client) -> None:
    user = make_user()
    rights = list(Permission.objects.values_list("pk", flat=True))
    form = form_of(user, is_superuser="on", is_staff="on", member_level=1, user_permissions=rights)
    assert clerk.post(page(User, "change", user.pk), form).status_code == 302
    user.refresh_from_db()
    assert (user.member_level, user.is_staff, user.is_superuser) == (1, False, False)
    assert not user.user_permissions.exists()


def test_an_operator_does_not_touch_superusers(clerk: Client, boss: User) -> None:
    assert clerk.post(page(User, "change", boss.pk), form_of(boss)).status_code == 403
    path = f"/admin/accounts/user/{boss.pk}/password/"
    assert clerk.post(path, {"password1": "Red-lantern-43", "password2": "Red-lantern-43"}).status_code == 403
    act(clerk, "block", boss)
    boss.refresh_from_db()
    assert boss.is_active
    assert boss.check_password(PASSWORD)


@pytest.mark.parametrize("model", registered, ids=lambda model: model._meta.label_lower)
def test_others_stay_outside(rows: User, model: type[Model]) -> None:
    client = Client()
    client.force_login(rows)
    assert client.get(page(model, "changelist")).status_code == 302


def test_lists_are_in_chinese(office: Client, rows: User) -> None:
    text = office.get(page(LedgerEntry, "changelist")).content.decode()
    for word in ("资金流水", "变动后余额", "painter"):
        assert word in text, word


def test_rights_are_named_in_chinese(office: Client, boss: User) -> None:
    text = office.get(page(User, "change", boss.pk)).content.decode()
    for right in ("账户 | 用户 | 可封禁和解封用户", "账户 | 用户 | 可查看", "费用 | 钱包 | 可给钱包充值"):
        assert right in text, right
    assert not re.search(r"\| Can \w+", text)
