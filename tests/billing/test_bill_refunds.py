"""What operators give back of bills: in parts, for a reason, paid money first, never more than the bill."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import AuditEvent, Notification, User
from billing.errors import IdempotencyConflict, RefundExceeded
from billing.models import Bill, Gift, LedgerEntry, Refund
from billing.services.bill_refunds import refund_bill, refund_task
from billing.services.bills import Charge, charge_now
from billing.services.credits import credit
from billing.services.gifts import give
from billing.services.holds import capture_hold, place_hold, settle_hold
from billing.services.ledger import wallet_of
from common.errors import Invalid
from common.ids import new_id
from tests.accounts.staff import act, office_of, operator
from tests.billing.audit import violations
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db


def a_bill(user: User, *, gift: str = "0", paid: str = "10", task_id: Any = None) -> Bill:
    """A bill of 10 yuan of a job, captured in two parts, of which so much was burnt of gifts."""
    wallet = wallet_of(user)
    if Decimal(gift):
        give(wallet=wallet, amount=Decimal(gift), key=f"gift:{new_id()}", description="gift")
    if Decimal(paid):
        credit(user=user, amount=Decimal(paid), key=f"paid:{new_id()}", reason="test")
    hold = place_hold(
        wallet=wallet, amount=Decimal(10), key=f"{new_id()}", description="job", task_id=task_id
    )
    capture_hold(hold=hold, total=Decimal(4), description="job")
    bill = settle_hold(hold=hold, charges=[Charge("job", Decimal(20), Decimal("0.5"))], description="job")
    assert bill is not None
    return bill


@pytest.fixture
def payer(settings: Any) -> User:
    settings.TRIAL_CREDIT = Decimal(0)
    return make_user(username="payer")


def back(bill: Bill, amount: str, key: str = "") -> Refund:
    return refund_bill(bill=bill, amount=Decimal(amount), reason="Wrong texture", key=key or str(new_id()))


def test_paid_money_comes_back_first_then_what_was_given(payer: User) -> None:
    bill = a_bill(payer, gift="4", paid="6")
    back(bill, "5")
    wallet = wallet_of(payer)
    assert (wallet.balance, wallet.gift) == (5, 0)
    back(bill, "3.50")
    wallet.refresh_from_db()
    assert (wallet.balance, wallet.gift) == (Decimal("8.5"), Decimal("2.5"))
    gift = Gift.objects.get(remaining__gt=0)
    assert gift.expires_at is not None
    assert timedelta(days=29) < gift.expires_at - timezone.now() <= timedelta(days=30)
    with pytest.raises(RefundExceeded) as refused:
        back(bill, "1.51")
    assert refused.value.data == {"refundable": 1.5}
    back(bill, "1.50")
    assert Notification.objects.filter(user=payer, title="%(amount)s yuan were given back").count() == 3
    assert violations() == []


def test_one_key_gives_once(payer: User) -> None:
    bill = a_bill(payer)
    assert back(bill, "3", "k") == back(bill, "3", "k")
    with pytest.raises(IdempotencyConflict):
        back(bill, "4", "k")
    assert (wallet_of(payer).balance, Refund.objects.count()) == (3, 1)
    event = AuditEvent.objects.get(action="balance_changed", target_type="billing.refund")
    assert (event.after["amount"], event.after["reason"], event.user) == ("3.00", "Wrong texture", payer)


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "NaN", "Infinity"])
def test_bad_amounts_are_refused(payer: User, amount: str) -> None:
    bill = a_bill(payer)
    with pytest.raises(Invalid):
        back(bill, amount)
    with pytest.raises(Invalid):
        refund_bill(bill=bill, amount=Decimal(1), reason="  ", key="k")
    assert not Refund.objects.exists()


def test_of_a_job_the_newest_bill_comes_first(payer: User) -> None:
    task = new_id()
    old, new = a_bill(payer, task_id=task), a_bill(payer, task_id=task)
    for _twice in range(2):
        refund_task(task_id=task, amount=Decimal(13), reason="late", key="k")
    assert [(refund.bill, refund.amount) for refund in Refund.objects.order_by("-amount")] == [
        (new, 10),
        (old, 3),
    ]
    with pytest.raises(IdempotencyConflict):
        refund_task(task_id=task, amount=Decimal(12), reason="late", key="k")
    with pytest.raises(RefundExceeded):
        refund_task(task_id=task, amount=Decimal(8), reason="late", key="again")
    assert wallet_of(payer).balance == 13
    assert violations() == []


def test_a_membership_or_storage_is_given_back_too(payer: User) -> None:
    credit(user=payer, amount=Decimal(5), key="paid", reason="test")
    bill = charge_now(
        wallet=wallet_of(payer),
        kind=Bill.Kind.STORAGE,
        charges=[Charge("GB", Decimal(1), Decimal(5))],
        key="s",
        description="s",
    )
    assert bill is not None
    back(bill, "5")
    assert wallet_of(payer).balance == 5
    assert violations() == []


def test_postgresql_holds_it(payer: User) -> None:
    bill, other = a_bill(payer), a_bill(payer)
    refund = back(bill, "6")
    entry = LedgerEntry.objects.filter(kind="consume").first()
    for rows in (
        {"bill": bill, "entry": entry, "amount": 1},
        {"bill": other, "entry": refund.entry, "amount": 7},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Refund.objects.create(reason="by hand", **rows)
    with pytest.raises(Exception, match="append-only"), transaction.atomic():
        Refund.objects.filter(pk=refund.pk).update(amount=1)
    with pytest.raises(Exception, match="append-only"), transaction.atomic():
        Refund.objects.filter(pk=refund.pk).delete()


@pytest.mark.django_db(transaction=True)
def test_eight_operators_at_once_give_back_at_most_the_bill(payer: User) -> None:
    bill = a_bill(payer, gift="4", paid="6")

    def give_back(_number: int) -> bool:
        try:
            back(bill, "3")
            return True
        except RefundExceeded:
            return False

    assert sum(race(8, give_back)) == 3
    assert (wallet_of(payer).balance, wallet_of(payer).gift) == (9, 3)
    race(8, lambda _number: back(bill, "1", "the same form"))
    assert wallet_of(payer).balance == 10
    assert violations() == []


@pytest.mark.parametrize("group", ["finance", "support", "auditor"])
def test_operators_of_finance_give_back(payer: User, group: str) -> None:
    bill, given = a_bill(payer), {"amount": "2.50", "key": str(new_id())}
    office = office_of(operator(group))
    for _twice in range(2):
        act(office, "refund", bill, **given)
    assert wallet_of(payer).balance == (Decimal("2.5") if group == "finance" else 0)
    if group == "finance":
        refund = Refund.objects.get()
        assert (refund.actor, refund.reason) == (User.objects.get(username="finance_op"), "ticket 4711")
        act(office, "refund", bill, amount="99", key=str(new_id()))
        assert wallet_of(payer).balance == Decimal("2.5")
