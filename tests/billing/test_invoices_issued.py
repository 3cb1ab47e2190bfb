"""Invoices as operators issue them, and what PostgreSQL refuses, whoever writes."""

from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import AuditEvent, Notification, User
from billing.errors import InvoiceExceeded
from billing.models import Document, InvoiceLine, InvoiceRequest, MoneyAlert
from billing.periods import day_of
from billing.services import invoices
from billing.services.bill_refunds import refund_bill
from common.ids import new_id
from tests.accounts.staff import FORM, act, office_of, operator, page
from tests.billing.invoicing import COMPANY, NUMBER, PDF, api, asked, issued, left, payer, rendered, spent
from tests.billing.paying import recharged
from tests.conftest import Client

__all__ = ["api", "payer"]  # fixtures
pytestmark = pytest.mark.django_db


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
