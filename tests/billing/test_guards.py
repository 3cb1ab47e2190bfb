"""Invariants of money that only PostgreSQL's own guards hold: whoever writes, and however consistently."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from billing.channels.base import Refund, RefundState
from billing.models import LedgerEntry
from billing.services.credits import credit
from billing.services.gifts import give
from billing.services.holds import place_hold
from billing.services.ledger import post_entry, wallet_of
from billing.services.receivables import charge_back
from billing.services.refunds import register_refund, take_refund_in
from common.errors import Invalid
from common.ids import new_id
from tests.billing.audit import violations
from tests.billing.history import without_triggers
from tests.billing.paying import recharged

# Wallet and entry changed together, so that they agree with each other.
TOGETHER = """
WITH moved AS (
  UPDATE billing_wallet SET balance = balance + %(balance)s, held = held + %(held)s, sequence = sequence + %(step)s
   WHERE id = %(wallet)s RETURNING *
)
INSERT INTO billing_ledgerentry (id, created_at, updated_at, wallet_id, sequence, kind, amount, held_delta,
                                 gift_delta, balance_after, held_after, gift_after, key, description)
SELECT gen_random_uuid(), now(), now(), id, sequence, %(kind)s, %(amount)s, %(held_delta)s, 0, balance, held, gift, 'x',
       ''
  FROM moved
"""


def together(user: User, **changes: Any) -> None:
    values = {"balance": 5, "held": 0, "step": 1, "kind": "recharge", "amount": 5, "held_delta": 0, **changes}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TOGETHER, {**values, "wallet": wallet_of(user).pk})
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_wallet_and_entry_together_may_be_written(owner: User) -> None:
    together(owner)
    assert wallet_of(owner).balance == 105
    assert violations() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 2},  # leaves a gap
        {"balance": 6},  # the entry tells less than was moved
        {"amount": 4},
        {"held": 1},
        {"kind": "hold", "amount": 0, "balance": 0, "held": 5, "held_delta": 5},  # held, but for no hold
        {"kind": "consume", "amount": -101, "balance": -101},  # more than there is
    ],
)
def test_what_agrees_with_itself_but_not_with_history(owner: User, changes: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        together(owner, **changes)
    assert wallet_of(owner).balance == 100
    assert violations() == []


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "10000000.01", "NaN", "Infinity"])
def test_a_credit_is_more_than_nothing_in_whole_fen(owner: User, amount: str) -> None:
    with pytest.raises(Invalid):
        credit(user=owner, amount=Decimal(amount), key="k", reason="r")
    assert wallet_of(owner).balance == 100


@pytest.mark.parametrize("reason", ["", "   ", "r" * 501])
def test_a_credit_has_a_reason(owner: User, reason: str) -> None:
    with pytest.raises(Invalid):
        credit(user=owner, amount=Decimal(1), key="k", reason=reason)


@pytest.mark.parametrize(
    "act",
    [
        lambda user: post_entry(
            wallet=wallet_of(user), kind=LedgerEntry.Kind.RECHARGE, amount=Decimal("0.0000001"), key="k"
        ),
        lambda user: place_hold(
            wallet=wallet_of(user), amount=Decimal("1.0000001"), key="k", task_id=new_id(), description="job"
        ),
    ],
)
def test_money_has_six_places(owner: User, act: Callable[[User], object]) -> None:
    with pytest.raises(ValueError, match="six decimal places"):
        act(owner)
    assert violations() == []


@pytest.mark.parametrize(
    ("check", "table", "statement"),
    [
        ("orders", "billing_rechargeorder", "UPDATE billing_rechargeorder SET amount = amount + 1"),
        ("orders", "billing_rechargeorder",
         "UPDATE billing_rechargeorder SET status = 'closed', entry_id = NULL, paid_at = NULL"),
        ("orders", "billing_ledgerentry", "UPDATE billing_ledgerentry SET key = 'order:2' WHERE key = 'g'"),
        ("withdrawals", "billing_refundorder", "UPDATE billing_refundorder SET amount = amount - 1"),
        ("withdrawals", "billing_refundorder", "UPDATE billing_refundorder SET status = 'failed'"),
        ("chargebacks", "billing_receivable", "UPDATE billing_receivable SET collected = 0, settled_at = NULL"),
        ("chargebacks", "billing_ledgerentry", "UPDATE billing_ledgerentry SET key = 'x' WHERE kind = 'chargeback'"),
    ],
)  # fmt: skip
def test_the_audit_finds_what_came_and_went_by_channels(
    owner: User, check: str, table: str, statement: str
) -> None:
    give(wallet=wallet_of(owner), amount=Decimal(1), key="g", description="g")
    order = recharged(owner, "20")
    refund = register_refund(order=order, amount=Decimal(5), key="r", reason="asked for", actor=owner)
    take_refund_in(Refund("wechat", refund.refund_no, RefundState.SUCCEEDED, Decimal(5)))
    charge_back(order=order, amount=Decimal(2), key="c", reason="claimed", actor=owner)
    assert violations() == []
    with without_triggers(table), connection.cursor() as cursor:
        cursor.execute(statement)
    assert violations() == [check]
