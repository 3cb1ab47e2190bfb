"""GET and HEAD of links to ZIPs, which are made as they are read: ranges, validators, constant memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header

from common.errors import DomainError
from drives.api.downloads import LinkView, beyond_the_end, byte_range, not_modified
from drives.links import read_zip_link
from drives.services.archives import find_archive, zip_of
from drives.services.shares import require_given
from drives.services.traffic import counted, counted_async
from drives.zips import Zip


class ZipLinkView(LinkView):
    """Of a link to a ZIP of a folder or a selection."""

    def get(self, request: HttpRequest, token: str, name: str) -> HttpResponseBase:
        try:
            now = timezone.now()
            archive = find_archive(archive_id=read_zip_link(token, name), now=now)
            if archive.share_id:
                require_given(share_id=archive.share_id, now=now, entry_ids=archive.entry_ids)
            found = zip_of(archive.entry_ids, archive.drive_id)
        except DomainError as error:
            return JsonResponse(error.body(), status=error.status)
        return serve_zip(request, found, name, etag=archive.etag, drive_id=archive.drive_id)


def serve_zip(
    request: HttpRequest, found: Zip, name: str, *, etag: str, drive_id: UUID | None = None
) -> HttpResponseBase:
    """The answer to GET or HEAD: 200, 206, 304 or 416. `etag` is that of the ZIP when its link was made.

    Where the files have changed since, a range is answered by the whole, unless If-Range names what they are now: a
    client that goes on without asking (`curl -C -`) would put the halves of two archives together.
    """
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{found.etag}"',
        "Cache-Control": "private, no-cache",
        "X-Accel-Buffering": "no",  # nginx would spool a gigabyte of it to the disk
        "X-Content-Type-Options": "nosniff",
    }
    if not_modified(request, headers["ETag"], None):
        return HttpResponse(status=304, headers=headers)
    wanted = byte_range(request, found.size, headers["ETag"], None)
    if found.etag != etag and "If-Range" not in request.headers:
        wanted = (0, found.size - 1, False)
    if wanted is None:
        return beyond_the_end(found.size, headers)
    first, last, partial = wanted
    headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    headers["Content-Length"] = str(last - first + 1)
    if partial:
        headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
    status = 206 if partial else 200
    if request.method == "HEAD":
        return HttpResponse(status=status, content_type="application/zip", headers=headers)
    # Under ASGI a plain iterator would be read into memory whole before the first byte is sent.
    blocks, length = found.read(first, last + 1), last - first + 1
    body: AsyncIterator[bytes] | Iterator[bytes]
    if isinstance(request, ASGIRequest):
        body = counted_async(in_threads(blocks), drive_id, length)
    else:
        body = counted(blocks, drive_id, length)
    return StreamingHttpResponse(body, status=status, content_type="application/zip", headers=headers)


async def in_threads(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block
