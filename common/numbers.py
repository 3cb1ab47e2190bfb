"""Numbers on read-only pages: decimals with two places, or more where these are not zero; sizes in units."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django.contrib.admin import display
from django.db.models import DecimalField, Field, FloatField, Model, PositiveBigIntegerField
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat


def shown(value: Decimal | float) -> Decimal | float:
    """`149.500000` as `149.50`, `0.712500` as `0.7125`; a float with two places."""
    if isinstance(value, float):
        return round(value, 2)
    places = -int(value.normalize().as_tuple().exponent)
    return value.quantize(Decimal(1).scaleb(-max(places, 2)))


def is_size(field: Field) -> bool:
    """Whether a field counts bytes: 64 bits, and a name that says so."""
    return isinstance(field, PositiveBigIntegerField) and field.name.endswith("size")


def column_of(field: Field) -> Callable[[Any], Decimal | float | str | None]:
    @display(description=field.verbose_name)
    def column(row: Model) -> Decimal | float | str | None:
        value = getattr(row, field.name)
        if value is None:
            return None
        return filesizeformat(value) if is_size(field) else shown(value)

    return column


class PlainNumbers:
    """An admin page that shows each decimal and each size of its model by a computed field, `shown_<name>`."""

    model: type[Model]

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.replaced: dict[str, str] = {}
        for field in self.model._meta.concrete_fields:
            if isinstance(field, DecimalField | FloatField) or is_size(field):
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
