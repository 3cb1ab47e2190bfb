"""Columns that several lists of the back office share."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

STATUS = _("status")


class Colours(dict[Any, str]):
    """Colours by value; any other value is grey. (The skin would show such a value without a label.)"""

    def __missing__(self, value: Any) -> str:
        return "default"


def choice_column(
    name: str, colours: Mapping[Any, str], *, description: Any = STATUS
) -> Callable[[Any, Any], tuple[Any, str]]:
    """A column that shows the choice in the field `name` as a label in its colour."""

    @display(description=description, ordering=name, label=Colours(colours))
    def column(page: Any, row: Any) -> tuple[Any, str]:
        return getattr(row, name), getattr(row, f"get_{name}_display")()

    return column
