"""Frame ranges: OpenJD's range expressions (openjd-model, IntRangeExpr), e.g. `1-100`, `1-100:5`, `1,5,10-20`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.conf import settings

from rendering.errors import FrameRangeInvalid, FrameRangeTooLong

if TYPE_CHECKING:
    from openjd.model import IntRangeExpr

MAX_NUMBER = 1_000_000
MAX_LENGTH = 2000


def expressions() -> type[IntRangeExpr]:
    """Loaded when first needed: it takes 12 MB, and most processes read no range."""
    from openjd.model import IntRangeExpr

    return IntRangeExpr


def parse(expression: str, *, field: str = "frames") -> list[int]:
    """The frame numbers of `expression`, ascending.

    Raises FrameRangeInvalid (empty, reversed, negative, overlapping, not an expression) and FrameRangeTooLong.
    """
    try:
        # Checked by its length before it is unrolled: a short text can name a billion frames.
        found = expressions().from_str(expression)
        count = len(found)
    except Exception as error:  # openjd raises several unrelated types for a text that is no range
        raise FrameRangeInvalid(field=field) from error
    if count > settings.RENDER_MAX_FRAMES:
        raise FrameRangeTooLong(field=field, limit=settings.RENDER_MAX_FRAMES)
    numbers = sorted(found)
    if not numbers or numbers[0] < 0 or numbers[-1] > MAX_NUMBER:
        raise FrameRangeInvalid(field=field)
    return numbers


def expression(start: int | None, end: int | None, step: int = 1) -> str:
    """The expression for start, end and step as the old clients send them. Raises FrameRangeInvalid."""
    if start is None or end is None:
        raise FrameRangeInvalid(field="start_frame" if start is None else "end_frame")
    if start < 0 or step < 1:
        raise FrameRangeInvalid(field="start_frame" if start < 0 else "frame_step")
    if end < start:
        raise FrameRangeInvalid(field="end_frame")
    if start == end:
        return str(start)
    return f"{start}-{end}:{step}" if step != 1 else f"{start}-{end}"


def joined(text: str, numbers: Iterable[int]) -> str:
    """The expression for the numbers of `text` and these. Raises FrameRangeInvalid where it would be too long."""
    found = str(expressions().from_list(sorted({*parse(text), *numbers})))
    if len(found) > MAX_LENGTH:
        raise FrameRangeInvalid(field="frames")
    return found


def bounds(text: str) -> tuple[int, int, int]:
    """First and last number of a valid expression, and its step (1 where it has more than one part)."""
    found = expressions().from_str(text)
    step = int(text.rpartition(":")[2]) if ":" in text and "," not in text else 1
    return found.start, found.end, abs(step)


def compact(numbers: list[int], *, limit: int = 20) -> str:
    """Ascending numbers for people, `1-3, 7`; no more than `limit` spans of them, the rest as `…`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in spans[:limit]]
    return ", ".join([*texts, "…"] if len(spans) > limit else texts)
