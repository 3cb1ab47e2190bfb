"""System checks of uploads."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from uploads.selectors import MAX_PART_SIZE

MIN_PART_SIZE = 2**20
FORM_SIZE = 2**20  # what a form adds to its file, generously


@register()
def sizes_fit_each_other(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Limits that contradict each other would otherwise show only in the middle of an upload."""
    found: list[CheckMessage] = []
    if not MIN_PART_SIZE <= settings.UPLOAD_PART_SIZE <= MAX_PART_SIZE:
        found.append(Error("UPLOAD_PART_SIZE must be between 1 and 64 MiB.", id="yuntu.E030"))
    if max(settings.UPLOAD_DIRECT_MAX_SIZE, MAX_PART_SIZE) + FORM_SIZE > settings.MAX_BODY:
        found.append(
            Error(
                "MAX_BODY must be 1 MiB more than UPLOAD_DIRECT_MAX_SIZE, and than parts of 64 MiB.",
                id="yuntu.E031",
            )
        )
    endings = [*settings.UPLOAD_ACCEPTED_TYPES, *settings.UPLOAD_REFUSED_TYPES]
    if any(not ending.startswith(".") or ending != ending.lower() for ending in endings):
        found.append(
            Error(
                "UPLOAD_ACCEPTED_TYPES and UPLOAD_REFUSED_TYPES hold endings in lower case, with their dot.",
                id="yuntu.E032",
            )
        )
    return found
