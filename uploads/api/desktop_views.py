"""The /files calls of older clients: chunks with free-form ids, whole scene files, object keys.

An object key is the path of a file in a drive (the default one, unless `drive_id` names another) or the file's id.
"""

from typing import Any, cast

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.models import User
from common.errors import Invalid, NotVisible, TooLarge
from common.ids import as_uuid
from common.paging import whole_number
from drives.errors import BadName, DigestMismatch, DriveReadOnly, QuotaExceeded, SizeMismatch
from drives.links import MAX_SECONDS, MIN_SECONDS, link_to
from drives.models import File
from drives.paths import join
from drives.services.trash import trash
from uploads.api import desktop_serializers as shapes
from uploads.api.handlers import staged_files
from uploads.api.long_lists import is_text
from uploads.api.refusals import ANNOUNCING, IN_PARTS, LANDING, PUTTING_TOGETHER
from uploads.errors import (
    ChunksDisagree,
    FileMissing,
    FileTypeNotAllowed,
    NotSupported,
    PartNumberInvalid,
    StorageFailed,
    TooManyFiles,
)
from uploads.models import TaskFile
from uploads.services import desktop


def chunk_form(data_format: str) -> dict[str, Any]:
    """A chunk whose bytes are `binary` in a form, or base64 (`byte`) in JSON."""
    return {
        "type": "object",
        "required": ["taskId", "chunkIndex", "totalChunks", "chunkData"],
        "properties": {
            "taskId": {"type": "string"},
            "chunkIndex": {"type": "integer", "minimum": 0},
            "totalChunks": {"type": "integer", "minimum": 1},
            "chunkHash": {"type": "string"},
            "chunkData": {"type": "string", "format": data_format},
        },
    }


CHUNK_FORM = {"multipart/form-data": chunk_form("binary"), "application/json": chunk_form("byte")}
FILE_FORM = {
    "multipart/form-data": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
}
TASK_ID = OpenApiParameter("task_id", OpenApiTypes.STR, description="An id of the client's own.")
EXPIRE_TIME = OpenApiParameter("expire_time", OpenApiTypes.INT, description="Seconds, 60 to 86400.")
DRIVE_ID = OpenApiParameter("drive_id", OpenApiTypes.UUID, description="The default drive where left out.")
KEY = OpenApiParameter("key", OpenApiTypes.STR, "path", description="Path in the drive, or the file's id.")


