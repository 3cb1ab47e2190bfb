"""Paying orders back by their channel, and what channels take back by themselves."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts.models import User
from billing.channels.standin import alipay, ledger, wechat
from billing.errors import IdempotencyConflict, InsufficientBalance, OrderNotPaid, RefundTooLarge
from billing.models import Bill, Hold, LedgerEntry, MoneyAlert, Receivable, RechargeOrder, RefundOrder
from billing.services.bills import Charge, charge_now
from billing.services.gifts import give
from billing.services.holds import place_hold
from billing.services.ledger import post_entry, wallet_of
from billing.services.receivables import charge_back, refundable
from billing.services.refunds import follow_refunds, refund_order, register_refund
from common.errors import DomainError, Invalid
from common.ids import new_id
from tests.accounts.staff import office_of, operator, page
from tests.billing.audit import violations
from tests.billing.paying import channels, entries, ordered, paid, pay_server, send, standing, told
from tests.conftest import Client
from tests.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("channels")]
__all__ = ["channels", "pay_server"]  # fixtures
both = pytest.mark.parametrize("channel", ["wechat", "alipay"])
SITE = "http://127.0.0.1:9"
Status = RefundOrder.Status


@pytest.fixture
def boss(db: None) -> User:
    return operator("finance")


@pytest.fixture
def payer(db: None) -> User:
    """Somebody with nothing but 50 that were given."""
    return make_user(username="payer")


def paid_order(payer: User, channel: str = "wechat", amount: Any = "30") -> RechargeOrder:
    order = ordered(Client(payer), channel, amount)
    paid(order)
    assert told(order).status_code == 200
    order.refresh_from_db()
    return order


def back(order: RechargeOrder, boss: User, amount: str = "10", key: str = "") -> RefundOrder:
    return refund_order(
        order=order,
        amount=Decimal(amount),
        key=key or str(new_id()),
        reason="asked for",
        actor=boss,
        site=SITE,
    )


def spend(user: User, amount: str) -> None:
    charge = Charge("storage", Decimal(1), Decimal(amount))
    charge_now(
        wallet=wallet_of(user), kind=Bill.Kind.STORAGE, charges=[charge], key=str(new_id()), description="s"
    )


def money(user: User) -> tuple[Decimal, Decimal]:
    wallet = wallet_of(user)
    return wallet.balance, wallet.held


@both
def test_an_order_is_paid_back_in_parts(payer: User, boss: User, channel: str) -> None:
    order = paid_order(payer, channel)
    refund = back(order, boss, "10")
    if channel == "wechat":  # takes it on first, and says later how it ended
        assert (refund.status, money(payer)) == (Status.PENDING, (80, 10))
        now = timezone.now() + timedelta(seconds=11)
        assert (follow_refunds(now=now, site=SITE), follow_refunds(now=now, site=SITE)) == (1, 0)
        refund.refresh_from_db()
    assert (refund.status, money(payer)) == (Status.SUCCEEDED, (70, 0))
    assert refund.channel_no
    assert [each["amount"] for each in standing(order).refunds] == [1000]
    assert refundable(order) == 20
    with pytest.raises(RefundTooLarge):
        back(order, boss, "20.01")
    back(order, boss, "20")
    follow_refunds(now=timezone.now() + timedelta(seconds=11), site=SITE)
    assert money(payer) == (50, 0)
    taken = LedgerEntry.objects.filter(wallet=wallet_of(payer), kind="withdrawal")
    assert sorted(entry.amount for entry in taken) == [-20, -10]
    assert violations() == []


def test_a_refund_sent_twice_pays_back_once(payer: User, boss: User) -> None:
    order = paid_order(payer)
    first = back(order, boss, "10", "k")
    assert back(order, boss, "10", "k").pk == first.pk
    with pytest.raises(IdempotencyConflict):
        back(order, boss, "11", "k")
    follow_refunds(now=timezone.now() + timedelta(seconds=11), site=SITE)
    assert back(order, boss, "10", "k").status == Status.SUCCEEDED
    assert len(standing(order).refunds) == 1
    assert money(payer) == (70, 0)


def test_what_was_given_or_is_spent_does_not_go_back(payer: User, boss: User) -> None:
    order = paid_order(payer)  # 50 given, 30 paid
    hold = place_hold(
        wallet=wallet_of(payer), amount=Decimal(55), key="h", task_id=new_id(), description="job"
    )
    with pytest.raises(InsufficientBalance):
        back(order, boss, "25.01")  # 25 are available
    assert hold.status == Hold.Status.OPEN
    spend(payer, "20")  # of what was given
    with pytest.raises(InsufficientBalance):
        back(order, boss, "5.01")
    back(order, boss, "5")
    with pytest.raises(InsufficientBalance):
        back(order, boss, "0.01")
    assert money(payer) == (60, 60)
    assert violations() == []


def test_what_is_on_its_way_back_does_not_go_back_again(payer: User, boss: User) -> None:
    first, second = paid_order(payer, amount="20"), paid_order(payer, amount="10")
    spend(payer, "65")  # all that was given, and half of what was paid
    give(wallet=wallet_of(payer), amount=Decimal(50), key="g", description="gift")
    back(first, boss, "15")
    with pytest.raises(InsufficientBalance):
        back(second, boss, "0.01")
    assert charged(second, boss, "10").collected == 0
    follow_refunds(now=timezone.now() + timedelta(seconds=11), site=SITE)
    assert money(payer) == (50, 0)
    assert violations() == []


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "NaN", "30.01"])
def test_refunds_that_cannot_be(payer: User, boss: User, amount: str) -> None:
    order = paid_order(payer)
    with pytest.raises((Invalid, RefundTooLarge)):
        back(order, boss, amount)
    waiting = ordered(Client(payer))
    with pytest.raises(OrderNotPaid):
        back(waiting, boss, "1")
    assert RefundOrder.objects.count() == 0
    assert money(payer) == (80, 0)


def test_a_channel_that_is_away_is_asked_again(payer: User, boss: User, settings: Any) -> None:
    order = paid_order(payer)
    there, settings.WECHAT_PAY_URL = settings.WECHAT_PAY_URL, "http://127.0.0.1:9"
    with pytest.raises(DomainError) as failed:
        back(order, boss, "10", "k")
    assert failed.value.code == "payment_channel_unavailable"
    assert money(payer) == (80, 10)
    settings.WECHAT_PAY_URL = there
    for minutes in (1, 10):
        follow_refunds(now=timezone.now() + timedelta(minutes=minutes), site=SITE)
    assert RefundOrder.objects.get().status == Status.SUCCEEDED
    assert (len(standing(order).refunds), money(payer)) == (1, (70, 0))


def test_a_refund_that_fails_gives_the_money_free(payer: User, boss: User) -> None:
    order = paid_order(payer)
    refund = back(order, boss, "10")
    there = standing(order)
    made = ledger.end_refund(there, refund.refund_no, "CLOSED")
    for _twice in range(2):
        assert send("wechat", wechat.refund_notice(there, made)).status_code == 200
    refund.refresh_from_db()
    assert (refund.status, refund.failure, money(payer)) == (Status.FAILED, "CLOSED", (80, 0))
    assert [alert.kind for alert in MoneyAlert.objects.all()] == ["refund_failed"]
    assert refundable(order) == 30
    assert violations() == []


def test_money_that_goes_back_after_the_channel_said_it_does_not_is_an_alert(payer: User, boss: User) -> None:
    order = paid_order(payer)
    refund = back(order, boss, "10")
    there = standing(order)
    for state in ("CLOSED", "SUCCESS"):
        made = ledger.end_refund(there, refund.refund_no, state)
        assert send("wechat", wechat.refund_notice(there, made)).status_code == 200
    refund.refresh_from_db()
    assert (refund.status, money(payer)) == (Status.FAILED, (80, 0))
    assert list(MoneyAlert.objects.order_by("pk").values_list("kind", flat=True)) == [
        "refund_failed",
        "refund_mismatch",
    ]


def test_a_refund_that_is_refused_because_it_is_there_has_not_failed(
    payer: User, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker has sent it, and the channel does not take it a second time."""
    order = paid_order(payer)
    refund = register_refund(order=order, amount=Decimal(10), key="k", reason="asked for", actor=boss)
    there = standing(order)
    ledger.refund(there, refund.refund_no, 1000)
    monkeypatch.setattr(ledger, "refund", lambda *_values: None)
    assert back(order, boss, "10", "k").status == Status.SUCCEEDED
    assert money(payer) == (70, 0)
    assert violations() == []


