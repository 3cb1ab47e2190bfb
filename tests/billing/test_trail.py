"""An operator follows money from page to page: from a payment to its entry, to what it went to, and back."""

import re
from decimal import Decimal

import pytest
from django.db.models import Model
from django.test import Client

from accounts.models import User
from billing.channels import base
from billing.models import Bill, Gift, Hold, LedgerEntry, Receivable, Wallet
from billing.services.bill_refunds import refund_bill
from billing.services.gifts import give
from billing.services.ledger import wallet_of
from billing.services.receivables import charge_back
from billing.services.refunds import register_refund, take_refund_in
from tests.accounts.staff import office_of, operator, page
from tests.billing.invoicing import payer, spent
from tests.billing.paying import recharged
from tests.billing.test_money_doors import render

pytestmark = pytest.mark.django_db
__all__ = ["payer"]  # fixtures


@pytest.fixture
def office(payer: User) -> Client:
    return office_of(operator("auditor"))


def links(office: Client, row: Model) -> list[str]:
    """Where the page of a row leads to by what it says at its end."""
    found = office.get(page(type(row), "change", row.pk))
    assert found.status_code == 200
    return re.findall(r'class="text-primary-600" href="(/admin/[^"]*)"', found.content.decode())


def change(row: Model) -> str:
    return page(type(row), "change", row.pk)


def entry_of(kind: str) -> LedgerEntry:
    return LedgerEntry.objects.filter(kind=kind).latest("sequence")


def test_from_the_order_to_the_bill_of_a_task(office: Client, payer: User) -> None:
    order = recharged(payer, "20")
    task_id = render(wallet_of(payer), "7", spender=payer)
    bill, hold, task = Bill.objects.get(), Hold.objects.get(), f"/admin/rendering/renderjob/{task_id}/change/"
    assert change(entry_of("recharge")) in office.get(change(order)).content.decode()
    assert links(office, entry_of("recharge")) == [change(order)]
    for kind in ("hold", "consume", "release"):
        assert links(office, entry_of(kind)) == [change(hold), change(bill), task]
    entries = f"{page(LedgerEntry, 'changelist')}?q={task_id}"
    assert links(office, hold) == [task, entries, change(bill)]
    assert links(office, bill) == [task, entries]
    assert office.get(entries).context["cl"].result_count == 3


def test_from_other_entries_to_what_they_are(office: Client, payer: User) -> None:
    gift = give(wallet=wallet_of(payer), amount=Decimal(1), key="g", description="g")
    assert links(office, entry_of("grant")) == [change(gift)]
    order = recharged(payer, "20")
    bill = spent(payer, "5")
    assert links(office, entry_of("consume")) == [change(bill)]
    refund = refund_bill(bill=bill, amount=Decimal(5), reason="noise", key="r")
    back = Gift.objects.exclude(pk=gift.pk).get()
    assert links(office, entry_of("refund")) == [change(back), change(refund)]
    assert links(office, bill) == [change(refund)]
    charge_back(order=order, amount=Decimal(2), key="c", reason="claimed", actor=payer)
    assert links(office, entry_of("chargeback")) == [change(Receivable.objects.get())]


def test_from_what_goes_back_by_its_channel(office: Client, payer: User) -> None:
    refund = register_refund(
        order=recharged(payer, "20"), amount=Decimal(5), key="r", reason="asked for", actor=payer
    )
    take_refund_in(base.Refund("wechat", refund.refund_no, base.RefundState.SUCCEEDED, Decimal(5)))
    hold = refund.hold
    for kind in ("hold", "withdrawal"):
        assert links(office, entry_of(kind)) == [change(hold), change(refund)]
    entries, there = links(office, hold)
    assert there == change(refund)
    assert office.get(entries.replace("&amp;", "&")).context["cl"].result_count == 2


def test_from_a_wallet_to_all_of_it(office: Client, payer: User) -> None:
    recharged(payer, "20")
    wallet = Wallet.objects.get(user=payer)
    found = links(office, wallet)
    assert len(found) == 7
    counts = {path.split("/")[3]: office.get(path).context["cl"].result_count for path in found}
    assert (counts["ledgerentry"], counts["rechargeorder"], counts["bill"]) == (1, 1, 0)
