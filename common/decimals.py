"""Decimals on pages that are only read: with two places, and more only where they say something."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django.contrib.admin import display
from django.db.models import DecimalField, Field, FloatField, Model
from django.http import HttpRequest


def shown(value: Decimal | float) -> Decimal | float:
    """`149.500000` as `149.50`, `0.712500` as `0.7125`; of a float its first two places."""
    if isinstance(value, float):
        return round(value, 2)
    places = -int(value.normalize().as_tuple().exponent)
    return value.quantize(Decimal(1).scaleb(-max(places, 2)))


def column_of(field: Field) -> Callable[[Any], Decimal | float | None]:
    @display(description=field.verbose_name)
    def column(row: Model) -> Decimal | float | None:
        value = getattr(row, field.name)
        return None if value is None else shown(value)

    return column


class PlainDecimals:
    """A page that shows each decimal column of its model by another one, `shown_<name>`."""

    model: type[Model]

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.replaced: dict[str, str] = {}
        for field in self.model._meta.concrete_fields:
            if isinstance(field, DecimalField | FloatField):
                other = self.replaced[field.name] = f"shown_{field.name}"
                if not hasattr(self, other):
                    setattr(self, other, column_of(field))

    def plain(self, names: Sequence[Any]) -> list[Any]:
        return [
            self.plain(name) if isinstance(name, list | tuple) else self.replaced.get(name, name)
            for name in names
        ]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return self.plain(super().get_list_display(request))  # type: ignore[misc]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.plain(super().get_readonly_fields(request, obj))  # type: ignore[misc]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [
            (title, {**options, "fields": self.plain(options["fields"])})
            for title, options in super().get_fieldsets(request, obj)  # type: ignore[misc]
        ]
