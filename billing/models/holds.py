"""Money set aside."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.base import MoneyField
from billing.models.wallets import OwnedQuerySet, Wallet
from common.models import Row

if TYPE_CHECKING:
    from uuid import UUID


class Hold(Row):
    """Money set aside: open → closed. captured + released never passes amount, and it closes once."""

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        CLOSED = "closed", _("Closed")

    class Purpose(models.TextChoices):
        JOB = "job", _("Render task")
        WITHDRAWAL = "withdrawal", _("Paying back")

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="holds", verbose_name=_("wallet"))
    purpose = models.CharField(_("purpose"), max_length=12, choices=Purpose.choices, default=Purpose.JOB)
    spender = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("spent by"),
    )
    amount = MoneyField(_("amount"))
    captured = MoneyField(_("captured"), default=Decimal(0))
    released = MoneyField(_("released"), default=Decimal(0))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.OPEN)
    key = models.CharField(_("idempotency key"), max_length=100)
    task_id: UUID | None = models.UUIDField(  # type: ignore[assignment]
        _("render task"), null=True, blank=True, db_index=True
    )
    # Jobs lie above: what of them is asked for afterwards stands here.
    engine = models.CharField(_("engine"), max_length=20, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

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
        return f"{self.amount:.2f} {self.get_status_display()}"

    @property
    def rest(self) -> Decimal:
        return self.amount - self.captured - self.released
