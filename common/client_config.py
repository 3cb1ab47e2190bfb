"""What clients have to know before they do anything: each app adds its part, so that none has to know the others."""

from collections.abc import Callable
from typing import Any

Part = Callable[[], dict[str, Any]]
parts: list[Part] = []


def register(part: Part) -> None:
    """Add what `part` answers to GET /config/client; called once, when the app is ready."""
    parts.append(part)


def collected() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in parts:
        found |= part()
    return found
