"""Bytes to clients: ranges, validators, file names (RFC 9110, RFC 6266)."""

import asyncio
import mimetypes
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import content_disposition_header, http_date, parse_http_date_safe
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from common.errors import DomainError, NotVisible
from common.middleware import error_response
from drives.errors import RangeNotSatisfiable
from drives.links import MIN_SECONDS, read_link
from drives.models import Blob
from drives.services.shares import require_given
from drives.services.traffic import CountedFile, counted_async
from drives.storage import blob_storage

BLOCK = 1 << 20
# Types that a browser may show under our origin; anything else is only ever downloaded.
INLINE_TYPES = (
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "video/mp4",
    "text/plain",
    "application/pdf",
)


@method_decorator(csrf_exempt, name="dispatch")
class LinkView(View):
    """GET or HEAD of a signed link. Nothing else is done with one, whoever is signed in; errors are the API's."""

    http_method_names = ["get", "head", "options"]

    def http_method_not_allowed(self, request: HttpRequest, *_args: Any, **_options: Any) -> HttpResponse:
        refusal = error_response(request, 405)
        refusal["Allow"] = "GET, HEAD, OPTIONS"
        return refusal


class BlobLinkView(LinkView):
    """Of a link to a blob."""

    def get(self, request: HttpRequest, token: str, name: str) -> HttpResponseBase:
        try:
            link = read_link(token, name)
            seconds = link.seconds
            if link.share_id:
                require_given(share_id=link.share_id, now=timezone.now())
                # A bucket's own link cannot be taken back; whoever goes on after it ends comes by here again.
                seconds = min(seconds, MIN_SECONDS)
            blob = Blob.objects.filter(pk=link.blob_id).first()
            if blob is None:
                raise NotVisible
        except DomainError as error:
            return JsonResponse(error.body(), status=error.status)
        return serve_blob(request, blob, name, inline=link.inline, seconds=seconds, drive_id=link.drive_id)


def serve_blob(
    request: HttpRequest,
    blob: Blob,
    name: str,
    *,
    inline: bool,
    seconds: int,
    modified_at: datetime | None = None,
    drive_id: UUID | None = None,
) -> HttpResponseBase:
    """The answer to GET or HEAD: 200, 206, 304 or 416. nginx sends the bytes where it is in front.

    Raises FileNotFoundError, StorageError for bytes that are lost.

    Where they lie in a bucket it is 302, to a link of the bucket's own that is good for `seconds`; with 0 it is us
    who pass them on. `modified_at` is what the client is told where that is not the age of the blob. What is sent from
    here counts as traffic of `drive_id`.
    """
    etag, modified = f'"{blob.sha256 or blob.pk.hex}"', modified_at or blob.created_at
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Last-Modified": http_date(modified.timestamp()),
        "Cache-Control": "private, max-age=3600",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    if not_modified(request, etag, modified):
        return HttpResponse(status=304, headers=headers)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    shown = inline and kind in INLINE_TYPES
    disposition = content_disposition_header(not shown, name) or "attachment"
    if seconds and (link := link_of_bucket(request, blob, seconds, kind, disposition)):
        return HttpResponseRedirect(link, headers={"Cache-Control": "no-store"})
    wanted = byte_range(request, blob.size, etag, modified)
    if wanted is None:
        return beyond_the_end(blob.size, headers)
    headers["Content-Disposition"] = disposition
    # Before anything is answered: bytes that are lost are a 500, neither a 200 that breaks off nor what nginx finds.
    blob_storage().require_whole(blob.storage_key, blob.size)
    if settings.ACCEL_REDIRECT_PREFIX:
        target = f"{settings.ACCEL_REDIRECT_PREFIX.rstrip('/')}/{blob.storage_key}"
        return HttpResponse(content_type=kind, headers={**headers, "X-Accel-Redirect": target})
    return sent_from_here(request, blob, wanted, kind, headers, drive_id)


def link_of_bucket(request: HttpRequest, blob: Blob, seconds: int, kind: str, disposition: str) -> str | None:
    """The storage's own link to the blob, good for `seconds`; None where blobs lie on the file system."""
    return blob_storage().link(
        blob.storage_key,
        seconds=seconds,
        content_type=kind,
        disposition=disposition,
        method=request.method or "GET",
    )


def sent_from_here(
    request: HttpRequest,
    blob: Blob,
    wanted: tuple[int, int, bool],
    kind: str,
    headers: dict[str, str],
    drive_id: UUID | None,
) -> HttpResponseBase:
    """The wanted bytes, sent by this process and counted as traffic of `drive_id`."""
    first, last, partial = wanted
    length = last - first + 1
    headers["Content-Length"] = str(length)
    if partial:
        headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
    status = 206 if partial else 200
    if request.method == "HEAD" or not blob.size:
        return HttpResponse(status=status, content_type=kind, headers=headers)
    file = blob_storage().open_blob(blob.storage_key, first)
    # What nginx had buffered would count as sent.
    headers["X-Accel-Buffering"] = "no"
    # Under ASGI a plain iterator would be read into memory whole before the first byte is sent.
    if isinstance(request, ASGIRequest):
        body = counted_async(read_async(file, length), drive_id, length)
        return StreamingHttpResponse(body, status=status, content_type=kind, headers=headers)
    counted_file = CountedFile(file, drive_id, first, last + 1)
    response = FileResponse(counted_file, status=status, content_type=kind, headers=headers)
    response.block_size = BLOCK  # where gunicorn cannot have the kernel send it
    return response


def beyond_the_end(size: int, headers: dict[str, str]) -> JsonResponse:
    """The answer to a range that begins behind the last byte."""
    error = RangeNotSatisfiable(size=size)
    headers = {**headers, "Content-Range": f"bytes */{size}"}
    return JsonResponse(error.body(), status=error.status, headers=headers)


def read(file: BinaryIO, left: int) -> Iterator[bytes]:
    with file:
        while left and (block := file.read(min(BLOCK, left))):
            left -= len(block)
            yield block


async def read_async(file: BinaryIO, left: int) -> AsyncIterator[bytes]:
    with file:
        while left and (block := await asyncio.to_thread(file.read, min(BLOCK, left))):
            left -= len(block)
            yield block


def not_modified(request: HttpRequest, etag: str, modified: datetime | None) -> bool:
    if match := request.headers.get("If-None-Match"):
        return match.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in match.split(",")]
    if modified is None:
        return False
    since = parse_http_date_safe(request.headers.get("If-Modified-Since", ""))
    return since is not None and int(modified.timestamp()) <= since


def byte_range(
    request: HttpRequest, size: int, etag: str, modified: datetime | None
) -> tuple[int, int, bool] | None:
    """First and last byte to send and whether that answers a range; None where it cannot be satisfied.

    Only GET knows ranges, and a list of them is answered with the whole, as RFC 9110 §14.2 has it.
    """
    whole = (0, size - 1, False)
    found = re.fullmatch(
        r"bytes=(\d{0,19})-(\d{0,19})", request.headers.get("Range", "").strip(), re.IGNORECASE
    )
    if request.method != "GET" or found is None or found.groups() == ("", ""):
        return whole
    condition = request.headers.get("If-Range")
    dated = modified and parse_http_date_safe(condition or "") == int(modified.timestamp())
    if condition and condition != etag and not dated:
        return whole
    start, end = found.groups()
    if not start:
        length = min(int(end), size)
        return (size - length, size - 1, True) if length else None
    if end and int(end) < int(start):
        return whole
    if int(start) >= size:
        return None
    return int(start), min(int(end), size - 1) if end else size - 1, True
