"""CSV for spreadsheets in Chinese: UTF-8 with a byte order mark, and no text that would be taken for a formula."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.periods import SHANGHAI
from common.exports import BYTE_ORDER_MARK, harmless


def cell(value: Any) -> str:
    """Text as text, times in Shanghai's zone, amounts without superfluous zeros beyond the fen."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, int):
        return str(value)
    return str(harmless(value))


def number(amount: Decimal) -> str:
    """At least two places, at most six."""
    whole, _point, places = f"{amount:.6f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def csv_blocks(header: Iterable[Any], batches: Iterable[Iterable[Iterable[Any]]]) -> Iterator[bytes]:
    """The file, a block for each batch of rows."""
    buffer = io.StringIO()
    buffer.write(BYTE_ORDER_MARK)
    writer = csv.writer(buffer)
    writer.writerow(str(title) for title in header)
    for rows in batches:
        writer.writerows([cell(value) for value in row] for row in rows)
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    if rest := buffer.getvalue():
        yield rest.encode()
