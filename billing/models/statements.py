"""What moved in a wallet in a month, for its owner and their accountant."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.base import MoneyField
from billing.models.wallets import OwnedQuerySet, Wallet
from common.models import Row


class Statement(Row):
    """A month (Asia/Shanghai) of a wallet, told from its entries alone; written once, never changed (trigger).

    It covers the entries `first_sequence` to `last_sequence`, so that statements follow each other without a gap.
    opening + moved = closing; `sums` has the part of each kind of entry. A month without entries has none.
    """

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="statements", verbose_name=_("wallet"))
    month = models.DateField(_("month"))
    first_sequence = models.PositiveBigIntegerField(_("first entry"))
    last_sequence = models.PositiveBigIntegerField(_("last entry"))
    opening = MoneyField(_("opening balance"))
    moved = MoneyField(_("sum of the entries"))
    closing = MoneyField(_("closing balance"))
    opening_gift = MoneyField(_("given of the opening balance"))
    closing_gift = MoneyField(_("given of the closing balance"))
    closing_held = MoneyField(_("held at the end"))
    sums = models.JSONField(_("sums by kind"))
    mailed_at = models.DateTimeField(_("mailed at"), null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("monthly statement")
        verbose_name_plural = _("monthly statements")
        constraints = [
            models.UniqueConstraint(fields=["wallet", "month"], name="billing_statement_once"),
            models.UniqueConstraint(fields=["wallet", "first_sequence"], name="billing_statement_follows"),
            models.CheckConstraint(condition=Q(month__day=1), name="billing_statement_of_a_month"),
            models.CheckConstraint(
                condition=Q(closing=F("opening") + F("moved")), name="billing_statement_adds_up"
            ),
            models.CheckConstraint(
                condition=Q(first_sequence__gte=1, last_sequence__gte=F("first_sequence")),
                name="billing_statement_has_entries",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(mailed_at__isnull=True), name="billing_statement_unmailed"
            )
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"
