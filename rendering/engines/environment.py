"""Variables of this process that the programs of others need: their licence servers."""

import os

from django.conf import settings


def passed_on() -> dict[str, str]:
    """The variables that ENGINE_VARIABLES names, if this process has them. Nothing else of its environment reaches a
    scene.
    """
    return {name: os.environ[name] for name in settings.ENGINE_VARIABLES if name in os.environ}
