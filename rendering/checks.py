"""System checks of rendering: settings that name engines."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from rendering.engines import ENGINES


@register()
def engines_are_known(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """RENDER_ENGINES may name only engines that exist. Engines that simulate have a setting of their own, as the text
    says.
    """
    found: list[CheckMessage] = []
    known = sorted(name for name, engine in ENGINES.items() if not engine.is_simulated)
    if unknown := sorted(set(settings.RENDER_ENGINES) - {*known, "simulated"}):
        message = f"RENDER_ENGINES names {', '.join(unknown)}; there are {', '.join(known)}."
        found.append(Error(message, id="rendering.E001"))
    patterns = (*settings.MAYA_LOCATIONS, *settings.MAYA_RENDERER_DESCRIPTIONS, *settings.ARNOLD_LOCATIONS)
    if relative := [pattern for pattern in patterns if not pattern.startswith("/")]:
        message = f"Places of engines are absolute paths, which {', '.join(relative)} are not."
        found.append(Error(message, id="rendering.E002"))
    if settings.SIMULATED_ENGINE and not settings.EMBEDDED_PROFILE:
        message = "SIMULATED_ENGINE offers an engine that renders nothing, and its frames are charged."
        found.append(Warning(message, id="rendering.W001"))
    return found
