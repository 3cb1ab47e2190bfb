"""One JSON parser: UTF-8 objects; camelCase keys of the desktop client become snake_case."""

import json
import math
import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from common.errors import Invalid
from common.renderers import is_desktop_client

MAX_DEPTH = 32
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def snake(name: str) -> str:
    """snake_case of a field's name; a key that is no such name (a path in a mapping) stays as it is."""
    if not re.fullmatch(r"[a-z][A-Za-z0-9]*", name):
        return name
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match.group(1).lower(), name)


def from_desktop(value: Any) -> Any:
    """`value` with snake_case keys; the client's empty texts stand for unset values and are left out."""
    if isinstance(value, list):
        return [from_desktop(item) for item in value]
    if isinstance(value, dict):
        return {snake(key): from_desktop(item) for key, item in value.items() if item != ""}
    return value


def finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number of JSON")
    return number


def strict_json(text: str) -> Any:
    """`text` as RFC 8259 defines it: no NaN, no number beyond a double. Raises ValueError or RecursionError."""
    return json.loads(text, parse_constant=finite, parse_float=finite)


def is_storable(value: Any, depth: int = 1) -> bool:
    """Whether jsonb and text can hold `value`: no NUL, no half surrogate pair, nested to MAX_DEPTH at most."""
    if isinstance(value, str):
        return not UNSTORABLE.search(value)
    if isinstance(value, dict):
        keys = all(not UNSTORABLE.search(key) for key in value)
        return depth < MAX_DEPTH and keys and all(is_storable(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return depth < MAX_DEPTH and all(is_storable(item, depth + 1) for item in value)
    return True


class ApiJsonParser(JSONParser):
    """JSON with an object at the top and nothing in it that the database cannot store."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        request = (parser_context or {}).get("request")
        raw = stream.read()
        if not raw.strip():
            return {}
        try:
            data = strict_json(raw.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise ParseError(_("The body is not valid JSON.")) from error
        if not isinstance(data, dict):
            raise ParseError(_("The body must be a JSON object."))
        # Said here for all: a free-form object has no serializer that would look into it.
        for key, value in data.items():
            if not is_storable({key: value}):
                field = key if is_storable(key) else ""
                raise Invalid(
                    _("Holds characters that are not allowed, or is nested too deeply."), field=field
                )
        return from_desktop(data) if is_desktop_client(request) else data
