"""Invoices: never of more than was paid with real money, was used, and stands on no invoice yet."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import AuditEvent, Notification, TeamMember, User
from accounts.services.teams import create_team
from billing.errors import InvoiceExceeded
from billing.models import Bill, Document, IdempotentRequest, InvoiceLine, InvoiceRequest, MoneyAlert
from billing.periods import day_of
from billing.services import invoices
from billing.services.approvals import approve_credit, request_credit
from billing.services.bill_refunds import refund_bill
from billing.services.bills import Charge, charge_now
from billing.services.credits import credit
from billing.services.gifts import give
from billing.services.holds import capture_hold, place_hold, settle_hold
from billing.services.invoiceable import invoiceable
from billing.services.ledger import wallet_of
from billing.services.receivables import charge_back
from billing.tax_numbers import check_digit, is_tax_number
from common.ids import new_id
from tests.accounts.staff import FORM, act, office_of, operator, page
from tests.billing.audit import violations
from tests.billing.paying import recharged
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db
COMPANY = {
    "kind": "special", "title_type": "company", "title": "Lantern Pictures", "tax_number": "9144030019 22038216",
    "email": "accounts@lantern.example",
}  # fmt: skip
PERSON = {"title_type": "personal", "title": "Lin Mei", "email": "mei@lantern.example"}
NUMBER = "24952000000012345678"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"


@pytest.fixture
def payer(settings: Any) -> User:
    settings.TRIAL_CREDIT = Decimal(0)
    return make_user(username="payer")


@pytest.fixture
def api(payer: User) -> Client:
    return Client(payer)


def spent(user: User, amount: str, kind: Bill.Kind = Bill.Kind.STORAGE) -> Bill:
    charges = [Charge("GB", Decimal(1), Decimal(amount))]
    bill = charge_now(
        wallet=wallet_of(user), kind=kind, charges=charges, key=f"s:{new_id()}", description="storage"
    )
    assert bill is not None
    return bill


def rendered(user: User, amount: str) -> Bill:
    """A bill of a job that was captured in two parts."""
    hold = place_hold(
        wallet=wallet_of(user), amount=Decimal(amount), key=f"job:{new_id()}", description="job"
    )
    capture_hold(hold=hold, total=Decimal("0.01"), description="job")
    bill = settle_hold(hold=hold, charges=[Charge("frames", Decimal(1), Decimal(amount))], description="job")
    assert bill is not None
    return bill


def left(user: User) -> Decimal:
    return invoiceable(wallet_of(user)).amount


def asked(api: Client, **more: Any) -> InvoiceRequest:
    answer = api.post("/billing/invoices", {**COMPANY, **more})
    assert answer.status_code == 201, answer.json()
    return InvoiceRequest.objects.get(pk=answer.json()["id"])


def issued(invoice: InvoiceRequest, number: str = NUMBER) -> InvoiceRequest:
    invoices.issue_invoice(
        invoice=invoice,
        operator=User.objects.filter(username="finance_op").first() or operator("finance"),
        number=number,
        issued_on=day_of(timezone.now()),
        file=SimpleUploadedFile("fapiao.pdf", PDF + number.encode(), "application/pdf"),
    )
    return invoice


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


# --- Operators ---


def test_an_operator_issues_it_and_the_payer_has_it(payer: User, api: Client) -> None:
    recharged(payer, "20")
    rendered(payer, "6")
    invoice = asked(api)
    finance = operator("finance")
    office = office_of(finance)
    act(office, "start", invoice)
    invoice.refresh_from_db()
    assert invoice.status == "issuing"
    form = {
        "_form_submitted": "on", "number": NUMBER, "issued_on": str(day_of(timezone.now())),
        "file": SimpleUploadedFile("发票.pdf", PDF, "application/pdf"),
    }  # fmt: skip
    answer = office.post(f"/admin/billing/invoicerequest/{invoice.pk}/issue/", form)
    assert "HX-Redirect" in answer
    invoice.refresh_from_db()
    assert (invoice.status, invoice.number, invoice.operator) == ("issued", NUMBER, finance)
    told = AuditEvent.objects.filter(
        action="admin_ran", target_id=str(invoice.pk), after__action="issue"
    ).get()
    assert (told.after["number"], told.after["file"], told.actor) == (NUMBER, "发票.pdf", finance)

    got = api.get(f"/billing/invoices/{invoice.pk}/pdf")
    assert (got.status_code, got.content, got["Content-Type"]) == (200, PDF, "application/pdf")
    note = Notification.objects.get(user=payer, title="Your invoice was issued")
    assert note.params["number"] == NUMBER
    for _twice in range(2):
        invoices.mail_due(now=timezone.now())
    [sent] = mail.outbox
    assert (sent.to, sent.attachments[0][0], sent.attachments[0][1]) == (
        [COMPANY["email"]],
        f"{NUMBER}.pdf",
        PDF,
    )
    assert left(payer) == 0


def test_a_rejection_says_why_and_frees_the_money(payer: User, api: Client) -> None:
    recharged(payer, "20")
    rendered(payer, "6")
    invoice = asked(api)
    act(office_of(operator("finance")), "reject", invoice)
    body = api.get(f"/billing/invoices/{invoice.pk}").json()
    assert (body["status"], body["reason"]) == ("rejected", FORM["reason"])
    note = Notification.objects.get(user=payer, title="Your invoice was not issued")
    assert note.params["reason"] == FORM["reason"]
    assert left(payer) == 6


def test_what_was_given_back_before_it_was_issued_is_not_invoiced(payer: User, api: Client) -> None:
    recharged(payer, "20")
    bill = rendered(payer, "6")
    invoice = asked(api)
    refund_bill(bill=bill, amount=Decimal(2), reason="noise", key="r")
    with pytest.raises(InvoiceExceeded) as refused:
        issued(invoice)
    assert refused.value.data == {"available": 4.0}
    invoice.refresh_from_db()
    assert (invoice.status, Document.objects.count()) == ("requested", 0)
    invoices.reject_invoice(
        invoice=invoice, operator=User.objects.get(username="finance_op"), reason="refunded"
    )
    assert issued(asked(api)).amount == 4


def test_after_a_refund_it_is_red_flushed(payer: User, api: Client) -> None:
    recharged(payer, "20")
    bill = rendered(payer, "6")
    spent(payer, "3")
    invoice = issued(asked(api, bills=[str(bill.pk)]))
    refund_bill(bill=bill, amount=Decimal(2), reason="noise", key="r")
    alert = MoneyAlert.objects.get(kind="invoice_exceeded")
    assert alert.data == {"excess": "2.00", "invoices": [NUMBER]}
    assert left(payer) == 1  # what one has too much of is missing for the others
    office = office_of(User.objects.get(username="finance_op"))
    path = f"/admin/billing/invoicerequest/{invoice.pk}/red-flush/"
    office.post(path, {**FORM, "number": NUMBER})
    invoice.refresh_from_db()
    assert invoice.status == "issued"  # the number is taken
    office.post(path, {**FORM, "number": f"{NUMBER[:-1]}9"})
    body = api.get(f"/billing/invoices/{invoice.pk}").json()
    assert (body["status"], body["red_number"], body["reason"]) == (
        "red_flushed",
        f"{NUMBER[:-1]}9",
        FORM["reason"],
    )
    assert Notification.objects.filter(user=payer, title="An invoice was red-flushed").exists()
    assert left(payer) == 7
    assert issued(asked(api), f"{NUMBER[:-1]}7").amount == 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"number": "12345"}, "20"),
        ({"issued_on": "2001-01-01"}, ""),
        ({"file": SimpleUploadedFile("f.pdf", b"MZ not a pdf")}, ""),
        ({"file": SimpleUploadedFile("f.pdf", PDF + b"0" * (5 << 20))}, ""),
        ({"file": ""}, ""),
    ],
)
def test_what_is_no_invoice_is_not_issued(
    payer: User, api: Client, change: dict[str, Any], said: str
) -> None:
    recharged(payer, "20")
    rendered(payer, "6")
    invoice = asked(api)
    form = {
        "_form_submitted": "on", "number": NUMBER, "issued_on": str(day_of(timezone.now())),
        "file": SimpleUploadedFile("f.pdf", PDF), **change,
    }  # fmt: skip
    if form["file"]:
        form["file"].seek(0)
    office_of(operator("finance")).post(f"/admin/billing/invoicerequest/{invoice.pk}/issue/", form)
    invoice.refresh_from_db()
    assert (invoice.status, Document.objects.count()) == ("requested", 0)


def test_nobody_issues_an_invoice_of_their_own(settings: Any) -> None:
    settings.TRIAL_CREDIT = Decimal(0)
    finance = operator("finance")
    recharged(finance, "20")
    rendered(finance, "6")
    invoice = asked(Client(finance))
    act(office_of(finance), "start", invoice)
    invoice.refresh_from_db()
    assert invoice.status == "requested"


@pytest.mark.parametrize(
    ("group", "sees"), [("finance", 200), ("auditor", 200), ("support", 403), ("farm", 403)]
)
def test_the_document_is_for_who_sees_money_and_its_opening_is_told(
    payer: User, api: Client, group: str, sees: int
) -> None:
    recharged(payer, "20")
    rendered(payer, "6")
    invoice = issued(asked(api))
    who = User.objects.filter(username=f"{group}_op").first() or operator(group)
    answer = office_of(who).get(f"/admin/billing/invoicerequest/{invoice.pk}/document/")
    assert answer.status_code == sees
    told = AuditEvent.objects.filter(action="file_opened", target_id=str(invoice.pk))
    assert [(event.actor, event.after) for event in told] == (
        [(who, {"name": "fapiao.pdf"})] if sees == 200 else []
    )
    if sees == 200:
        assert answer.content == PDF + NUMBER.encode()
        assert b"document/" in office_of(who).get(page(InvoiceRequest, "change", invoice.pk)).content


# --- What PostgreSQL refuses, whoever writes ---


def refused(act: Any) -> bool:
    """Whether PostgreSQL refuses, at once or at the commit."""
    try:
        with transaction.atomic():
            act()
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except IntegrityError:
        return True
    return False


def test_postgresql_refuses(payer: User, api: Client) -> None:
    recharged(payer, "20")
    bill = rendered(payer, "6")
    invoice = asked(api, amount=5)
    rows = InvoiceRequest.objects.filter(pk=invoice.pk)
    line = invoice.lines.get()

    def again(amount: str) -> None:
        values = {
            name: getattr(invoice, name)
            for name in ("wallet", "requester", "kind", "title_kind", "title", "tax_number", "email")
        }
        other = InvoiceRequest.objects.create(**values, key=str(new_id()), amount=Decimal(amount))
        InvoiceLine.objects.create(invoice=other, bill=bill, amount=Decimal(amount))

    assert refused(lambda: again("1.01"))  # more than the bill
    assert refused(lambda: rows.update(amount=6))
    assert refused(lambda: rows.update(tax_number="914403001922038217"))
    assert refused(lambda: rows.update(status="issued"))
    assert refused(lambda: rows.update(status="rejected"))
    assert refused(lambda: rows.delete())
    assert refused(lambda: InvoiceLine.objects.filter(pk=line.pk).update(amount=1))
    assert refused(lambda: InvoiceLine.objects.filter(pk=line.pk).delete())
    assert refused(lambda: InvoiceLine.objects.create(invoice=invoice, bill=spent(payer, "1"), amount=1))
    invoices.cancel_invoice(invoice=invoice, actor=payer)
    assert refused(lambda: rows.update(status="requested"))
    assert not refused(lambda: again("6"))


def test_lists_take_the_same_number_of_queries(
    payer: User, api: Client, django_assert_max_num_queries: Any
) -> None:
    recharged(payer, "50")
    for _each in range(5):
        rendered(payer, "6")
        asked(api)
        rendered(payer, "1")
    with django_assert_max_num_queries(8):
        assert len(api.get("/billing/invoices").json()["invoices"]) == 5
    with django_assert_max_num_queries(13):
        assert api.get("/billing/invoices/available").json()["bill_count"] == 1