def valid(serializer_class: type[Serializer], data: Any) -> dict[str, Any]:
    serializer = serializer_class(data=data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def key_of(file: File) -> str:
    return join(file.folder_path, file.name)


def landed_file(row: TaskFile) -> File:
    """The file of a row that has landed; the caller joins it. Raises NotVisible where it is gone for good."""
    if row.file is None:
        raise NotVisible
    return row.file


class FilesView(APIView):
    open_to_guests = ("post",)

    @property
    def user(self) -> User:
        return cast(User, self.request.user)

    def client_key(self) -> str:
        """The client's id for what it sends, from the query. Raises Invalid."""
        key = self.request.query_params.get("task_id", "")
        if not is_text(key, 100):
            raise Invalid(field="task_id", source="query")
        return key

    def seconds(self) -> int:
        wanted = whole_number(self.request, "expire_time", settings.DOWNLOAD_LINK_SECONDS)
        return min(max(wanted, MIN_SECONDS), MAX_SECONDS)

    def link(self, file: File, seconds: int | None = None) -> str:
        return link_to(file.blob_id, file.name, request=self.request, seconds=seconds, drive_id=file.drive_id)


@extend_schema(tags=["files"])
class ChunkView(FilesView):
    refusals = {
        "post": (
            *IN_PARTS, FileMissing, PartNumberInvalid, SizeMismatch, DigestMismatch, ChunksDisagree, QuotaExceeded,
            StorageFailed, TooLarge,
        ),
    }  # fmt: skip

    @extend_schema(request=CHUNK_FORM, responses=shapes.ChunkResultSerializer)
    def post(self, request: Request) -> Response:
        """Send a chunk of 5 MiB (the last one shorter), numbered from 0, under an id of the client's own.

        As a form, or as JSON with `chunkData` in base64.
        """
        data = valid(shapes.ChunkSerializer, request.data)
        sent = request.FILES.get("chunkData") or request.FILES.get("chunk_data")
        if sent is not None:
            content = b"".join(sent.chunks())
        elif request.content_type.startswith("multipart/"):
            raise FileMissing(field="chunkData")
        else:
            content = valid(shapes.ChunkDataSerializer, request.data)["chunk_data"]
        desktop.receive_chunk(
            user=self.user,
            client_key=data["task_id"],
            index=data["chunk_index"],
            total=data["total_chunks"],
            content=content,
            md5=data["chunk_hash"] or "",
        )
        return Response(
            {"success": True, "message": _("The chunk has arrived."), "chunkIndex": data["chunk_index"]}
        )


@extend_schema(tags=["files"])
class MergeView(FilesView):
    refusals = {"post": (*PUTTING_TOGETHER, BadName, FileTypeNotAllowed, ChunksDisagree)}

    @extend_schema(request=shapes.MergeSerializer, responses=shapes.MergeResultSerializer)
    def post(self, request: Request) -> Response:
        """Give the chunks their name: the file lands in /scenes/ of the default drive. Repeating it is no error."""
        data = valid(shapes.MergeSerializer, request.data)
        row = desktop.merge_chunks(
            user=self.user,
            client_key=data["task_id"],
            file_name=data["file_name"],
            total=data["total_chunks"],
            size=data["file_size"],
        )
        file = landed_file(row)
        body = {
            "success": True,
            "message": _("The file has arrived."),
            "objectKey": row.virtual_path,
            "url": self.link(file),
            "fileName": row.file_name,
            "fileSize": row.file_size,
            "fileId": file.pk,
        }
        return Response(body)


@extend_schema(tags=["files"])
class SceneUploadView(FilesView):
    refusals = {"post": (*ANNOUNCING, *LANDING, FileMissing, TooManyFiles, TooLarge)}

    @extend_schema(request=FILE_FORM, parameters=[TASK_ID], responses=shapes.SceneUploadSerializer)
    def post(self, request: Request) -> Response:
        """Send a scene file whole, as the form field `file`, into /scenes/ of the default drive."""
        client_key = self.client_key()
        sent = dict(staged_files(request)).get("file")
        if sent is None:
            raise FileMissing(field="file")
        row = desktop.upload_scene(
            user=self.user,
            client_key=client_key,
            file_name=sent.name or "",
            staging_id=sent.staging_id,
            digests=sent.digests,
        )
        file = landed_file(row)
        body = {
            "filename": row.file_name,
            "object_key": row.virtual_path,
            "url": self.link(file),
            "size": row.file_size,
            "content_type": file.mime_type,
            "file_id": file.pk,
            "message": _("The file has arrived."),
        }
        return Response(body)


@extend_schema(tags=["files"])
class SceneDownloadView(FilesView):
    refusals = {"get": (BadName,)}

    @extend_schema(
        operation_id="files_scene_link", parameters=[EXPIRE_TIME], responses=shapes.SceneLinkSerializer
    )
    def get(self, request: Request, task_id: str, filename: str) -> Response:
        """A signed link to a file that was sent under the client's id."""
        if not is_text(task_id, 100):
            raise NotVisible
        file = desktop.scene_of(user=self.user, client_key=task_id, file_name=filename)
        seconds = self.seconds()
        body = {
            "download_url": self.link(file, seconds),
            "filename": file.name,
            "object_key": key_of(file),
            "expires_in": seconds,
        }
        return Response(body)


@extend_schema(tags=["files"])
class UploadUrlView(FilesView):
    refusals = {"post": (NotSupported,)}

    @extend_schema(
        request=None,
        parameters=[TASK_ID, OpenApiParameter("filename", OpenApiTypes.STR), EXPIRE_TIME],
        responses=shapes.UploadUrlSerializer,
    )
    def post(self, request: Request) -> Response:
        """An address to put a file to directly. 409 not_supported where the storage has none."""
        raise NotSupported


@extend_schema(tags=["files"])
class ObjectInfoView(FilesView):
    refusals = {"get": (BadName,)}

    @extend_schema(parameters=[KEY, DRIVE_ID], responses=shapes.ObjectInfoSerializer)
    def get(self, request: Request, key: str) -> Response:
        """Size, type and ETag of a file."""
        file = object_at(self, key)
        body = {
            "object_key": key_of(file),
            "file_id": file.pk,
            "size": file.size,
            "content_type": file.mime_type,
            "last_modified": int(file.updated_at.timestamp()),
            "etag": file.blob.sha256 or file.blob.pk.hex,
        }
        return Response(body)


@extend_schema(tags=["files"])
class ObjectView(FilesView):
    refusals = {"delete": (BadName, DriveReadOnly)}

    @extend_schema(
        operation_id="files_key_destroy",
        parameters=[KEY, DRIVE_ID],
        responses={200: shapes.ObjectGoneSerializer},
    )
    def delete(self, request: Request, key: str) -> Response:
        """Put a file into the trash."""
        file = object_at(self, key)
        trash(entry=file, actor=self.user)
        return Response(
            {"success": True, "message": _("The file is in the trash."), "object_key": key_of(file)}
        )


def object_at(view: FilesView, key: str) -> File:
    drive = view.request.query_params.get("drive_id")
    drive_id = as_uuid(drive) if drive else None
    if drive and drive_id is None:
        raise NotVisible
    return desktop.file_of_key(user=view.user, key=key, drive_id=drive_id)
