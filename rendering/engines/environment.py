"""Variables of this process that the programs of others need: their licence servers."""

import os

from django.conf import settings


def passed_on() -> dict[str, str]:
    """Those that ENGINE_VARIABLES names and this process has; nothing else of its environment reaches a scene."""
    return {name: os.environ[name] for name in settings.ENGINE_VARIABLES if name in os.environ}