@both
def test_a_notice_of_a_refund_ends_it(payer: User, boss: User, channel: str) -> None:
    order = paid_order(payer, channel)
    refund = back(order, boss, "10")
    there = standing(order)
    notice = wechat.refund_notice(there, there.refunds[0]) if channel == "wechat" else alipay.notice(
        there, there.refunds[0]
    )  # fmt: skip
    for _twice in range(2):
        assert send(channel, notice).status_code == 200
    refund.refresh_from_db()
    assert (refund.status, money(payer)) == (Status.SUCCEEDED, (70, 0))
    assert len(entries(payer)) == 1


def test_another_sum_paid_back_is_an_alert(payer: User, boss: User) -> None:
    order = paid_order(payer)
    refund = back(order, boss, "10")
    there = standing(order)
    assert send("wechat", wechat.refund_notice(there, {**there.refunds[0], "amount": 999})).status_code == 200
    refund.refresh_from_db()
    assert (refund.status, money(payer)) == (Status.PENDING, (80, 10))
    assert [alert.kind for alert in MoneyAlert.objects.all()] == ["refund_mismatch"]


# --- Chargebacks ------------------------------------------------------------------------------------------


def charged(order: RechargeOrder, boss: User, amount: str, key: str = "k") -> Receivable:
    return charge_back(order=order, amount=Decimal(amount), key=key, reason="disputed", actor=boss)


