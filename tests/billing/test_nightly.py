"""Nightly reconciliation: what differs is found, kept and told; wallets that do not add up are parked."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts.models import AuditEvent, Notification, User
from accounts.permissions import StaffGroup
from accounts.services.teams import create_team
from billing import tasks
from billing.errors import WalletParked
from billing.models import LedgerEntry, ReconciliationDifference, ReconciliationRun, Wallet
from billing.services import nightly
from billing.services.bill_refunds import refund_bill
from billing.services.gifts import give
from billing.services.holds import place_hold, settle_hold
from billing.services.invoices import red_flush_invoice
from billing.services.ledger import post_entry, wallet_of
from billing.services.nightly import Finding, Report, reconcile, reconcile_due
from common.ids import new_id
from tests.accounts.staff import FORM, act, office_of, operator, page
from tests.billing.history import without_triggers
from tests.billing.invoicing import NUMBER, api, asked, issued, payer, rendered
from tests.billing.paying import recharged
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db
__all__ = ["api", "payer"]  # fixtures
Kind, Status = ReconciliationRun.Kind, ReconciliationRun.Status
YESTERDAY = date(2026, 11, 29)


def cook_the_books(wallet: Wallet) -> None:
    """A yuan that no entry knows of, put in by somebody who can switch the guards off."""
    with without_triggers("billing_wallet"):
        Wallet.objects.filter(pk=wallet.pk).update(balance=wallet.balance + 1)


@pytest.fixture
def broken(owner: User) -> Wallet:
    wallet = wallet_of(owner)
    cook_the_books(wallet)
    return wallet


def run_ledger(day: date = YESTERDAY) -> ReconciliationRun | None:
    return reconcile(kind=Kind.LEDGER, day=day)


# --- a wallet that does not add up --------------------------------------------------------------------------


def test_books_that_add_up_are_clean(owner: User) -> None:
    run = run_ledger()
    assert run is not None
    assert (run.status, run.differences_count, run.checked) == (Status.CLEAN, 0, 2)
    assert not Wallet.objects.filter(parked_at__isnull=False).exists()


def test_a_wallet_that_does_not_add_up_is_parked_and_not_mended(broken: Wallet, stranger: User) -> None:
    run = run_ledger()
    assert run is not None
    assert (run.status, run.differences_count) == (Status.DIFFERENT, 1)
    found = ReconciliationDifference.objects.get()
    assert (found.wallet, found.detail, found.run) == (broken, "entries (sums)", run)
    broken.refresh_from_db()
    assert broken.parked_at is not None
    assert (broken.parked_reason, broken.balance) == ("entries (sums)", 101)
    assert wallet_of(stranger).parked_at is None


def test_its_user_is_told_kindly_and_spends_nothing_new(
    broken: Wallet, owner: User, owner_api: Client
) -> None:
    hold = place_hold(
        wallet=Wallet.objects.get(user=make_user(money="9")), amount=Decimal(5), key="h", description="d"
    )
    run_ledger()
    note = Notification.objects.get(user=owner)
    assert note.level == "warning"
    assert "资金安全" in owner_api.get("/notifications").json()["notifications"][0]["message"]
    [mine] = owner_api.get("/billing/wallets").json()["wallets"]
    assert mine["is_parked"] is True
    with pytest.raises(WalletParked):
        place_hold(wallet=broken, amount=Decimal(1), key="new", description="d")
    settle_hold(hold=hold, charges=[], description="others go on")


def test_operators_with_the_right_are_alerted_also_by_mail(
    broken: Wallet, django_capture_on_commit_callbacks: Any
) -> None:
    proved = {"email": "books@example.com", "email_verified_at": timezone.now()}
    finance, support = operator("finance", **proved), operator("support")
    unproved = operator("superuser", email="claimed@example.com")
    with django_capture_on_commit_callbacks(execute=True):
        run_ledger()
    told = Notification.objects.filter(level="error").values_list("user", flat=True)
    assert set(told) == {finance.pk, unproved.pk}
    assert support.pk not in told
    [sent] = mail.outbox
    assert (sent.to, sent.subject) == (["books@example.com"], "2026-11-29 对账：账本")
    assert "1 项差异" in str(sent.body)


def test_a_team_hears_of_its_wallet_by_who_sees_the_money(owner: User) -> None:
    team = create_team(owner=owner, name="t")
    wallet = wallet_of(team)
    post_entry(wallet=wallet, kind=LedgerEntry.Kind.RECHARGE, amount=Decimal(5), key="k")
    cook_the_books(Wallet.objects.get(pk=wallet.pk))
    run_ledger()
    assert [note.user for note in Notification.objects.filter(level="warning")] == [owner]


def test_a_parked_wallet_that_adds_up_can_be_parked_and_freed(owner: User) -> None:
    office, wallet = office_of(operator("finance")), wallet_of(owner)
    act(office, "park", wallet)
    wallet.refresh_from_db()
    assert wallet.parked_reason == FORM["reason"]
    act(office, "unpark", wallet)
    wallet.refresh_from_db()
    assert (wallet.parked_at, wallet.parked_reason) == (None, "")
    deeds = AuditEvent.objects.filter(action="admin_ran", target_id=str(wallet.pk)).order_by("created_at")
    assert [deed.after for deed in deeds] == [
        {"action": "park", "reason": "ticket 4711"}, {"action": "unpark", "reason": "ticket 4711"},
    ]  # fmt: skip
    assert Notification.objects.filter(user=owner).count() == 2


@pytest.mark.parametrize("group", list(StaffGroup))
def test_finance_alone_parks_and_frees(group: str, owner: User) -> None:
    allowed, wallet = group in ("finance", "superuser"), wallet_of(owner)
    act(office_of(operator(group)), "park", wallet)
    assert Wallet.objects.filter(pk=wallet.pk, parked_at__isnull=False).exists() == allowed


def test_without_a_reason_nothing_is_freed(owner: User) -> None:
    office, wallet = office_of(operator("finance")), wallet_of(owner)
    act(office, "park", wallet)
    act(office, "unpark", wallet, reason=" ")
    wallet.refresh_from_db()
    assert wallet.parked_at is not None


def test_guards_stay_on_for_a_wallet_whose_money_is_touched(owner: User) -> None:
    """Parking is let past the guard; whatever touches an amount is not."""
    with pytest.raises(IntegrityError), connection.cursor() as cursor:
        Wallet.objects.filter(user=owner).update(balance=7)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


# --- once a day ---------------------------------------------------------------------------------------------


class Counting:
    """A check that counts how often it runs, and finds what it is told to."""

    def __init__(self, *findings: Finding) -> None:
        self.days: list[date] = []
        self.findings = list(findings)
        self.error: Exception | None = None

    def __call__(self, day: date) -> Report:
        self.days.append(day)
        if self.error:
            raise self.error
        return Report(1, self.findings)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setitem(nightly.CHECKS, Kind.ORDERS, counting)
    return counting


def test_a_day_is_compared_once(check: Counting) -> None:
    check.findings = [Finding("amount", "R1", "paid 5, settled 6")]
    assert reconcile(kind=Kind.ORDERS, day=YESTERDAY) is not None
    assert reconcile(kind=Kind.ORDERS, day=YESTERDAY) is None
    assert check.days == [YESTERDAY]
    assert ReconciliationDifference.objects.count() == 1


def test_one_that_failed_is_tried_again(check: Counting) -> None:
    check.error = ConnectionError("the channel is away")
    run = reconcile(kind=Kind.ORDERS, day=YESTERDAY)
    assert run is not None
    assert (run.status, run.error) == (Status.FAILED, "ConnectionError: the channel is away")
    check.error = None
    again = reconcile(kind=Kind.ORDERS, day=YESTERDAY)
    assert again is not None
    assert (again.pk, again.status, again.error) == (run.pk, Status.CLEAN, "")


def test_one_whose_worker_died_is_tried_again_after_an_hour(check: Counting) -> None:
    now = timezone.now()
    run = ReconciliationRun.objects.create(kind=Kind.ORDERS, day=YESTERDAY, started_at=now)
    assert reconcile(kind=Kind.ORDERS, day=YESTERDAY) is None
    ReconciliationRun.objects.update(started_at=now - timedelta(hours=2))
    again = reconcile(kind=Kind.ORDERS, day=YESTERDAY)
    assert again is not None
    assert (again.pk, again.status, check.days) == (run.pk, Status.CLEAN, [YESTERDAY])


def test_who_was_taken_for_dead_writes_nothing(check: Counting) -> None:
    run = nightly.claim(Kind.ORDERS, YESTERDAY)
    assert run is not None
    ReconciliationRun.objects.update(started_at=timezone.now() - timedelta(hours=2))
    nightly.finish(run, Report(1, [Finding("amount", "R1", "d")]), Status.DIFFERENT)
    assert not ReconciliationDifference.objects.exists()
    assert ReconciliationRun.objects.get().status == Status.RUNNING


def test_days_that_were_missed_are_made_up_for(check: Counting) -> None:
    reconcile(kind=Kind.ORDERS, day=YESTERDAY - timedelta(days=2))
    check.days.clear()
    reconcile_due(today=YESTERDAY + timedelta(days=1), kinds=[Kind.ORDERS])
    assert check.days == [YESTERDAY - timedelta(days=back) for back in (6, 5, 4, 3, 1, 0)]
    assert reconcile_due(today=YESTERDAY + timedelta(days=1), kinds=[Kind.ORDERS]) == []


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_compare_once(check: Counting) -> None:
    check.findings = [Finding("amount", "R1", "d")]
    runs = race(6, lambda _number: reconcile(kind=Kind.ORDERS, day=YESTERDAY))
    assert sum(run is not None for run in runs) == len(check.days) == 1
    assert ReconciliationDifference.objects.count() == 1


def test_a_difference_is_resolved_once_with_a_note(check: Counting) -> None:
    check.findings = [Finding("amount", "R1", "d")]
    reconcile(kind=Kind.ORDERS, day=YESTERDAY)
    found = ReconciliationDifference.objects.get()
    act(office_of(operator("support")), "resolve", found)
    act(office_of(operator("finance")), "resolve", found, reason="refunded")
    act(office_of(operator("superuser")), "resolve", found, reason="again")
    found.refresh_from_db()
    assert found.resolved_by is not None
    assert (found.resolved_by.username, found.note) == ("finance_op", "refunded")
    shown = office_of(operator("auditor")).get(page(ReconciliationRun, "change", found.run.pk))
    assert "refunded" in shown.content.decode()


# --- invoices -----------------------------------------------------------------------------------------------


def test_more_invoiced_than_was_paid_is_found_until_it_is_put_right(payer: User, api: Client) -> None:
    recharged(payer, "20")
    bill = rendered(payer, "6")
    invoice = issued(asked(api))
    refund_bill(bill=bill, amount=Decimal(2), reason="noise", key="r")
    for day in (YESTERDAY, YESTERDAY + timedelta(days=1)):
        run = reconcile(kind=Kind.INVOICES, day=day)
        assert run is not None
        assert (run.status, run.checked, run.error) == (Status.DIFFERENT, 1, "")
        found = run.differences.get()
        assert (found.wallet, found.detail) == (wallet_of(payer), f"2.00 too much, issued: {NUMBER}")
    assert wallet_of(payer).parked_at is None  # its money adds up
    red_flush_invoice(
        invoice=invoice,
        operator=User.objects.get(username="finance_op"),
        number=NUMBER[::-1],
        reason="refund",
    )
    run = reconcile(kind=Kind.INVOICES, day=YESTERDAY + timedelta(days=2))
    assert run is not None
    assert (run.status, run.checked) == (Status.CLEAN, 0)


# --- schedules ----------------------------------------------------------------------------------------------


def test_the_nightly_work_is_scheduled() -> None:
    rows = PeriodicTask.objects.filter(task="billing.tasks.reconcile").select_related("crontab")
    assert {(row.kwargs, str(row.crontab.hour), str(row.crontab.timezone)) for row in rows} == {
        ('{"kinds": ["ledger", "jobs", "invoices"]}', "3", "Asia/Shanghai"),
        ('{"kinds": ["orders"]}', "11", "Asia/Shanghai"),
    }
    tasks.reconcile(kinds=["ledger", "unheard of"])
    tasks.reconcile(kinds=["ledger"])
    assert ReconciliationRun.objects.get().kind == "ledger"


@pytest.mark.django_db(transaction=True)
def test_gifts_expire_once_by_whichever_beat(owner: User) -> None:
    give(
        wallet=wallet_of(owner), amount=Decimal(8), key=str(new_id()), description="g",
        expires_at=timezone.now() - timedelta(minutes=1),
    )  # fmt: skip
    race(4, lambda _number: tasks.expire_gifts())
    tasks.expire_gifts()
    tasks.forget_requests()
    [entry] = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.EXPIRY)
    assert (entry.amount, wallet_of(owner).balance) == (-8, 100)
