"""One JSON parser: UTF-8 objects; camelCase keys of the desktop client become snake_case."""

import json
import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from common.renderers import is_desktop_client


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match.group(1).lower(), name)


def from_desktop(value: Any) -> Any:
    """`value` with snake_case keys; the client's empty texts for unset values become null."""
    if isinstance(value, list):
        return [from_desktop(item) for item in value]
    if isinstance(value, dict):
        return {snake(key): from_desktop(item) for key, item in value.items() if item != ""}
    return value


def refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class ApiJsonParser(JSONParser):
    """JSON as RFC 8259 has it: no NaN, no NUL in texts (PostgreSQL cannot store it), an object at the top."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        request = (parser_context or {}).get("request")
        raw = stream.read()
        if not raw.strip():
            return {}
        try:
            data = json.loads(raw.decode("utf-8"), parse_constant=refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ParseError(_("The body is not valid JSON.")) from error
        if not isinstance(data, dict):
            raise ParseError(_("The body must be a JSON object."))
        return from_desktop(data) if is_desktop_client(request) else data
