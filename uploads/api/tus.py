"""The tus protocol 1.0 at /tus: resumable uploads for stock clients (https://tus.io/protocols/resumable-upload).

Headers and statuses are the protocol's where it has a say, so a DELETE answers its 204, which no client of ours but
those of tus ever sends. Every file of an upload task can be sent this way; its id is that of the upload here.
"""

import base64
import binascii
import posixpath
import re
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from common.bodies import arriving, heard_out
from common.errors import TransitionNotAllowed
from common.views import VisibleViewSet
from drives.api.serializers import PathText
from drives.errors import BadName, DigestMismatch, DriveReadOnly, NameTaken, QuotaExceeded
from uploads.api.handlers import small_body
from uploads.api.long_lists import MAX_SIZE, Md5Field, PlainText
from uploads.errors import (
    FileTypeNotAllowed,
    OffsetMismatch,
    SentInParts,
    StorageFailed,
    TusHeaderInvalid,
    TusVersionUnknown,
    UploadClosed,
    UploadGone,
    UploadInterrupted,
    UploadPaused,
    UploadTooLong,
)
from uploads.models import TaskFile, UploadTask
from uploads.services import tus
from uploads.services.manifests import ManifestFile

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination"
BYTES = "application/offset+octet-stream"
OVERRIDES = ("PATCH", "DELETE", "HEAD")


def header(name: str, *, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.HEADER, required=required)


ANNOUNCING = (BadName, FileTypeNotAllowed, NameTaken, QuotaExceeded, DriveReadOnly)
GOING_ON = (OffsetMismatch, UploadGone, SentInParts, UploadPaused)
LANDING = (UploadClosed, UploadInterrupted, DigestMismatch, NameTaken, DriveReadOnly, StorageFailed)
TUS = header("Tus-Resumable", required=True)


class MetadataSerializer(serializers.Serializer):
    """What Upload-Metadata may tell; anything else is kept, and has no meaning here.

    `name`, `type` and `relativePath` are what Uppy calls the name, the type and the path inside a dropped folder.
    """

    filename = PathText(required=False)
    name = PathText(required=False)
    filetype = PlainText(max_length=100, required=False, allow_blank=True)
    type = PlainText(max_length=100, required=False, allow_blank=True)
    path = PathText(default="/")
    relativePath = PathText(required=False)  # noqa: N815 (the client's word)
    drive_id = serializers.UUIDField(default=None)
    md5 = Md5Field()

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        name = data.get("filename") or data.get("name")
        if not name:
            raise serializers.ValidationError({"filename": self.error_messages["required"]}, code="required")
        inside = data.get("relativePath", "")
        below = posixpath.dirname(inside) if inside != "null" else ""
        return {
            "drive_id": data["drive_id"],
            "file_name": name,
            "target_folder_path": f"{data['path']}/{below}",
            "mime_type": data.get("filetype") or data.get("type") or "",
            "md5": data["md5"] or "",
        }


def read_metadata(text: str) -> dict[str, str]:
    """Keys and values of an Upload-Metadata header. Raises TusHeaderInvalid."""
    found: dict[str, str] = {}
    for pair in text.split(",") if text.strip() else []:
        key, _space, value = pair.strip().partition(" ")
        try:
            decoded = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise TusHeaderInvalid(header="Upload-Metadata") from error
        if not key or key in found:
            raise TusHeaderInvalid(header="Upload-Metadata")
        found[key] = decoded
    return found


def write_metadata(task_file: TaskFile) -> str:
    """The header as the client that began the upload sent it."""
    kept = task_file.task.client_info.get("upload_metadata")
    return kept or f"filename {base64.b64encode(task_file.file_name.encode()).decode()}"


def size_in(request: Request, name: str) -> int:
    """The number in a header. Raises TusHeaderInvalid."""
    text = request.headers.get(name, "")
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise TusHeaderInvalid(header=name)
    return int(text)


