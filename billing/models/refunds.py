"""What was given back of a bill."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from billing.models.bills import Bill
from billing.models.wallets import LedgerEntry
from common.models import Row


class Refund(Row):
    """A part of a bill that an operator gave back, by one entry; together never more than the bill (trigger)."""

    bill = models.ForeignKey(Bill, models.PROTECT, related_name="refunds", verbose_name=_("bill"))
    entry = models.OneToOneField(
        LedgerEntry, models.PROTECT, related_name="refund", verbose_name=_("ledger entry")
    )
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=2)
    reason = models.CharField(_("reason"), max_length=500)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("operator"),
    )

    class Meta:
        verbose_name = _("refund of a bill")
        verbose_name_plural = _("refunds of bills")
        permissions = [("refund_bill", gettext_noop("Can give back what a bill took"))]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="billing_refund_amount_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.amount:.2f} {self.reason}"
