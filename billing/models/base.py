"""What the money models share: currencies, amounts, and whose money it is."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class Currency(models.TextChoices):
    CNY = "CNY", _("yuan")
    POINTS = "POINTS", _("points")


class MoneyField(models.DecimalField):
    """A decimal with six places, up to a trillion."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 18)
        kwargs.setdefault("decimal_places", 6)
        super().__init__(*args, **kwargs)