def test_a_chargeback_of_spent_money_is_paid_by_the_next_recharge(payer: User, boss: User) -> None:
    order = paid_order(payer)  # 50 given, 30 paid
    spend(payer, "70")
    row = charged(order, boss, "30")
    assert charged(order, boss, "30").pk == row.pk
    assert (row.collected, row.settled_at, money(payer)) == (10, None, (0, 0))
    assert [alert.kind for alert in MoneyAlert.objects.all()] == ["chargeback_uncovered"]
    with pytest.raises(RefundTooLarge):
        charged(order, boss, "0.01", "other")
    paid_order(payer, amount="15")
    row.refresh_from_db()
    assert (row.collected, row.settled_at, money(payer)) == (25, None, (0, 0))
    paid_order(payer, amount="15")
    row.refresh_from_db()
    assert (row.collected, money(payer)) == (30, (10, 0))
    assert row.settled_at is not None
    taken = LedgerEntry.objects.filter(wallet=row.wallet, kind="chargeback").order_by("sequence")
    assert [entry.amount for entry in taken] == [-10, -15, -5]
    assert violations() == []


def test_a_chargeback_leaves_gifts_and_money_on_its_way_back(payer: User, boss: User) -> None:
    order = paid_order(payer)
    other = paid_order(payer, amount="5")
    back(other, boss, "5")  # under way
    row = charged(order, boss, "30")
    assert (row.collected, money(payer)) == (30, (55, 5))
    follow_refunds(now=timezone.now() + timedelta(seconds=11), site=SITE)
    assert money(payer) == (50, 0)
    assert violations() == []


def test_postgresql_lets_nobody_pay_back_more_than_was_paid(payer: User, boss: User) -> None:
    order = paid_order(payer)
    charged(order, boss, "20")
    values = {"order": order, "reason": "r", "maker": boss, "key": "x"}
    with pytest.raises(DatabaseError, match="more is paid back"), transaction.atomic():
        Receivable.objects.create(wallet=order.wallet, amount=Decimal("10.01"), **values)
    for changes in ({"amount": 1}, {"status": "closed"}, {"entry": None}, {"order_no": "x"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            RechargeOrder.objects.filter(pk=order.pk).update(**changes)
    with pytest.raises(DatabaseError), transaction.atomic():
        order.delete()


def test_an_order_is_not_paid_without_its_entry_nor_an_entry_there_without_its_order(payer: User) -> None:
    order, other = paid_order(payer), ordered(Client(payer))
    with pytest.raises(DatabaseError), transaction.atomic():
        now = timezone.now()
        RechargeOrder.objects.filter(pk=other.pk).update(status="paid", paid_at=now, entry=order.entry)
    with pytest.raises(DatabaseError, match="has no paid order"), transaction.atomic():
        post_entry(
            wallet=order.wallet, kind=LedgerEntry.Kind.RECHARGE, amount=Decimal(5), key="order:by-hand"
        )
        with transaction.get_connection().cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


# --- The back office --------------------------------------------------------------------------------------


def do(office: Any, row: Any, deed: str, **form: str) -> Any:
    body = {"reason": "ticket 4711", "_form_submitted": "on", "key": str(new_id()), **form}
    return office.post(f"/admin/billing/{row._meta.model_name}/{row.pk}/{deed}/", body)


def test_finance_pays_back_and_records_chargebacks(payer: User, boss: User) -> None:
    order, office = paid_order(payer, "alipay"), office_of(boss)
    dialog = office.get(f"/admin/billing/rechargeorder/{order.pk}/pay-back/").content.decode()
    assert "该订单还可退 30.00 元；钱包中未占用的充值金额为 30.00 元。" in dialog
    assert do(office, order, "pay-back", amount="10")["HX-Redirect"] == page(
        RechargeOrder, "change", order.pk
    )
    assert do(office, order, "charge-back", amount="5")["HX-Redirect"]
    assert do(office, order, "pay-back", amount="15.01")["HX-Redirect"]
    told_why = office.get(page(RechargeOrder, "change", order.pk)).content.decode()
    assert "该订单最多还可退 15.00 元。" in told_why
    assert money(payer) == (65, 0)
    refund = RefundOrder.objects.get()
    assert (refund.maker, refund.reason, refund.status) == (boss, "ticket 4711", Status.SUCCEEDED)
    assert Receivable.objects.get().maker == boss
    for group in ("support", "auditor", "farm"):
        assert do(office_of(operator(group)), order, "pay-back", amount="1").status_code == 403
    assert money(payer) == (65, 0)


def test_finance_settles_what_was_paid_after_the_order_was_closed(payer: User, boss: User) -> None:
    order, office = ordered(Client(payer)), office_of(boss)
    RechargeOrder.objects.filter(pk=order.pk).update(status="closed")
    do(office, order, "settle")
    assert money(payer) == (50, 0)  # nobody has paid
    paid(order)
    do(office, order, "ask-channel")
    assert money(payer) == (50, 0)
    alert = MoneyAlert.objects.get()
    assert alert.kind == "paid_after_close"
    for _twice in range(2):
        do(office, order, "settle")
    order.refresh_from_db()
    assert (order.status, money(payer)) == ("paid", (Decimal("62.34"), 0))
    do(office, alert, "resolve", reason="settled")
    alert.refresh_from_db()
    assert (alert.resolved_by, alert.resolution) == (boss, "settled")
    assert len(entries(payer)) == 1
