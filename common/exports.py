"""Lists of the back office as CSV, for spreadsheets."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import ObjectDoesNotExist
from django.core.handlers.asgi import ASGIRequest
from django.db.models import Model, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.html import strip_tags
from django.utils.http import content_disposition_header

BATCH = 2000
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
BYTE_ORDER_MARK = "\ufeff"
"""Without it spreadsheets do not take the file for UTF-8."""


def harmless(value: object) -> object:
    """`value` for a cell: text that a spreadsheet would run as a formula is marked as text."""
    if isinstance(value, int | float | Decimal):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def stream_csv(
    request: HttpRequest, *, name: str, header: Sequence[str], rows: QuerySet, cells: Callable[[Any], list]
) -> StreamingHttpResponse:
    """`rows` as a file called `name`, newest first, read in batches of BATCH rows."""
    return streamed(request, lines(header, rows, cells), name)


def streamed(request: HttpRequest, blocks: Iterator[bytes], name: str) -> StreamingHttpResponse:
    """A CSV file called `name`, sent while it is written."""
    # Under ASGI a plain iterator would be read into memory whole before the first byte is sent.
    body = in_thread(blocks) if isinstance(request, ASGIRequest) else blocks
    headers = {
        "Content-Disposition": content_disposition_header(True, name) or "attachment",
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Accel-Buffering": "no",
    }
    return StreamingHttpResponse(body, content_type="text/csv; charset=utf-8", headers=headers)


async def in_thread(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    # In the thread of the request, whose connection to the database it is.
    following = sync_to_async(lambda: next(blocks, None), thread_sensitive=True)
    while (block := await following()) is not None:
        yield block


def lines(header: Sequence[str], rows: QuerySet, cells: Callable[[Any], list]) -> Iterator[bytes]:
    yield (BYTE_ORDER_MARK + text_of([header])).encode()
    last = None
    while batch := batch_after(rows, last):
        last = batch[-1].pk
        yield text_of([cells(row) for row in batch]).encode()


def batch_after(rows: QuerySet, last: Any) -> list[Any]:
    older = rows if last is None else rows.filter(pk__lt=last)
    return list(older.order_by("-pk")[:BATCH])


def text_of(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([[harmless(cell) for cell in row] for row in rows])
    return text.getvalue()


def heading(name: str, page: Any) -> str:
    return str(label_for_field(name, page.model, page))


def cell(name: str, row: Model, page: Any) -> object:
    """What the list's column `name` shows for `row`, as plain text or as a number."""
    try:
        field, attribute, value = lookup_field(name, row, page)
    except ObjectDoesNotExist:
        return ""
    if field is not None and getattr(field, "choices", None):
        value = getattr(row, f"get_{field.name}_display")()
    elif field is not None and field.remote_field:
        value = getattr(row, field.name)
    if getattr(attribute, "label", None) and isinstance(value, tuple):
        value = value[-1]  # its colour, its text
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, int | float | Decimal):
        return "" if value is None else value
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple):
        value = " ".join(str(part) for part in value if part)
    return strip_tags(str(value))
