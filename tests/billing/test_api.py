"""Balance, transactions, bills at the door; the operators' credit."""

import json
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import User
from billing.models import LedgerEntry
from billing.services.bills import Charge
from billing.services.holds import place_hold, settle_hold
from billing.services.ledger import post_entry, wallet_of
from common.ids import new_id
from tests.conftest import Client


def spend(user: User, count: int = 2) -> None:
    hold = place_hold(
        wallet=wallet_of(user),
        amount=Decimal(5),
        key=str(new_id()),
        task_id=new_id(),
        description="Render lantern",
    )
    charge = Charge("Render lantern", Decimal(count), Decimal("0.5"))
    settle_hold(hold=hold, charges=[charge], description="Render lantern")


def test_balance_says_what_is_held(owner: User, owner_api: Client) -> None:
    place_hold(wallet=wallet_of(owner), amount=Decimal("1.50"), key="h", task_id=new_id(), description="job")
    answer = owner_api.get("/users/balance")
    assert answer.json() == {"balance": 100.0, "held": 1.5, "available": 98.5, "currency": "CNY"}


def test_transactions_are_what_changed_the_balance(owner: User, owner_api: Client) -> None:
    spend(owner)
    body = owner_api.get("/users/transactions").json()
    assert (body["total"], body["skip"], body["limit"]) == (3, 0, 20)
    assert [(row["type"], row["amount"], row["balance_after"]) for row in body["transactions"]] == [
        ("consume", -1.0, 99.0),
        ("correction", 50.0, 100.0),
        ("grant", 50.0, 50.0),
    ]
    assert body["transactions"][0]["task_id"]
    assert body["transactions"][0]["created_at"].endswith("Z")


def test_bills_have_lines_and_numbers(owner: User, owner_api: Client) -> None:
    spend(owner)
    body = owner_api.get("/users/bills").json()
    assert body["total"] == 1
    assert body["bills"][0]["amount"] == 1.0
    assert body["bills"][0]["lines"] == [
        {"description": "Render lantern", "quantity": 2.0, "unit_price": 0.5, "amount": 1.0}
    ]


def test_money_of_others_is_out_of_sight(owner: User, stranger_api: Client) -> None:
    spend(owner)
    assert stranger_api.get("/users/bills").json()["bills"] == []
    rows = stranger_api.get("/users/transactions").json()["transactions"]
    assert {row["user_id"] for row in rows} == {str(stranger_api.user.pk)} if stranger_api.user else False


@pytest.mark.parametrize("path", ["/users/balance", "/users/transactions", "/users/bills"])
def test_money_asks_for_sign_in(anonymous: Client, path: str) -> None:
    answer = anonymous.get(path)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize(("path", "budget"), [("/users/transactions", 4), ("/users/bills", 5)])
def test_lists_take_a_constant_number_of_queries(
    owner: User, owner_api: Client, path: str, budget: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _count in range(12):
        spend(owner)
    with django_assert_num_queries(budget):
        body = owner_api.get(path, {"limit": 10}).json()
    assert len(body["bills" if "bills" in body else "transactions"]) == 10


def test_credit_by_command(owner: User, owner_api: Client) -> None:
    out = StringIO()
    call_command("credit", owner.phone, "12.50", "--reason", "复核后补款", stdout=out)
    assert out.getvalue().strip() == "owner: +12.50 CNY, balance 112.50 CNY"
    row = owner_api.get("/users/transactions").json()["transactions"][0]
    assert (row["type"], row["amount"], row["description"]) == ("correction", 12.5, "复核后补款")


def test_credit_with_a_key_counts_once(owner: User) -> None:
    for _time in range(3):
        call_command("credit", "owner", "3", "--reason", "r", "--key", "ticket-17", stdout=StringIO())
    assert wallet_of(owner).balance == 103


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "NaN", "Infinity", "1e9", "ten", ""])
def test_credit_refuses_amounts_that_are_none(owner: User, amount: str) -> None:
    with pytest.raises(CommandError):
        call_command("credit", "owner", "--reason=r", "--", amount, stdout=StringIO())
    assert wallet_of(owner).balance == 100


@pytest.mark.parametrize(("user", "reason"), [("nobody_here", "r"), ("owner", "  ")])
def test_credit_refuses_unknown_users_and_empty_reasons(owner: User, user: str, reason: str) -> None:
    entries = LedgerEntry.objects.count()
    with pytest.raises(CommandError):
        call_command("credit", user, "5", "--reason", reason, stdout=StringIO())
    assert LedgerEntry.objects.count() == entries


def test_six_places_survive_the_wire(owner: User, owner_api: Client) -> None:
    kind = LedgerEntry.Kind.RECHARGE
    post_entry(wallet=wallet_of(owner), kind=kind, amount=Decimal("0.000001"), key="tiny")
    assert json.loads(owner_api.get("/users/balance").content)["balance"] == 100.000001
