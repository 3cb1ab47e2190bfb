"""Every process that serves asks the system checks first; Django itself asks them in management commands alone."""

from django.conf import settings
from django.core.management.base import BaseCommand, SystemCheckError


def refuse_unfit() -> None:
    """End the process where a system check finds an error in production, saying what is wrong."""
    if settings.EMBEDDED_PROFILE:
        return
    try:
        BaseCommand().check()
    except SystemCheckError as error:
        raise SystemExit(str(error)) from error
