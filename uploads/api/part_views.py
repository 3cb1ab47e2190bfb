"""The fastest door for a part: the body is the part, and nothing of it is parsed."""

import base64
import binascii
from functools import partial
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from common.bodies import arriving, heard_out
from common.errors import Invalid
from drives.errors import DigestMismatch, SizeMismatch
from uploads.api import serializers as shapes
from uploads.api.refusals import IN_PARTS
from uploads.api.task_files import BYTES, FileOfTask, part_state
from uploads.errors import PartNumberInvalid, StorageFailed
from uploads.services import files


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
class PartViewSet(FileOfTask):
    """Parts of a file, as bodies of requests."""

    open_to_guests = ("put_part",)
    refusals = {
        "put_part": (*IN_PARTS, PartNumberInvalid, SizeMismatch, DigestMismatch, StorageFailed),
    }

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
        with heard_out(request._request):
            task_file = self.task_file()
            part = files.receive_part(
                task_file=task_file,
                number=number,
                source=partial(arriving, request._request),
                md5=declared_md5(request),
                with_md5=False,
            )
        return Response(part_state(task_file, number, part))
