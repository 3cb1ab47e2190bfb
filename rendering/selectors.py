"""Reads of rendering."""

from django.conf import settings

from rendering.models import RenderNode


def offered_engines() -> dict[str, list[str]]:
    """Engines that an enabled node has and the settings offer, with their versions."""
    found: dict[str, set[str]] = {}
    for engines in RenderNode.objects.filter(is_enabled=True).values_list("engines", flat=True):
        for name, version in engines.items():
            if name in settings.RENDER_ENGINES:
                found.setdefault(name, set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items())}
