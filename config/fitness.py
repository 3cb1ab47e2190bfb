"""Every serving process runs the system checks at its start; Django does so in management commands only."""

from django.conf import settings
from django.core.management.base import BaseCommand, SystemCheckError


def refuse_unfit() -> None:
    """In production: end the process where a system check finds an error, and say what is wrong."""
    if settings.EMBEDDED_PROFILE:
        return
    try:
        BaseCommand().check()
    except SystemCheckError as error:
        raise SystemExit(str(error)) from error
