"""What must always hold about money, tried to be broken: by the services' own doors and by raw SQL."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import User
from billing.errors import HoldExceeded, IdempotencyConflict, InsufficientBalance
from billing.models import Bill, Hold, LedgerEntry, Wallet
from billing.services.bills import Charge
from billing.services.credits import credit
from billing.services.holds import extend_hold, place_hold, settle_hold
from billing.services.ledger import post_entry, up_to_fen, wallet_of
from common.ids import new_id
from tests.billing.audit import violations

Kind = LedgerEntry.Kind


def hold(user: User, amount: str, key: str = "") -> Hold:
    return place_hold(
        wallet=wallet_of(user),
        amount=Decimal(amount),
        key=key or str(new_id()),
        task_id=new_id(),
        description="job",
    )


def frames(count: int, price: str = "0.50") -> list[Charge]:
    return [Charge("frames", Decimal(count), Decimal(price))]


def test_a_credit_is_an_entry_that_chains(owner: User) -> None:
    before = wallet_of(owner)
    entry = credit(user=owner, amount=Decimal("12.34"), key="k", reason="why")
    assert (entry.sequence, entry.balance_after) == (before.sequence + 1, before.balance + Decimal("12.34"))
    assert wallet_of(owner).balance == before.balance + Decimal("12.34")
    assert violations() == []


def test_one_key_has_one_effect(owner: User) -> None:
    first = credit(user=owner, amount=Decimal(5), key="once", reason="a")
    assert credit(user=owner, amount=Decimal(5), key="once", reason="b").pk == first.pk
    assert wallet_of(owner).balance == first.balance_after
    with pytest.raises(IdempotencyConflict):
        credit(user=owner, amount=Decimal(6), key="once", reason="a")
    assert wallet_of(owner).balance == first.balance_after


def test_a_key_belongs_to_its_wallet(owner: User, stranger: User) -> None:
    credit(user=owner, amount=Decimal(5), key="shared", reason="a")
    credit(user=stranger, amount=Decimal(6), key="shared", reason="a")
    assert violations() == []


def test_money_held_is_not_there_to_be_held_again(owner: User) -> None:
    hold(owner, "99.50")
    with pytest.raises(InsufficientBalance) as refused:
        hold(owner, "0.51")
    assert refused.value.data == {"required": 0.51, "available": 0.5}
    assert wallet_of(owner).available == Decimal("0.50")
    assert Hold.objects.count() == 1
    assert violations() == []


def test_a_held_amount_cannot_be_spent_past_it(owner: User) -> None:
    hold(owner, "99")
    with pytest.raises(InsufficientBalance):
        post_entry(wallet=wallet_of(owner), kind=Kind.CONSUME, amount=Decimal("-1.01"), key="spend")
    assert wallet_of(owner).balance == 100


def test_settling_captures_what_was_used_and_releases_the_rest(owner: User) -> None:
    held = hold(owner, "10")
    bill = settle_hold(hold=held, charges=frames(7), description="job")
    assert bill is not None
    assert bill.amount == Decimal("3.50")
    assert [(line.quantity, line.unit_price, line.amount) for line in bill.lines.all()] == [
        (Decimal(7), Decimal("0.5"), Decimal("3.5"))
    ]
    held.refresh_from_db()
    assert (held.status, held.captured, held.released) == (Hold.Status.CLOSED, Decimal("3.5"), Decimal("6.5"))
    wallet = wallet_of(owner)
    assert (wallet.balance, wallet.held) == (Decimal("96.5"), 0)
    assert violations() == []


def test_settling_nothing_releases_everything_and_writes_no_bill(owner: User) -> None:
    held = hold(owner, "10")
    assert settle_hold(hold=held, charges=frames(0), description="job") is None
    assert Bill.objects.count() == 0
    assert (wallet_of(owner).balance, wallet_of(owner).held) == (100, 0)


def test_settling_twice_charges_once(owner: User) -> None:
    held = hold(owner, "10")
    first = settle_hold(hold=held, charges=frames(3), description="job")
    assert settle_hold(hold=held, charges=frames(9), description="job") == first
    assert wallet_of(owner).balance == Decimal("98.5")
    assert violations() == []


def test_a_hold_is_extended_once_for_a_key(owner: User) -> None:
    held = hold(owner, "10")
    for _twice in range(2):
        extend_hold(hold=held, amount=Decimal(5), key="more", description="job")
    with pytest.raises(IdempotencyConflict):
        extend_hold(hold=held, amount=Decimal(6), key="more", description="job")
    with pytest.raises(InsufficientBalance):
        extend_hold(hold=held, amount=Decimal(1000), key="too much", description="job")
    held.refresh_from_db()
    assert (held.amount, wallet_of(owner).held) == (15, 15)
    bill = settle_hold(hold=held, charges=frames(30), description="job")
    assert bill is not None
    assert bill.amount == 15
    with pytest.raises(ValueError, match="closed"):
        extend_hold(hold=held, amount=Decimal(1), key="late", description="job")
    assert wallet_of(owner).held == 0
    assert violations() == []


def test_more_than_was_held_is_never_taken(owner: User) -> None:
    held = hold(owner, "1")
    with pytest.raises(HoldExceeded):
        settle_hold(hold=held, charges=frames(3), description="job")
    held.refresh_from_db()
    assert held.status == Hold.Status.OPEN
    assert wallet_of(owner).held == 1


def test_fractions_of_a_fen_add_up_before_they_are_rounded(owner: User) -> None:
    """240 frames at 0.0037 yuan are 0.888; rounded frame by frame they would be nothing."""
    price = Decimal("0.0037")
    held = hold(owner, str(up_to_fen(240 * price)))
    bill = settle_hold(hold=held, charges=frames(240, "0.0037"), description="job")
    assert bill is not None
    assert bill.amount == Decimal("0.89")
    assert bill.lines.get().amount == Decimal("0.888")


@pytest.mark.parametrize("count", [1, 7, 133, 239, 240])
def test_a_hold_covers_every_part_of_its_job(owner: User, count: int) -> None:
    price = Decimal("0.0037")
    held = hold(owner, str(up_to_fen(240 * price)))
    settle_hold(hold=held, charges=frames(count, "0.0037"), description="job")
    assert violations() == []


def refused(statement: str, *arguments: Any) -> None:
    """The statement, and its commit, are refused by PostgreSQL."""
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        assert cursor.rowcount != 0, "nothing was tried"
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


INSERT = """INSERT INTO billing_ledgerentry (id, created_at, updated_at, wallet_id, sequence, kind, amount, held_delta,
            gift_delta, balance_after, held_after, gift_after, key, description)
            SELECT gen_random_uuid(), now(), now(), id, sequence + %s, %s, %s, %s, 0, balance + %s, held + %s, gift,
                   'x', '' FROM billing_wallet WHERE id = %s"""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_ledgerentry SET amount = amount + 1",
        "UPDATE billing_ledgerentry SET description = 'other'",
        "DELETE FROM billing_ledgerentry",
        "UPDATE billing_wallet SET balance = balance + 1",
        "UPDATE billing_wallet SET balance = -1",
        "UPDATE billing_wallet SET held = held + 1",
        "UPDATE billing_wallet SET held = -1",
        "UPDATE billing_wallet SET sequence = sequence + 1",
        "DELETE FROM billing_hold",
        "UPDATE billing_hold SET amount = amount + 1",
        "UPDATE billing_hold SET captured = amount + 1",
        "UPDATE billing_hold SET status = 'closed'",
        "UPDATE billing_hold SET captured = 1",
        "UPDATE billing_hold SET status = 'closed', closed_at = now(), released = amount",
    ],
)
def test_postgresql_refuses(owner: User, statement: str) -> None:
    hold(owner, "10")
    refused(statement)
    assert violations() == []


@pytest.mark.parametrize(
    ("step", "kind", "amount", "held", "balance_step", "held_step"),
    [
        (1, "recharge", 5, 0, 5, 0),  # follows, but the wallet does not know of it
        (2, "recharge", 5, 0, 5, 0),  # leaves a gap
        (0, "recharge", 5, 0, 5, 0),  # takes a number twice
        (1, "recharge", 5, 0, 6, 0),  # adds up wrongly
        (1, "hold", 0, 5, 0, 6),
        (1, "recharge", -5, 0, -5, 0),  # wrong sign
        (1, "consume", 5, 0, 5, 0),
        (1, "release", 0, 5, 0, 5),
    ],
)
def test_postgresql_refuses_an_entry_by_hand(
    owner: User, step: int, kind: str, amount: int, held: int, balance_step: int, held_step: int
) -> None:
    refused(INSERT, step, kind, amount, held, balance_step, held_step, wallet_of(owner).pk)
    assert violations() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: LedgerEntry.objects.filter(pk=entry.pk).update(amount=1),
        lambda entry: entry.delete(),
        lambda entry: Wallet.objects.filter(pk=entry.wallet_id).delete(),
    ],
)
def test_the_orm_cannot_rewrite_history(owner: User, change: Callable[[LedgerEntry], object]) -> None:
    entry = LedgerEntry.objects.filter(wallet__user=owner).latest("sequence")
    with pytest.raises(DatabaseError), transaction.atomic():
        change(entry)


def refuses_to_truncate(tables: str) -> None:
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what waits for the commit would refuse, too
        cursor.execute("SET LOCAL yuntu.allow_truncate = off")
        cursor.execute(f"TRUNCATE {tables}")


def test_the_ledger_cannot_be_truncated(owner: User) -> None:
    refuses_to_truncate("billing_ledgerentry CASCADE")


@pytest.fixture
def settled(owner: User) -> Hold:
    """A closed hold with its bill."""
    held = hold(owner, "10")
    settle_hold(hold=held, charges=frames(3), description="job")
    return held


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_bill SET amount = amount + 1",
        "DELETE FROM billing_billline",
        "UPDATE billing_billline SET quantity = 1",
        "UPDATE billing_hold SET status = 'open', closed_at = NULL, released = 0",
        "UPDATE billing_hold SET key = 'other'",
        "DELETE FROM billing_bill",
    ],
)
def test_what_is_settled_stays_as_it_is(settled: Hold, statement: str) -> None:
    refused(statement)
    assert violations() == []


@pytest.mark.parametrize(
    "tables", ["billing_hold, rendering_renderjob CASCADE", "billing_bill CASCADE", "billing_billline"]
)
def test_evidence_cannot_be_truncated(settled: Hold, tables: str) -> None:
    refuses_to_truncate(tables)


def test_a_bill_by_hand_must_be_what_was_captured(owner: User) -> None:
    open_hold = hold(owner, "10")
    with pytest.raises(DatabaseError, match="not what its hold captured"), transaction.atomic():
        Bill.objects.create(wallet=open_hold.wallet, hold=open_hold, task_id=new_id(), amount=Decimal(1))
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
