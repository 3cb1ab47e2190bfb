"""Files that are written while they are sent."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header
from rest_framework.request import Request


def streamed(request: Request, blocks: Iterator[bytes], name: str) -> StreamingHttpResponse:
    """A CSV to be saved under `name`."""
    body: AsyncIterator[bytes] | Iterator[bytes] = blocks
    if isinstance(request._request, ASGIRequest):
        # Under ASGI a plain iterator would be read into memory whole before the first byte is sent.
        body = in_thread(blocks)
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
