"""Reads of rendering."""

from typing import Any

from billing.errors import NoPrice
from billing.services.prices import price_of
from rendering.engines import is_offered
from rendering.models import RenderNode


def offered_engines() -> dict[str, list[str]]:
    """Engines that nodes in service have and the settings offer, with their versions."""
    found: dict[str, set[str]] = {}
    enabled = RenderNode.objects.filter(state=RenderNode.State.ENABLED)
    for engines in enabled.values_list("engines", flat=True):
        for name, versions in engines.items():
            if is_offered(name):
                found.setdefault(name, set()).update(versions)
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def client_config() -> dict[str, Any]:
    """Engines that can be asked for, with what a frame of each costs; null where there is no price yet."""
    engines = []
    for name, versions in offered_engines().items():
        try:
            rule = price_of(engine=name)
            price = {"price_per_frame": rule.price, "currency": rule.currency}
        except NoPrice:
            price = {"price_per_frame": None, "currency": None}
        engines.append({"name": name, "versions": versions, **price})
    return {"engines": engines}
