"""Invoices for tests: whoever pays, what was used, what was asked for and issued."""

from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.models import User
from billing.models import Bill, InvoiceRequest
from billing.periods import day_of
from billing.services import invoices
from billing.services.bills import Charge, charge_now
from billing.services.holds import capture_hold, place_hold, settle_hold
from billing.services.invoiceable import invoiceable
from billing.services.ledger import wallet_of
from common.ids import new_id
from tests.accounts.staff import operator
from tests.conftest import Client
from tests.factories import make_user

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
