"""What things cost."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Max, Q
from django.utils.translation import gettext_lazy as _

from billing.models.base import Currency, MoneyField
from common.models import Row


class MultiplierField(models.DecimalField):
    """A factor of the price."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 6)
        kwargs.setdefault("decimal_places", 3)
        kwargs.setdefault("default", Decimal(1))
        kwargs.setdefault("validators", [MinValueValidator(Decimal("0.1")), MaxValueValidator(Decimal(100))])
        super().__init__(*args, **kwargs)


class PriceRuleQuerySet(models.QuerySet["PriceRule"]):
    def in_force(self, *, now: datetime, units: tuple[str, ...], engine: str = "") -> PriceRuleQuerySet:
        """Rules in CNY for these units of the engine at `now`, the most particular and newest first."""
        return (
            self.filter(
                Q(engine=engine) | Q(engine=""), unit__in=units, currency=Currency.CNY, valid_from__lte=now
            )
            .filter(Q(valid_to__isnull=True) | Q(valid_to__gt=now))
            .order_by("-engine", "-valid_from", "-pk")
        )


class PriceRule(Row):
    """What a unit costs, for one engine or (engine empty) for all, and what a job's priority makes of it.

    Rendering is paid by the unit of the rule in force: by frames, or by the hours that it took. A core-hour is 3,600
    CPU seconds of runs that rendered, a node-hour 3,600 seconds of them on the wall. A GB has 2^30 bytes.
    """

    class Unit(models.TextChoices):
        FRAME = "frame", _("frame")
        CORE_HOUR = "core_hour", _("core-hour")
        NODE_HOUR = "node_hour", _("node-hour")
        STORAGE = "storage_gb_day", _("GB-day of storage")
        TRAFFIC = "traffic_gb", _("GB of traffic")

    RENDERING = (Unit.FRAME, Unit.CORE_HOUR, Unit.NODE_HOUR)
    METERED = (Unit.CORE_HOUR, Unit.NODE_HOUR)

    engine = models.CharField(_("engine"), max_length=20, blank=True)
    unit = models.CharField(_("unit"), max_length=20, choices=Unit.choices, default=Unit.FRAME)
    price = MoneyField(_("price"))
    currency = models.CharField(_("currency"), max_length=10, choices=Currency.choices, default=Currency.CNY)
    low_multiplier = MultiplierField(_("multiplier at low priority"))
    high_multiplier = MultiplierField(_("multiplier at high priority"))
    urgent_multiplier = MultiplierField(_("multiplier at urgent priority"))
    valid_from = models.DateTimeField(_("valid from"))
    valid_to = models.DateTimeField(_("valid to"), null=True, blank=True)
    version = models.PositiveIntegerField(_("version"), default=0, editable=False)

    objects = PriceRuleQuerySet.as_manager()

    class Meta:
        verbose_name = _("price rule")
        verbose_name_plural = _("price rules")
        constraints = [
            models.CheckConstraint(condition=Q(price__gte=0), name="billing_pricerule_price_not_negative"),
            models.CheckConstraint(
                condition=Q(low_multiplier__gt=0, high_multiplier__gt=0, urgent_multiplier__gt=0),
                name="billing_pricerule_multipliers_positive",
            ),
            models.CheckConstraint(
                condition=Q(engine="") | ~Q(unit__in=["storage_gb_day", "traffic_gb"]),
                name="billing_pricerule_engine_renders",
            ),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=models.F("valid_from")),
                name="billing_pricerule_lasts",
            ),
            models.UniqueConstraint(
                fields=["engine", "unit", "currency", "version"], name="billing_pricerule_version"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.engine or '*'} {self.get_unit_display()} {self.price.normalize():f} {self.currency}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new rule has the next version of its engine, unit and currency."""
        if self._state.adding and not self.version:
            alike = PriceRule.objects.filter(engine=self.engine, unit=self.unit, currency=self.currency)
            self.version = (alike.aggregate(last=Max("version"))["last"] or 0) + 1
        super().save(*args, **kwargs)

    def multiplier(self, priority: int) -> Decimal:
        """What a job's priority (0 low to 3 urgent) makes of the price."""
        return (self.low_multiplier, Decimal(1), self.high_multiplier, self.urgent_multiplier)[priority]
