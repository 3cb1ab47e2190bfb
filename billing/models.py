"""Money: wallets, an append-only ledger, holds, prices, bills.

Amounts are Decimal with six places, because a frame can cost less than a fen; bills are whole fen. What must always
hold is held by PostgreSQL (CHECKs here, triggers in migrations/0002_ledger_guards.py).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from common.models import Row


class Currency(models.TextChoices):
    CNY = "CNY", _("yuan")
    POINTS = "POINTS", _("points")


class MoneyField(models.DecimalField):
    """A decimal with six places, up to a trillion."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 18)
        kwargs.setdefault("decimal_places", 6)
        super().__init__(*args, **kwargs)


class OwnedQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> OwnedQuerySet:
        return self.filter(wallet__user=user)


class Wallet(Row):
    """A user's money in one currency. Only billing.services.ledger writes it, always with a ledger entry."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="wallets", verbose_name=_("user")
    )
    currency = models.CharField(_("currency"), max_length=10, choices=Currency.choices, default=Currency.CNY)
    balance = MoneyField(_("balance"), default=Decimal(0))
    held = MoneyField(_("held"), default=Decimal(0))
    sequence = models.PositiveBigIntegerField(_("entries"), default=0)

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        permissions = [("credit_wallet", gettext_noop("Can credit wallets"))]
        constraints = [
            models.UniqueConstraint(fields=["user", "currency"], name="billing_wallet_one_per_currency"),
            models.CheckConstraint(condition=Q(balance__gte=0), name="billing_wallet_balance_not_negative"),
            models.CheckConstraint(
                condition=Q(held__gte=0, held__lte=F("balance")), name="billing_wallet_held_covered"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.currency}"

    @property
    @admin.display(description=_("available"))
    def available(self) -> Decimal:
        return self.balance - self.held


class LedgerEntry(Row):
    """One effect on one wallet; never changed, never deleted, not by anyone (triggers)."""

    class Kind(models.TextChoices):
        RECHARGE = "recharge", _("Recharge")
        CONSUME = "consume", _("Consumption")
        REFUND = "refund", _("Refund")
        GRANT = "grant", _("Grant")
        HOLD = "hold", _("Hold")
        RELEASE = "release", _("Release")

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="entries", verbose_name=_("wallet"))
    sequence = models.PositiveBigIntegerField(_("number"))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    amount = MoneyField(_("amount"))
    held_delta = MoneyField(_("change of held"), default=Decimal(0))
    balance_after = MoneyField(_("balance after"))
    held_after = MoneyField(_("held after"))
    key = models.CharField(_("idempotency key"), max_length=120)
    description = models.CharField(_("description"), max_length=500, blank=True)
    task_id = models.UUIDField(_("render task"), null=True, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("operator"),
    )

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        constraints = [
            models.UniqueConstraint(fields=["wallet", "sequence"], name="billing_entry_sequence"),
            models.UniqueConstraint(fields=["wallet", "key"], name="billing_entry_key"),
            models.CheckConstraint(
                condition=Q(kind__in=["recharge", "grant", "refund"], amount__gt=0, held_delta=0)
                | Q(kind="consume", amount__lt=0, held_delta__lte=0)
                | Q(kind="hold", amount=0, held_delta__gt=0)
                | Q(kind="release", amount=0, held_delta__lt=0),
                name="billing_entry_signs",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


class Hold(Row):
    """Money set aside for a job: open → closed. captured + released never passes amount, and it closes once."""

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        CLOSED = "closed", _("Closed")

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="holds", verbose_name=_("wallet"))
    amount = MoneyField(_("amount"))
    captured = MoneyField(_("captured"), default=Decimal(0))
    released = MoneyField(_("released"), default=Decimal(0))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.OPEN)
    key = models.CharField(_("idempotency key"), max_length=100)
    task_id = models.UUIDField(_("render task"), db_index=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.UniqueConstraint(fields=["wallet", "key"], name="billing_hold_key"),
            models.CheckConstraint(
                condition=Q(amount__gt=0, captured__gte=0, released__gte=0)
                & Q(amount__gte=F("captured") + F("released")),
                name="billing_hold_not_exceeded",
            ),
            models.CheckConstraint(
                condition=Q(status="open", closed_at__isnull=True, released=0)
                | Q(status="closed", closed_at__isnull=False, amount=F("captured") + F("released")),
                name="billing_hold_closed_whole",
            ),
        ]
        indexes = [
            models.Index(fields=["wallet"], condition=Q(status="open"), name="billing_hold_open"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.status}"

    @property
    def rest(self) -> Decimal:
        return self.amount - self.captured - self.released


class PriceRuleQuerySet(models.QuerySet["PriceRule"]):
    def in_force(self, *, engine: str, now: datetime) -> PriceRuleQuerySet:
        """Rules for the engine at `now`, the most particular and newest first."""
        return (
            self.filter(Q(engine=engine) | Q(engine=""), valid_from__lte=now)
            .filter(Q(valid_to__isnull=True) | Q(valid_to__gt=now))
            .order_by("-engine", "-valid_from", "-pk")
        )


class PriceRule(Row):
    """What a unit costs, for one engine or (engine empty) for all."""

    class Unit(models.TextChoices):
        FRAME = "frame", _("frame")

    engine = models.CharField(_("engine"), max_length=20, blank=True)
    unit = models.CharField(_("unit"), max_length=20, choices=Unit.choices, default=Unit.FRAME)
    price = MoneyField(_("price"))
    currency = models.CharField(_("currency"), max_length=10, choices=Currency.choices, default=Currency.CNY)
    valid_from = models.DateTimeField(_("valid from"))
    valid_to = models.DateTimeField(_("valid to"), null=True, blank=True)

    objects = PriceRuleQuerySet.as_manager()

    class Meta:
        verbose_name = _("price rule")
        verbose_name_plural = _("price rules")
        constraints = [
            models.CheckConstraint(condition=Q(price__gte=0), name="billing_pricerule_price_not_negative")
        ]

    def __str__(self) -> str:
        return f"{self.price} {self.currency}/{self.unit} {self.engine or '*'}"


class Bill(Row):
    """What a job cost, in whole fen; its total is what was captured. Jobs lie above billing: `task_id` is plain."""

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="bills", verbose_name=_("wallet"))
    hold = models.OneToOneField(Hold, models.PROTECT, related_name="bill", verbose_name=_("hold"))
    task_id = models.UUIDField(_("render task"), db_index=True)
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=2)
    description = models.CharField(_("description"), max_length=500, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("bill")
        verbose_name_plural = _("bills")
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="billing_bill_amount_positive")]

    def __str__(self) -> str:
        return f"{self.amount} {self.description}"


class BillLine(Row):
    """quantity × unit_price, exact; a bill's amount is the sum of its lines rounded to the fen."""

    bill = models.ForeignKey(Bill, models.PROTECT, related_name="lines", verbose_name=_("bill"))
    description = models.CharField(_("description"), max_length=500)
    quantity = models.DecimalField(_("quantity"), max_digits=18, decimal_places=6)
    unit_price = MoneyField(_("unit price"))
    amount = MoneyField(_("amount"))

    class Meta:
        verbose_name = _("bill line")
        verbose_name_plural = _("bill lines")

    def __str__(self) -> str:
        return self.description
