"""One renderer, whatever a client accepts: snake_case, and camelCase with its own status numbers for desktop clients.

The desktop client (`User-Agent: YuntuClient/…`) reads camelCase keys, ids named after their object, and counts
render statuses with an extra Uploading = 1 in between (wire contract §0.2, §2.2).
"""

import re
from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

DESKTOP_AGENT = "YuntuClient/"


def is_desktop_client(request: Any) -> bool:
    return bool(request) and request.META.get("HTTP_USER_AGENT", "").startswith(DESKTOP_AGENT)


def camel(name: str) -> str:
    """camelCase of a field's name; a key that is no such name (a path in a mapping) stays as it is."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return name
    return re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), name)


def desktop_status(number: int) -> int:
    """Our status as the desktop client counts it: one more from Pending on."""
    return number + 1 if number >= 1 else number


def for_desktop(value: Any) -> Any:
    """`value` with camelCase keys; a user's and a task's `id` also stands under the name the client reads."""
    if isinstance(value, list | tuple):
        return [for_desktop(item) for item in value]
    if not isinstance(value, dict):
        return value
    answer = {camel(key) if isinstance(key, str) else key: for_desktop(item) for key, item in value.items()}
    status = value.get("status")
    if isinstance(status, int) and not isinstance(status, bool):
        answer["status"] = desktop_status(status)
    for named, alias in (("username", "userId"), ("task_name", "taskId")):
        if "id" in value and named in value:
            answer[alias] = value["id"]
    return answer


class ApiRenderer(JSONRenderer):
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        if data is not None and is_desktop_client((renderer_context or {}).get("request")):
            data = for_desktop(data)
        result: bytes = super().render(data)
        return result


class OnlyOne(DefaultContentNegotiation):
    """Where a view has one renderer, that is what is answered: there is nothing to find out."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first, *others = renderers
        if others:
            return super().select_renderer(request, [first, *others], format_suffix)
        return first, first.media_type
