"""What things cost."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.models.base import Currency, MoneyField
from common.models import Row


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
