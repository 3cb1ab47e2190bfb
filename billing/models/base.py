"""What the money models share: currencies, amounts, owners."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class Currency(models.TextChoices):
    CNY = "CNY", _("yuan")
    POINTS = "POINTS", _("points")


class Priority(models.IntegerChoices):
    """The urgency of a job. Its price depends on it, and plans limit it."""

    LOW = 0, _("Low")
    NORMAL = 1, _("Normal")
    HIGH = 2, _("High")
    URGENT = 3, _("Urgent")


class MoneyField(models.DecimalField):
    """A decimal with six places, up to a trillion."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 18)
        kwargs.setdefault("decimal_places", 6)
        super().__init__(*args, **kwargs)
