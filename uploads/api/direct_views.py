"""Doors of files that go straight into the bucket: /upload-tasks/{task_id}/files/{file_id}/direct."""

import time
from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.serializers import DoneSerializer
from common.views import done
from drives.errors import DigestMismatch, DriveReadOnly, NameTaken, SizeMismatch
from drives.links import MAX_SECONDS, MIN_SECONDS
from uploads import errors
from uploads.api import serializers as shapes
from uploads.api.task_files import FileOfTask, upload_result
from uploads.models import TaskFile
from uploads.services import direct, files

MAX_LINKS = 1000
OTHER_WAYS = (errors.NotSupported, errors.SentInParts, errors.SentInOrder)
CLOSED = (errors.UploadClosed, DriveReadOnly)
NOT_STARTED = (errors.MultipartNotStarted, *OTHER_WAYS)


class PartNumbersSerializer(serializers.Serializer):
    """Numbers count from 1; `expires_in` in seconds."""

    part_numbers = serializers.ListField(child=serializers.IntegerField(), min_length=1, max_length=MAX_LINKS)
    expires_in = serializers.IntegerField(required=False, min_value=MIN_SECONDS, max_value=MAX_SECONDS)


class PartLinkSerializer(serializers.Serializer):
    """PUT exactly `size` bytes to `url`, with `headers` and no Content-Type."""

    part_number = serializers.IntegerField()
    size = serializers.IntegerField()
    url = serializers.CharField()
    headers = serializers.DictField(child=serializers.CharField())


class PartLinksSerializer(serializers.Serializer):
    urls = PartLinkSerializer(many=True)
    expires_in = serializers.IntegerField()


class SentPartSerializer(serializers.Serializer):
    part_number = serializers.IntegerField()
    size = serializers.IntegerField()
    etag = serializers.CharField(allow_blank=True, help_text="Empty once the parts are put together.")


class DirectUploadSerializer(serializers.Serializer):
    """`chunk_size` in bytes; the last part is shorter. `parts` are those that the bucket has."""

    task_file_id = serializers.UUIDField()
    upload_id = serializers.CharField()
    chunk_size = serializers.IntegerField()
    total_chunks = serializers.IntegerField()
    uploaded_chunks = serializers.ListField(child=serializers.IntegerField())
    parts = SentPartSerializer(many=True)


@extend_schema(
    tags=["upload-tasks"],
    parameters=[
        OpenApiParameter("task_id", OpenApiTypes.UUID, "path"),
        OpenApiParameter("file_id", OpenApiTypes.UUID, "path"),
    ],
)
class DirectUploadViewSet(FileOfTask):
    """A file of a task that its client puts into the bucket itself, in parts."""

    open_to_guests = ("init", "urls", "complete", "abort")
    refusals = {
        "init": (
            *CLOSED, *OTHER_WAYS, errors.UploadPaused, errors.FileEmpty, SizeMismatch, errors.UploadInterrupted,
            errors.StorageFailed,
        ),
        "urls": (*CLOSED, *NOT_STARTED, errors.UploadPaused, errors.PartNumberInvalid),
        "parts": (*CLOSED, *NOT_STARTED, errors.UploadInterrupted, errors.StorageFailed),
        "complete": (
            *CLOSED, *NOT_STARTED, errors.UploadPaused, errors.PartsMissing, errors.UploadInterrupted, NameTaken,
            SizeMismatch, DigestMismatch, errors.StorageFailed,
        ),
        "abort": (),
    }  # fmt: skip

    def state(self, row: TaskFile) -> Response:
        parts = direct.sent_parts(task_file=row)
        body: dict[str, Any] = {
            "task_file_id": row.pk,
            "upload_id": row.upload_id,
            "chunk_size": row.part_size,
            "total_chunks": row.total_parts,
            "uploaded_chunks": [part.number for part in parts],
            "parts": [
                {"part_number": part.number, "size": part.size, "etag": part.etag.strip('"')}
                for part in parts
            ],
        }
        return Response(body)

    @extend_schema(request=None, responses=DirectUploadSerializer)
    def init(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Begin to send a file straight into the bucket, or find the open upload with the parts that are there.

        409 `not_supported` where the storage of this platform is no bucket.
        """
        return self.state(direct.start_direct(task_file=self.task_file()))

    @extend_schema(request=PartNumbersSerializer, responses=PartLinksSerializer)
    def urls(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Signed addresses that take up to 1,000 parts by PUT; each works until it expires or the upload ends."""
        asked = self.valid(PartNumbersSerializer, request)
        seconds = asked.get("expires_in", settings.DOWNLOAD_LINK_SECONDS)
        row = self.task_file()
        links = direct.part_links(task_file=row, numbers=asked["part_numbers"], seconds=seconds)
        urls = [
            {
                "part_number": number,
                "size": row.size_of_part(number),
                "url": link.url,
                "headers": link.headers,
            }
            for number, link in links
        ]
        return Response({"urls": urls, "expires_in": seconds})

    @extend_schema(responses=DirectUploadSerializer)
    def parts(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """The parts that the bucket has, for a client that comes back."""
        return self.state(self.task_file())

    @extend_schema(request=shapes.CompleteSerializer, responses=shapes.UploadResultSerializer)
    def complete(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Have the bucket put the parts together. Repeating it answers the same result.

        The bucket says what is there; ETags that come along must be those of its parts. The digests in the answer are
        empty until the content was read.
        """
        started = time.monotonic()
        data = self.valid(shapes.CompleteSerializer, request)
        etags = {number + 1 - data["index_base"]: etag for number, etag in data["chunk_etags"].items()}
        row = direct.complete_direct(task_file=self.task_file(), actor=self.actor, etags=etags)
        return Response(upload_result(request._request, row, time.monotonic() - started))

    @extend_schema(request=shapes.AbortSerializer, responses=DoneSerializer)
    def abort(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Give the upload up; the file is failed and can be retried."""
        reason = self.valid(shapes.AbortSerializer, request)["reason"]
        files.abort_multipart(task_file=self.task_file(), reason=reason)
        return done()