@extend_schema(tags=["tus"], parameters=[TUS])
class TusViewSet(VisibleViewSet):
    """Uploads by the tus protocol, version 1.0.0 with creation, creation-with-upload, expiration and termination."""

    model = TaskFile
    open_to_guests = ("create", "append", "terminate")
    refusals = {
        "create": (*LANDING, *ANNOUNCING, TusVersionUnknown, TusHeaderInvalid, UploadTooLong),
        "append": (*LANDING, *GOING_ON, TusVersionUnknown, TusHeaderInvalid, UploadTooLong),
        "find_offset": (*LANDING, *GOING_ON, TusVersionUnknown),
        "terminate": (UploadGone, SentInParts, UploadClosed, TransitionNotAllowed, TusVersionUnknown),
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("task__user", "task__drive", "folder", "file__blob")

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        wanted = request.headers.get("X-HTTP-Method-Override", "").upper()
        if request.method == "POST" and wanted in OVERRIDES:
            request.method = wanted
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != VERSION:
            raise TusVersionUnknown
        super().initial(request, *args, **kwargs)

    def get_permissions(self) -> Any:
        # What a server can do is asked before anybody signs in. The framework's name for any OPTIONS is "metadata".
        return [] if self.action == "metadata" else super().get_permissions()

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response["Tus-Resumable"] = VERSION
        if response.status_code == status.HTTP_412_PRECONDITION_FAILED:
            response["Tus-Version"] = VERSION
        return super().finalize_response(request, response, *args, **kwargs)

    @property
    def actor(self) -> User:
        return cast(User, self.request.user)

    def state(self, code: int, task_file: TaskFile, offset: int, **headers: str) -> Response:
        """An answer without a body that says how far the upload is."""
        headers = {"Upload-Offset": str(offset), "Cache-Control": "no-store", **headers}
        if task_file.file_id:
            headers["Yuntu-File-Id"] = str(task_file.file_id)
        elif task_file.task.status in UploadTask.OPEN_STATUSES:
            headers["Upload-Expires"] = http_date(task_file.task.expires_at.timestamp())
        return Response(status=code, headers=headers)

    def receive(
        self, request: Request, task_file: TaskFile, offset: int, taken: list[memoryview] | None = None
    ) -> tuple[TaskFile, int]:
        """Append the body, or what of it is `taken` already."""
        if request.content_type != BYTES:
            raise UnsupportedMediaType(request.content_type or "")
        declared = request.META.get("CONTENT_LENGTH") or ""
        length = int(declared) if declared.isdecimal() else None
        blocks = arriving(request._request) if taken is None else taken
        with heard_out(request._request):
            return tus.receive(
                task_file=task_file, actor=self.actor, offset=offset, blocks=blocks, length=length
            )

    def capabilities(self, request: Request, **kwargs: Any) -> Response:
        headers = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": str(MAX_SIZE)}
        return Response(status=status.HTTP_204_NO_CONTENT, headers=headers)

    @extend_schema(
        parameters=[header("Upload-Length", required=True), header("Upload-Metadata", required=True)],
        request={BYTES: OpenApiTypes.BINARY},
        responses={201: None},
    )
    def create(self, request: Request) -> Response:
        """Begin an upload, with its first bytes as the body or without a body.

        `Upload-Metadata` names the file: `filename`; and, where wanted, its folder in the drive (`path`), `drive_id`,
        `filetype` and `md5`. The drive's quota is reserved; missing folders are made. The answer's `Location` is the
        address of the upload, its `Yuntu-File-Id`, at the end, the file in the drive.
        """
        size, metadata = size_in(request, "Upload-Length"), request.headers.get("Upload-Metadata", "")
        if size > MAX_SIZE:
            raise UploadTooLong(limit=MAX_SIZE)
        judged = MetadataSerializer(data=read_metadata(metadata))
        judged.is_valid(raise_exception=True)
        file = dict(judged.validated_data)
        drive_id: UUID | None = file.pop("drive_id")
        task_file = tus.create_upload(
            user=self.actor,
            drive_id=drive_id,
            file=ManifestFile(local_path="", file_size=size, **file),
            client_info={"upload_metadata": metadata},
        )
        offset = 0
        if request.content_type == BYTES:
            content = small_body(request) if request.META.get("CONTENT_LENGTH") == str(size) else None
            if content is not None and len(content) == size:
                task_file, offset = tus.receive_whole(task_file=task_file, actor=self.actor, content=content)
            else:
                blocks = None if content is None else [content]
                task_file, offset = self.receive(request, task_file, 0, blocks)
        location = f"{settings.PUBLIC_URL.rstrip('/')}{quote(request.path.rstrip('/'))}/{task_file.pk}"
        return self.state(status.HTTP_201_CREATED, task_file, offset, Location=location)

    def find_offset(self, request: Request, pk: UUID) -> Response:
        """How much of the file is there."""
        task_file, offset = tus.find_offset(task_file=self.get_object(), actor=self.actor)
        more = {"Upload-Length": str(task_file.file_size), "Upload-Metadata": write_metadata(task_file)}
        return self.state(status.HTTP_200_OK, task_file, offset, **more)

    @extend_schema(
        parameters=[header("Upload-Offset", required=True)],
        request={BYTES: OpenApiTypes.BINARY},
        responses={204: None},
    )
    def append(self, request: Request, pk: UUID) -> Response:
        """Go on at `Upload-Offset`. Whatever arrives stays, also where the connection breaks."""
        task_file, offset = self.receive(request, self.get_object(), size_in(request, "Upload-Offset"))
        return self.state(status.HTTP_204_NO_CONTENT, task_file, offset)

    @extend_schema(request=None, responses={204: None})
    def terminate(self, request: Request, pk: UUID) -> Response:
        """Give the upload up. A file that has landed stays in the drive."""
        tus.terminate(task_file=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
