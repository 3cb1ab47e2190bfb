"""What clients must know before they do anything. Each app adds its part, so that no app has to know the others."""

from collections.abc import Callable
from typing import Any

Part = Callable[[], dict[str, Any]]
parts: list[Part] = []


def register(part: Part) -> None:
    """Add the answer of `part` to GET /config/client. Called once, when the app is ready."""
    parts.append(part)


def collected() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in parts:
        found |= part()
    return found
