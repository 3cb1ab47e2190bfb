"""The operators' credit in the back office: who gives it, once, and to whom not."""

from typing import Any

import pytest
from django.test import Client

from accounts.permissions import StaffGroup
from billing.models import LedgerEntry, PriceRule
from billing.services.ledger import wallet_of
from common.ids import new_id
from tests.accounts.staff import office_of, operator, page
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def credit(office: Client, wallet: Any, **form: Any) -> Any:
    body = {"amount": "12.34", "reason": "bank transfer 4711", "key": str(new_id()), "_form_submitted": "on"}
    return office.post(f"/admin/billing/wallet/{wallet.pk}/credit/", {**body, **form})


@pytest.mark.parametrize("group", list(StaffGroup))
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
