"""GET of a signed link to an archive: a ZIP made as it is read, in constant memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.views import View

from common.errors import DomainError, NotVisible
from drives.models import File
from drives.storage import blob_storage
from uploads.archives import Archive, Member, member_names
from uploads.errors import NotVerifiedYet
from uploads.links import task_of_link
from uploads.models import UploadTask
from uploads.selectors import downloadable, path_of


class ArchiveLinkView(View):
    """GET or HEAD of a signed link."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, token: str, name: str) -> HttpResponseBase:
        try:
            archive = archive_of(task_of_link(token, name))
        except DomainError as error:
            return JsonResponse(error.body(), status=error.status)
        headers = {
            "Content-Disposition": content_disposition_header(True, name) or "attachment",
            "Content-Length": str(archive.size),
            "Cache-Control": "private, no-store",
            "X-Accel-Buffering": "no",  # nginx would spool a gigabyte of it to the disk
            "X-Content-Type-Options": "nosniff",
        }
        if request.method == "HEAD":
            return HttpResponse(content_type="application/zip", headers=headers)
        # Under ASGI a plain iterator would be read into memory whole before the first byte is sent.
        body: AsyncIterator[bytes] | Iterator[bytes] = archive.chunks()
        if isinstance(request, ASGIRequest):
            body = in_threads(archive.chunks())
        return StreamingHttpResponse(body, content_type="application/zip", headers=headers)


def archive_of(task_id: UUID) -> Archive:
    """All files of a task that are there, at their paths in the drive. Raises NotVisible, NotVerifiedYet."""
    task = UploadTask.objects.filter(pk=task_id).first()
    found = downloadable(task) if task else []
    if not found:
        raise NotVisible
    names = member_names([path_of(row) for row, _file in found])
    return Archive([member(name, file) for name, (_row, file) in zip(names, found, strict=True)])


def member(name: str, file: File) -> Member:
    if file.blob.crc32 is None:  # content that went straight to the storage and was not read by us yet
        raise NotVerifiedYet
    content = partial(blob_storage().open_blob, file.blob.storage_key)
    return Member(name, file.size, file.blob.crc32, file.updated_at, content)


async def in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk
