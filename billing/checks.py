"""System checks of billing: operators learn which settings a payment channel lacks."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from billing.channels import NEEDED, offered


@register()
def channels_are_configured(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A channel has all of its settings or none, its key files exist, and it knows the address at which we take
    notices.
    """
    if settings.EMBEDDED_PROFILE:
        return []
    found: list[CheckMessage] = []
    for name, needed in NEEDED.items():
        missing = [each for each in needed if not getattr(settings, each)]
        given = [each for each in needed if getattr(settings, each) and not each.endswith("_URL")]
        if given and missing:
            found.append(Error(f"{name} needs {', '.join(missing)}.", id="yuntu.E015"))
        for each in given:
            if each.endswith("_KEY") and "V3" not in each and not Path(getattr(settings, each)).is_file():
                found.append(Error(f"{each} must be the path of a PEM file.", id="yuntu.E012"))
    if offered() and not settings.PUBLIC_URL.startswith("https://"):
        found.append(
            Error(
                "PUBLIC_URL must be an https address: payment channels send notices there.", id="yuntu.E013"
            )
        )
    return found
