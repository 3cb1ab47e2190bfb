"""Invoices: never of more than was paid with real money, was used, and stands on no invoice yet."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import TeamMember, User
from accounts.services.teams import create_team
from billing.models import Bill, IdempotentRequest, InvoiceLine, InvoiceRequest, MoneyAlert
from billing.periods import day_of
from billing.services import invoices
from billing.services.approvals import approve_credit, request_credit
from billing.services.bill_refunds import refund_bill
from billing.services.credits import credit
from billing.services.gifts import give
from billing.services.ledger import wallet_of
from billing.services.receivables import charge_back
from billing.tax_numbers import check_digit, is_tax_number
from common.ids import new_id
from tests.accounts.staff import operator
from tests.billing.audit import violations
from tests.billing.invoicing import (
    COMPANY,
    PERSON,
    api,
    asked,
    left,
    payer,
    rendered,
    spent,
)
from tests.billing.paying import recharged
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

__all__ = ["api", "payer"]  # fixtures
pytestmark = pytest.mark.django_db


# --- How much ---


def test_only_real_money_that_was_used_is_invoiced(payer: User) -> None:
    assert left(payer) == 0
    give(wallet=wallet_of(payer), amount=Decimal(4), key="g", description="gift")
    recharged(payer, "20")
    assert left(payer) == 0  # nothing was used
    rendered(payer, "6")  # four of it out of the gift
    assert left(payer) == 2
    spent(payer, "5")
    assert left(payer) == 7


def test_money_that_was_not_received_gives_no_invoice(payer: User) -> None:
    """What operators corrected, or the old service brought over, is spent like paid money."""
    credit(user=payer, amount=Decimal(100), key="c", reason="goodwill")
    recharged(payer, "3")
    spent(payer, "50")
    assert left(payer) == 3
    maker, checker = operator("finance"), make_user(username="checker", is_staff=True)
    for is_payment, expected in ((False, 3), (True, 13)):
        request = request_credit(
            wallet=wallet_of(payer), amount=Decimal(10), key=str(new_id()), reason="transfer 4711", maker=maker,
            is_payment=is_payment,
        )  # fmt: skip
        assert left(payer) == 3
        approve_credit(request=request, checker=checker, decision="seen on the account")
        assert left(payer) == expected


def test_refunds_and_chargebacks_lower_it(payer: User) -> None:
    order = recharged(payer, "20")
    bill = rendered(payer, "10")
    refund_bill(bill=bill, amount=Decimal("2.5"), reason="noise", key="r")
    assert left(payer) == Decimal("7.5")
    charge_back(order=order, amount=Decimal(15), key="c", reason="bank", actor=operator("finance"))
    assert left(payer) == 5


def test_the_door_tells_what_is_left_and_of_which_bills(payer: User, api: Client) -> None:
    recharged(payer, "20")
    first, second = rendered(payer, "6"), spent(payer, "5")
    body = api.get("/billing/invoices/available").json()
    assert (body["amount"], body["bill_count"]) == (11, 2)
    assert [(row["id"], row["kind"], row["amount"]) for row in body["bills"]] == [
        (str(first.pk), "job", 6), (str(second.pk), "storage", 5),
    ]  # fmt: skip
    day = (day_of(timezone.now()) - timedelta(days=1)).isoformat()
    assert api.get(f"/billing/invoices/available?to={day}").json()["amount"] == 0
    asked(api, bills=[str(first.pk)], amount="5.99")
    body = api.get("/billing/invoices/available").json()
    assert [row["amount"] for row in body["bills"]] == [0.01, 5]


# --- Asking ---


def test_an_invoice_is_asked_for_and_covers_the_oldest_bills_first(payer: User, api: Client) -> None:
    recharged(payer, "20")
    first, second = rendered(payer, "6"), rendered(payer, "5")
    answer = api.post("/billing/invoices", {**COMPANY, "amount": 7.5})
    assert answer.status_code == 201, answer.json()
    body = answer.json()
    assert body["bills"] == [
        {"bill_id": str(first.pk), "amount": 6}, {"bill_id": str(second.pk), "amount": 1.5},
    ]  # fmt: skip
    assert (body["status"], body["amount"], body["tax_number"]) == ("requested", 7.5, "914403001922038216")
    assert api.get("/billing/invoices").json()["invoices"] == [body]
    assert api.get(f"/billing/invoices/{body['id']}").json() == body
    assert api.get(f"/billing/invoices/{body['id']}/pdf").status_code == 404
    refused = api.post("/billing/invoices", {**COMPANY, "amount": 3.51})
    assert (refused.status_code, refused.json()["code"]) == (409, "invoice_exceeded")
    assert refused.json()["available"] == 3.5
    assert InvoiceRequest.objects.count() == 1


def test_by_days_and_by_bills(payer: User, api: Client) -> None:
    recharged(payer, "20")
    first, second = rendered(payer, "6"), rendered(payer, "5")
    today = day_of(timezone.now())
    refused = api.post("/billing/invoices", {**PERSON, "last_day": str(today - timedelta(days=1))})
    assert refused.json()["available"] == 0
    refused = api.post("/billing/invoices", {**PERSON, "bills": [str(second.pk), str(new_id())]})
    assert refused.status_code == 404
    assert asked(api, **PERSON, kind="ordinary", tax_number="", bills=[str(second.pk)]).amount == 5
    whole = asked(api, first_day=str(today), last_day=str(today))
    assert (whole.amount, whole.lines.get().bill_id, whole.first_day) == (6, first.pk, today)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tax_number": "914403001922038217"}, "tax_number"),
        ({"tax_number": "91440300192203821"}, "tax_number"),
        ({"tax_number": ""}, "tax_number"),
        ({"tax_number": "11010X123456789"}, "tax_number"),
        ({"title": " "}, "title"),
        ({"title_type": "personal"}, "title_type"),
        ({"title_type": "personal", "kind": "ordinary"}, "tax_number"),
        ({"email": "nobody"}, "email"),
        ({"kind": "paper"}, "kind"),
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": "1.001"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": " 1"}, "amount"),
        ({"bills": []}, "bills"),
        ({"first_day": "2026-02-02", "last_day": "2026-02-01"}, "from"),
    ],
)
def test_bad_requests_are_refused(payer: User, api: Client, change: dict[str, Any], field: str) -> None:
    recharged(payer, "20")
    rendered(payer, "6")
    answer = api.post("/billing/invoices", {**COMPANY, **change})
    assert (answer.status_code, answer.json()["errors"][0]["loc"][1]) == (422, field)
    assert not InvoiceRequest.objects.exists()


def test_tax_numbers() -> None:
    codes = ("91440300708461136T", "91110000802100433B", "91330100799655058B", "914403001922038216")
    assert all(is_tax_number(code) for code in codes)
    for code in codes:
        for place in range(17):  # one character mistyped is always found
            other = "2" if code[place] != "2" else "3"
            assert not is_tax_number(code[:place] + other + code[place + 1 :])
        assert check_digit(code[:17]) == code[17]
    assert is_tax_number("440300192203821")
    assert is_tax_number("11010880210043X")
    assert not is_tax_number("91440300708461136I")
    assert not is_tax_number("9144030070846113")


def test_one_key_asks_once(payer: User, api: Client) -> None:
    recharged(payer, "20")
    rendered(payer, "6")
    header: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": "k1"}
    answers = [api.post("/billing/invoices", {**COMPANY, "amount": 2}, **header) for _twice in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotency-Replayed"] == "true"
    other = api.post("/billing/invoices", {**COMPANY, "amount": 3}, **header)
    assert other.json()["code"] == "idempotency_conflict"
    # Also where what was answered is forgotten.
    IdempotentRequest.objects.all().delete()
    again = invoices.request_invoice(
        wallet=wallet_of(payer), requester=payer, key="k1", amount=Decimal(2),
        buyer=invoices.Buyer("special", "company", "Lantern Pictures", COMPANY["email"], "914403001922038216"),
    )  # fmt: skip
    assert str(again.pk) == answers[0].json()["id"]
    assert InvoiceRequest.objects.count() == 1


def test_open_requests_are_limited(payer: User, api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoices, "MOST_OPEN", 1)
    recharged(payer, "20")
    rendered(payer, "6")
    asked(api, amount=1)
    refused = api.post("/billing/invoices", {**COMPANY, "amount": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_open_invoices")


def test_strangers_and_members_of_teams(payer: User, api: Client, stranger_api: Client) -> None:
    team = create_team(owner=payer, name="Lighting")
    member = make_user(username="member")
    TeamMember.objects.create(team=team, user=member, role="member")
    recharged(payer, "20")
    rendered(payer, "6")
    mine = asked(api, amount=1)
    for path in ("", "/pdf"):
        assert stranger_api.get(f"/billing/invoices/{mine.pk}{path}").status_code == 404
    assert stranger_api.post(f"/billing/invoices/{mine.pk}/cancel").status_code == 404
    wallet = str(wallet_of(team).pk)
    for outside in (stranger_api, Client(member)):
        assert outside.post("/billing/invoices", {**COMPANY, "wallet_id": wallet}).status_code == 404
        assert outside.get(f"/billing/invoices/available?wallet={wallet}").status_code == 404
    refused = api.post("/billing/invoices", {**COMPANY, "wallet_id": wallet})
    assert refused.json()["code"] == "invoice_exceeded"
    assert mine.status == "requested"


def test_whoever_asked_takes_it_back_until_it_is_taken_up(payer: User, api: Client) -> None:
    recharged(payer, "20")
    rendered(payer, "6")
    first = asked(api)
    assert left(payer) == 0
    assert api.post(f"/billing/invoices/{first.pk}/cancel").json()["status"] == "cancelled"
    assert left(payer) == 6
    second = asked(api)
    invoices.start_invoice(invoice=second, operator=operator("finance"))
    refused = api.post(f"/billing/invoices/{second.pk}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "transition_not_allowed")
    assert left(payer) == 0


# --- At once ---


@pytest.mark.django_db(transaction=True)
def test_the_last_fen_is_invoiced_once(settings: Any) -> None:
    settings.TRIAL_CREDIT = Decimal(0)
    payer = make_user()
    recharged(payer, "6")
    rendered(payer, "6")
    clients = [Client(payer) for _each in range(6)]
    answers = race(6, lambda number: clients[number].post("/billing/invoices", COMPANY))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201, *[409] * 5], [answer.json() for answer in answers]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"invoice_exceeded"}
    assert InvoiceRequest.objects.get().amount == 6


@pytest.mark.django_db(transaction=True)
def test_received_money_is_invoiced_once_by_different_bills(settings: Any) -> None:
    """The bills have nothing to do with each other; the wallet alone says that six yuan were received."""
    settings.TRIAL_CREDIT = Decimal(0)
    payer = make_user(money="100")
    recharged(payer, "6")
    bills = [str(rendered(payer, "6").pk) for _each in range(4)]
    clients = [Client(payer) for _each in range(4)]
    answers = race(
        4, lambda number: clients[number].post("/billing/invoices", {**COMPANY, "bills": [bills[number]]})
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert InvoiceRequest.objects.get().amount == 6


@pytest.mark.django_db(transaction=True)
def test_a_refund_and_a_request_at_once_never_invoice_what_was_given_back(settings: Any) -> None:
    settings.TRIAL_CREDIT = Decimal(0)
    payer = make_user()
    recharged(payer, "30")
    for number in range(3):
        bill, client = rendered(payer, "6"), Client(payer)

        def act(which: int, bill: Bill = bill, client: Client = client, number: int = number) -> Any:
            if which:
                return refund_bill(bill=bill, amount=Decimal(6), reason="late", key=str(number))
            return client.post("/billing/invoices", {**COMPANY, "bills": [str(bill.pk)]}).status_code

        status, _refund = race(2, act)
        taken = sum(line.amount for line in InvoiceLine.objects.filter(bill=bill))
        alerts = MoneyAlert.objects.filter(kind="invoice_exceeded").count()
        assert (status, taken) in ((201, 6), (409, 0))
        assert alerts == InvoiceLine.objects.count()  # asked for before the refund: an operator hears of it
    assert violations() == []
