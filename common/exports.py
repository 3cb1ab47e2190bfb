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
"""Without it spreadsheets take Chinese for another alphabet."""


def harmless(value: object) -> object:
    """`value` as it may stand in a cell: text that a spreadsheet would run as a formula is text there, too."""
    if isinstance(value, int | float | Decimal):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def stream_csv(
    request: HttpRequest, *, name: str, header: Sequence[str], rows: QuerySet, cells: Callable[[Any], list]
) -> StreamingHttpResponse:
    """`rows` as a file `name`, the newest first, in statements of BATCH rows each."""
    # Under ASGI a plain iterator would be read into memory whole before the first byte is sent.
    reader = lines_async if isinstance(request, ASGIRequest) else lines
    body = reader(header, rows, cells)
    disposition = content_disposition_header(True, name) or "attachment"
    headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
    return StreamingHttpResponse(body, content_type="text/csv; charset=utf-8", headers=headers)


def lines(header: Sequence[str], rows: QuerySet, cells: Callable[[Any], list]) -> Iterator[str]:
    yield BYTE_ORDER_MARK + text_of([header])
    last = None
    while batch := batch_after(rows, last):
        last = batch[-1].pk
        yield text_of([cells(row) for row in batch])


async def lines_async(
    header: Sequence[str], rows: QuerySet, cells: Callable[[Any], list]
) -> AsyncIterator[str]:
    reader = lines(header, rows, cells)
    read: Any = sync_to_async(next)
    while (block := await read(reader, None)) is not None:
        yield block


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
    """What the list shows of `row` in the column `name`, as plain text or as a number."""
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
