"""Money under random sequences: a model in Python says what a wallet must hold, PostgreSQL what it does hold."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from billing.errors import HoldExceeded, InsufficientBalance
from billing.models import Bill, Hold, LedgerEntry
from billing.services.bills import Charge, charge_now
from billing.services.gifts import expire_gifts, give
from billing.services.holds import capture_hold, close, extend_hold, lock_hold, place_hold, settle_hold
from billing.services.ledger import post_entry, to_fen, wallet_of
from common.ids import new_id
from tests.billing.audit import violations
from tests.factories import make_user

Kind = LedgerEntry.Kind
AMOUNTS = st.decimals("0.01", "80", places=2)
PRICES = st.decimals("0.000001", "3", places=6)
PICKS = st.integers(0, 1000)
KEYS = st.integers(0, 5)
"""Few, so that they are used again."""


class Purse(RuleBasedStateMachine):
    """One wallet; `paid`, `lots` and `open` are what it must hold by the rules as docs/billing.md has them."""

    def __init__(self) -> None:
        super().__init__()
        self.user = make_user(money="0")
        self.wallet = wallet_of(self.user)
        self.paid = self.wallet.paid
        self.lots: list[list[Any]] = [[None, self.wallet.gift]] if self.wallet.gift else []
        self.open: dict[Any, list[Decimal]] = {}
        self.used: dict[str, Decimal] = {}
        self.jobs: dict[Any, Hold] = {}

    @property
    def gift(self) -> Decimal:
        return sum((lot[1] for lot in self.lots), Decimal(0))

    @property
    def held(self) -> Decimal:
        return sum((amount - captured for amount, captured in self.open.values()), Decimal(0))

    @property
    def available(self) -> Decimal:
        return self.paid + self.gift - self.held

    def burn(self, amount: Decimal) -> None:
        for lot in sorted(self.lots, key=lambda lot: (lot[0] is None, lot[0] or timezone.now())):
            burnt = min(lot[1], amount)
            lot[1] -= burnt
            amount -= burnt
        self.paid -= amount

    def pick(self, number: int) -> Hold | None:
        return list(self.jobs.values())[number % len(self.jobs)] if self.jobs else None

    @rule(amount=AMOUNTS, number=KEYS)
    def recharge(self, amount: Decimal, number: int) -> None:
        """The same key with the same amount is the same recharge."""
        key = f"paid:{number}:{amount}"
        post_entry(wallet=self.wallet, kind=Kind.RECHARGE, amount=amount, key=key)
        if key not in self.used:
            self.paid += amount
        self.used[key] = amount

    @rule(amount=AMOUNTS, days=st.sampled_from([None, 1, 5, 30]))
    def gift_arrives(self, amount: Decimal, days: int | None) -> None:
        expires_at = timezone.now() + timedelta(days=days) if days else None
        give(wallet=self.wallet, amount=amount, key=str(new_id()), description="g", expires_at=expires_at)
        self.lots.append([expires_at, amount])

    @rule(price=PRICES, units=st.integers(0, 60))
    def charged(self, price: Decimal, units: int) -> None:
        due = to_fen(price * units)
        charges = [Charge("u", Decimal(units), price)]
        named: dict[str, Any] = {
            "wallet": self.wallet,
            "kind": Bill.Kind.STORAGE,
            "charges": charges,
            "description": "s",
        }
        if due > self.available:
            with pytest.raises(InsufficientBalance):
                charge_now(**named, key=str(new_id()))
            return
        bill = charge_now(**named, key=str(new_id()))
        assert (bill.amount if bill else 0) == due
        self.burn(due)

    @rule(amount=AMOUNTS)
    def withdrawn(self, amount: Decimal) -> None:
        if amount > min(self.available, self.paid):
            with pytest.raises(InsufficientBalance):
                post_entry(wallet=self.wallet, kind=Kind.WITHDRAWAL, amount=-amount, key=str(new_id()))
            return
        post_entry(wallet=self.wallet, kind=Kind.WITHDRAWAL, amount=-amount, key=str(new_id()))
        self.paid -= amount

    @rule(amount=AMOUNTS)
    def held_for_a_job(self, amount: Decimal) -> None:
        named: dict[str, Any] = {
            "wallet": self.wallet,
            "amount": amount,
            "task_id": new_id(),
            "description": "j",
        }
        if amount > self.available:
            with pytest.raises(InsufficientBalance):
                place_hold(**named, key=str(new_id()))
            return
        hold = place_hold(**named, key=str(new_id()))
        self.open[hold.pk], self.jobs[hold.pk] = [amount, Decimal(0)], hold

    @rule(number=PICKS, amount=AMOUNTS)
    def extended(self, number: int, amount: Decimal) -> None:
        hold = self.pick(number)
        if hold is None:
            return
        if hold.pk not in self.open:
            with pytest.raises(ValueError, match="closed"):
                extend_hold(hold=hold, amount=amount, key=str(new_id()), description="j")
        elif amount > self.available:
            with pytest.raises(InsufficientBalance):
                extend_hold(hold=hold, amount=amount, key=str(new_id()), description="j")
        else:
            extend_hold(hold=hold, amount=amount, key=str(new_id()), description="j")
            self.open[hold.pk][0] += amount

    @rule(number=PICKS, total=AMOUNTS)
    def captured(self, number: int, total: Decimal) -> None:
        hold = self.pick(number)
        if hold is None or hold.pk not in self.open:
            return
        amount, captured = self.open[hold.pk]
        if not captured <= total <= amount:
            with pytest.raises(HoldExceeded):
                capture_hold(hold=hold, total=total, description="j")
            return
        capture_hold(hold=hold, total=total, description="j")
        self.burn(total - captured)
        self.open[hold.pk][1] = total

    @rule(number=PICKS, price=PRICES, units=st.integers(0, 60))
    def settled(self, number: int, price: Decimal, units: int) -> None:
        hold = self.pick(number)
        if hold is None:
            return
        charges = [Charge("f", Decimal(units), price)]
        if hold.pk not in self.open:  # once settled, it stays so
            settle_hold(hold=hold, charges=charges, description="j")
            return
        amount, captured = self.open[hold.pk]
        due = to_fen(price * units)
        if not captured <= due <= amount:
            with pytest.raises(HoldExceeded):
                settle_hold(hold=hold, charges=charges, description="j")
            return
        bill = settle_hold(hold=hold, charges=charges, description="j")
        assert (bill.amount if bill else 0) == due
        self.burn(due - captured)
        del self.open[hold.pk]

    @rule(days=st.sampled_from([2, 10]))
    def expired(self, days: int) -> None:
        now = timezone.now() + timedelta(days=days)
        expire_gifts(now=now)
        for lot in sorted((lot for lot in self.lots if lot[0] and lot[0] <= now), key=lambda lot: lot[0]):
            lot[1] -= min(lot[1], self.available)

    @invariant()
    def wallet_is_what_it_must_be(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        self.wallet.refresh_from_db()
        found = (self.wallet.balance, self.wallet.held, self.wallet.gift)
        assert found == (self.paid + self.gift, self.held, self.gift)

    def teardown(self) -> None:
        assert violations() == []


@pytest.mark.django_db
def test_a_wallet_is_what_its_history_makes_it() -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    quiet = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(Purse, settings=quiet)


@pytest.mark.django_db
def test_a_withdrawal_closes_its_hold_without_a_bill() -> None:
    user = make_user(money="100")
    hold = place_hold(
        wallet=wallet_of(user), amount=Decimal(30), key="w", description="w", purpose=Hold.Purpose.WITHDRAWAL
    )
    close(lock_hold(hold), Decimal(30), "w")
    assert LedgerEntry.objects.get(kind=Kind.WITHDRAWAL).amount == -30
    assert Bill.objects.count() == 0
    assert violations() == []
