"""XML in requests, which strangers write: what cannot be harmless is refused before anybody walks through it."""

import io
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse
from wsgidav.dav_error import HTTP_BAD_REQUEST, DAVError

from common.errors import TooLarge

MAX_SIZE = 2**14
MAX_ELEMENTS, MAX_DEPTH = 200, 20
"""Each property that is asked for is answered for each of thousands of files; deep nests exhaust the stack."""


def whole(read: Callable[[int], bytes]) -> bytes:
    """A body of XML. Raises TooLarge; DAVError where it breaks off."""
    found = b""
    try:
        while block := read(MAX_SIZE):
            found += block
            if len(found) > MAX_SIZE:
                raise TooLarge
    except OSError as error:
        raise DAVError(HTTP_BAD_REQUEST) from error
    return found


def parsed(body: bytes) -> Element | None:
    """The root of a document; None for an empty body. Raises DAVError for anything else, and for entities."""
    if not body.strip():
        return None
    root: Any = None
    depth = count = 0
    try:
        for event, element in iterparse(io.BytesIO(body), events=("start", "end"), forbid_dtd=True):
            root = element if root is None else root
            depth += 1 if event == "start" else -1
            count += event == "start"
            if depth > MAX_DEPTH or count > MAX_ELEMENTS:
                raise DAVError(HTTP_BAD_REQUEST, "The document is too large.")
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise DAVError(HTTP_BAD_REQUEST, "The document cannot be read.") from error
    found: Element = root
    return found
