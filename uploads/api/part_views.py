"""The quickest way in for a part: the body is the part, nothing of it is parsed."""

import base64
import binascii
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from common.bodies import arriving, heard_out
from common.errors import Invalid
from common.views import VisibleViewSet
from drives.errors import DigestMismatch, SizeMismatch
from uploads.api import serializers as shapes
from uploads.api.refusals import IN_PARTS
from uploads.errors import PartNumberInvalid, StorageFailed
from uploads.models import TaskFile
from uploads.selectors import percentage
from uploads.services import files

BYTES = "application/octet-stream"
# What is asked of a file that receives; a request for every 5 MiB should not load all of five tables.
NEEDED = (
    "task", "md5", "file_size", "part_size", "upload_id", "storage_key", "status", "task__status", "task__paused_at",
    "task__user", "task__user__id", "task__drive", "task__drive__user", "task__drive__is_active",
)  # fmt: skip


def declared_md5(request: Request) -> str:
    """The Content-MD5 header (RFC 1864) in hex; empty where there is none. Raises Invalid."""
    text = request.headers.get("Content-MD5", "")
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        digest = b"?"
    if len(digest) not in (0, 16):
        raise Invalid(field="Content-MD5", source="header")
    return digest.hex()


@extend_schema(tags=["upload-tasks"])
class PartViewSet(VisibleViewSet):
    """Parts of a file, as bodies of requests."""

    model = TaskFile
    lookup_url_kwarg = "file_id"
    open_to_guests = ("put_part",)
    refusals = {
        "put_part": (*IN_PARTS, PartNumberInvalid, SizeMismatch, DigestMismatch, StorageFailed),
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        mine = rows.filter(task=self.kwargs["task_id"])
        return mine.select_related("task__user", "task__drive").only(*NEEDED)

    @extend_schema(
        parameters=[OpenApiParameter("Content-MD5", OpenApiTypes.STR, OpenApiParameter.HEADER)],
        request={BYTES: OpenApiTypes.BINARY},
        responses=shapes.PartResultSerializer,
    )
    def put_part(self, request: Request, task_id: UUID, file_id: UUID, number: int) -> Response:
        """Send part `number` (from 1) as the body, in any order and as often as need be.

        Where `Content-MD5` declares its digest, the part is held to it and its ETag is the MD5; otherwise the CRC-32.
        """
        if request.content_type != BYTES:
            raise UnsupportedMediaType(request.content_type or "")
        blocks = arriving(request._request)
        with heard_out(blocks):
            task_file = self.get_object()
            part = files.receive_part(
                task_file=task_file,
                number=number,
                chunks=blocks,
                md5=declared_md5(request),
                with_md5=False,
            )
        return Response(part_state(task_file, number, part.etag))


def part_state(task_file: TaskFile, index: int, etag: str) -> dict[str, Any]:
    """What is answered to a part, which the client has called `index`."""
    received = task_file.parts.count()
    return {
        "chunk_index": index,
        "etag": etag,
        "chunk_etag": etag,
        "uploaded_chunks": received,
        "total_chunks": task_file.total_parts,
        "progress_percentage": percentage(received, task_file.total_parts),
    }
