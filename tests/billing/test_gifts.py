"""Gifts: burnt before paid money, the first to expire first; taken back when their time is over."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from django.utils.translation import override
from django_celery_beat.models import PeriodicTask

from accounts.models import Notification, TeamMember, User
from accounts.services.notifications import rendered
from accounts.services.teams import create_team
from billing import tasks
from billing.errors import IdempotencyConflict, InsufficientBalance, WalletParked
from billing.models import Bill, Gift, LedgerEntry, Wallet
from billing.periods import day_of
from billing.services.bills import Charge, charge_now
from billing.services.gifts import expire_gifts, give, tell_of_ends
from billing.services.holds import capture_hold, place_hold, settle_hold
from billing.services.ledger import post_entry, wallet_of
from common.ids import new_id
from tests.billing.audit import violations
from tests.factories import make_user
from tests.racing import race

Kind = LedgerEntry.Kind
pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(settings: Any) -> User:
    """100 yuan, all of them paid."""
    settings.TRIAL_CREDIT = 0
    return make_user(money="100")


def gift(user: User, amount: str, days: int | None = None, key: str = "") -> Gift:
    expires_at = timezone.now() + timedelta(days=days) if days is not None else None
    return give(
        wallet=wallet_of(user),
        amount=Decimal(amount),
        key=key or str(new_id()),
        description="gift",
        expires_at=expires_at,
    )


def charge(user: User, amount: str, key: str = "") -> Bill | None:
    charges = [Charge("storage", Decimal(1), Decimal(amount))]
    return charge_now(
        wallet=wallet_of(user),
        kind=Bill.Kind.STORAGE,
        charges=charges,
        key=key or str(new_id()),
        description="s",
    )


def left(*gifts: Gift) -> list[Decimal]:
    for each in gifts:
        each.refresh_from_db()
    return [each.remaining for each in gifts]


def test_gifts_burn_first_and_by_their_expiry(owner: User) -> None:
    for_ever, late, soon = gift(owner, "5"), gift(owner, "5", 30), gift(owner, "5", 3)
    charge(owner, "7")
    assert left(for_ever, late, soon) == [5, 3, 0]
    entry = LedgerEntry.objects.filter(wallet__user=owner).latest("sequence")
    assert (entry.amount, entry.gift_delta, entry.gift_after) == (-7, -7, 8)
    charge(owner, "10")
    wallet = wallet_of(owner)
    assert (left(for_ever, late, soon), wallet.gift, wallet.paid) == ([0, 0, 0], 0, 98)
    assert violations() == []


def test_a_gift_is_given_once_for_a_key(owner: User) -> None:
    assert gift(owner, "5", key="k").pk == gift(owner, "5", key="k").pk
    with pytest.raises(IdempotencyConflict):
        gift(owner, "6", key="k")
    assert wallet_of(owner).gift == 5


def test_what_was_given_is_not_paid_back(owner: User) -> None:
    gift(owner, "50")
    with pytest.raises(InsufficientBalance):
        post_entry(wallet=wallet_of(owner), kind=Kind.WITHDRAWAL, amount=Decimal(-101), key="w")
    post_entry(wallet=wallet_of(owner), kind=Kind.WITHDRAWAL, amount=Decimal(-100), key="w")
    assert (wallet_of(owner).balance, wallet_of(owner).gift) == (50, 50)
    assert violations() == []


def test_an_expired_gift_goes_as_far_as_it_is_not_held(owner: User) -> None:
    lot = gift(owner, "20", 1)
    hold = place_hold(
        wallet=wallet_of(owner), amount=Decimal(110), key="h", task_id=new_id(), description="j"
    )
    later = timezone.now() + timedelta(days=2)
    assert expire_gifts(now=timezone.now()) == 0
    assert expire_gifts(now=later) == 1
    assert expire_gifts(now=later) == 0
    assert (left(lot), wallet_of(owner).available) == ([10], 0)
    settle_hold(hold=hold, charges=[], description="j")
    assert expire_gifts(now=later) == 1
    assert (left(lot), wallet_of(owner).balance) == ([0], 100)
    assert [e.amount for e in LedgerEntry.objects.filter(kind=Kind.EXPIRY)] == [-10, -10]
    assert violations() == []


@pytest.mark.django_db(transaction=True)
def test_beats_that_run_at_once_take_a_gift_back_once(owner: User) -> None:
    gift(owner, "20", 1)
    race(8, lambda number: expire_gifts(now=timezone.now() + timedelta(days=2)))
    assert (wallet_of(owner).balance, wallet_of(owner).gift) == (100, 0)
    assert LedgerEntry.objects.filter(kind=Kind.EXPIRY).count() == 1
    assert violations() == []


# --- Told before it ends ---


def told(user: User) -> list[tuple[str, str]]:
    rows = Notification.objects.filter(user=user, title__contains="expires")
    return [(rendered(row.title, row.params), rendered(row.message, row.params)) for row in rows]


def test_owners_are_told_once_a_week_before_a_gift_ends(owner: User) -> None:
    now = timezone.now()
    lot = gift(owner, "20.5", 8)
    gift(owner, "3")  # for ever
    charge(owner, "8")
    assert tell_of_ends(now=now) == 0
    assert tell_of_ends(now=now + timedelta(days=2)) == 1
    assert tell_of_ends(now=now + timedelta(days=2)) == 0
    assert lot.expires_at is not None
    with override("zh-hans"):
        assert told(owner) == [
            (f"有一笔赠金将于 {day_of(lot.expires_at)} 到期", "尚余 12.50 元，消费时会优先使用。")
        ]
    lot.refresh_from_db()
    assert lot.warned_at == now + timedelta(days=2)
    assert violations() == []


def test_nobody_is_told_of_what_is_spent_or_over(owner: User) -> None:
    now = timezone.now()
    gift(owner, "5", 3)
    charge(owner, "5")
    gift(owner, "0.004", 3)  # not even a fen
    gift(owner, "5", 9)
    assert tell_of_ends(now=now) == 0
    assert tell_of_ends(now=now + timedelta(days=10)) == 0
    assert told(owner) == []


def test_of_a_gift_to_a_team_those_are_told_who_see_its_money(owner: User) -> None:
    team, member = create_team(owner=owner, name="Studio"), make_user()
    TeamMember.objects.create(team=team, user=member, role="member")
    expires_at = timezone.now() + timedelta(days=3)
    give(wallet=wallet_of(team), amount=Decimal(5), key="g", description="g", expires_at=expires_at)
    assert tell_of_ends(now=timezone.now()) == 1
    assert (len(told(owner)), told(member)) == (1, [])


@pytest.mark.django_db(transaction=True)
def test_beats_that_run_at_once_tell_once(owner: User) -> None:
    for _lot in range(3):
        gift(owner, "20", 3)
    race(6, lambda number: tell_of_ends(now=timezone.now()))
    assert len(told(owner)) == 3


@pytest.mark.parametrize("task", ["expire_gifts", "tell_of_gifts", "expire_vouchers"])
def test_the_schedule_runs_what_is_there(owner: User, task: str) -> None:
    """Rows of the schedule, and what they name; run twice they do no more than once."""
    gift(owner, "20", 3)
    row = PeriodicTask.objects.get(task=f"billing.tasks.{task}", enabled=True)
    assert row.crontab is not None
    for _twice in range(2):
        getattr(tasks, task)()
    assert len(told(owner)) == (task == "tell_of_gifts")
    assert violations() == []


def test_a_charge_writes_its_bill_once(owner: User) -> None:
    first = charge(owner, "1.234", key="day")
    assert first is not None
    assert charge(owner, "1.234", key="day") == first
    assert (first.amount, first.kind, wallet_of(owner).balance) == (
        Decimal("1.23"),
        "storage",
        Decimal("98.77"),
    )
    with pytest.raises(IdempotencyConflict):
        charge(owner, "2", key="day")
    assert charge(owner, "0.001") is None
    assert violations() == []


def test_a_hold_is_captured_as_it_is_used(owner: User) -> None:
    hold = place_hold(wallet=wallet_of(owner), amount=Decimal(10), key="h", task_id=new_id(), description="j")
    for total in ("1.50", "1.50", "4"):
        capture_hold(hold=hold, total=Decimal(total), description="j")
    assert (wallet_of(owner).balance, wallet_of(owner).held) == (96, 6)
    assert violations() == []
    bill = settle_hold(hold=hold, charges=[Charge("f", Decimal(9), Decimal("0.5"))], description="j")
    assert bill is not None
    assert bill.amount == Decimal("4.5")
    assert (wallet_of(owner).balance, wallet_of(owner).held) == (Decimal("95.5"), 0)
    consumed = LedgerEntry.objects.filter(kind=Kind.CONSUME).order_by("sequence")
    assert [entry.amount for entry in consumed] == [Decimal("-1.5"), Decimal("-2.5"), Decimal("-0.5")]
    assert violations() == []


def test_a_parked_wallet_spends_nothing_new_and_ends_what_was_begun(owner: User) -> None:
    hold = place_hold(wallet=wallet_of(owner), amount=Decimal(10), key="h", task_id=new_id(), description="j")
    Wallet.objects.filter(user=owner).update(parked_at=timezone.now())
    with pytest.raises(WalletParked):
        place_hold(wallet=wallet_of(owner), amount=Decimal(1), key="i", task_id=new_id(), description="j")
    with pytest.raises(WalletParked):
        charge(owner, "1")
    gift(owner, "1")
    settle_hold(hold=hold, charges=[Charge("f", Decimal(4), Decimal(1))], description="j")
    assert (wallet_of(owner).balance, wallet_of(owner).held) == (97, 0)
    assert violations() == []


def test_a_team_has_a_wallet_of_its_own(owner: User) -> None:
    team = create_team(owner=owner, name="Studio")
    wallet = wallet_of(team)
    assert (wallet.owner, wallet.balance) == (team, 0)
    assert wallet_of(team) == wallet != wallet_of(owner)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_gift SET remaining = remaining + 1",
        "UPDATE billing_gift SET remaining = remaining - 1",
        "UPDATE billing_gift SET amount = amount + 1",
        "DELETE FROM billing_gift",
        "UPDATE billing_wallet SET gift = gift + 1",
        "UPDATE billing_wallet SET gift = balance + 1",
        "UPDATE billing_wallet SET team_id = gen_random_uuid()",
        "UPDATE billing_wallet SET user_id = NULL",
    ],
)
def test_postgresql_refuses(owner: User, statement: str) -> None:
    gift(owner, "10")
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
        assert cursor.rowcount != 0, "nothing was tried"
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert violations() == []
