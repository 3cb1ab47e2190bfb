"""What was charged, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.models.base import MoneyField
from billing.models.holds import Hold
from billing.models.wallets import LedgerEntry, OwnedQuerySet, Wallet
from common.models import Row

if TYPE_CHECKING:
    from uuid import UUID


class Bill(Row):
    """What was charged, in whole fen: all that a job's hold captured, or one consumption without a hold.

    Jobs lie above billing, so `task_id` is plain.
    """

    class Kind(models.TextChoices):
        JOB = "job", _("Render task")
        MEMBERSHIP = "membership", _("Membership")
        STORAGE = "storage", _("Storage")
        TRAFFIC = "traffic", _("Traffic")

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="bills", verbose_name=_("wallet"))
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices, default=Kind.JOB)
    hold = models.OneToOneField(
        Hold, models.PROTECT, null=True, blank=True, related_name="bill", verbose_name=_("hold")
    )
    entry = models.OneToOneField(
        LedgerEntry,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="bill",
        verbose_name=_("ledger entry"),
    )
    task_id: UUID | None = models.UUIDField(  # type: ignore[assignment]
        _("render task"), null=True, blank=True, db_index=True
    )
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=2)
    description = models.CharField(_("description"), max_length=500, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("bill")
        verbose_name_plural = _("bills")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="billing_bill_amount_positive"),
            models.CheckConstraint(
                condition=Q(hold__isnull=False, entry__isnull=True)
                | Q(hold__isnull=True, entry__isnull=False),
                name="billing_bill_one_source",
            ),
        ]
        indexes = [models.Index(fields=["wallet", "-created_at"], name="billing_bill_newest")]

    def __str__(self) -> str:
        return f"{self.amount:.2f} {self.description}"


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
