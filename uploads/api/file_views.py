"""Doors of the files of an upload task."""

import time
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import DomainError, NotVisible, TooLarge
from common.ids import as_uuid
from common.serializers import DoneSerializer
from common.views import done
from drives.errors import DigestMismatch, DriveReadOnly, SizeMismatch
from uploads.api import serializers as shapes
from uploads.api.handlers import small_body, staged_body, staged_files
from uploads.api.refusals import IN_PARTS, LANDING, PUTTING_TOGETHER, TAKING
from uploads.api.task_files import BYTES, FileOfTask, part_state, upload_result
from uploads.errors import (
    FileMissing,
    PartNumberInvalid,
    SentDirectly,
    SentInOrder,
    StorageFailed,
    TooManyFiles,
    UploadClosed,
)
from uploads.models import TaskFile, UploadTask
from uploads.services import batches, files, instant
from uploads.services.parts import laid_out
from uploads.services.tasks import require_active
from uploads.services.whole import upload_from_memory

FORM = {
    "multipart/form-data": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}},
    BYTES: {"type": "string", "format": "binary"},
}
BATCH_FORM = {
    "multipart/form-data": {
        "type": "object",
        "description": "The field of a file is its id in the task.",
        "maxProperties": settings.DATA_UPLOAD_MAX_NUMBER_FILES,
        "additionalProperties": {"type": "string", "format": "binary"},
    }
}
PART_FORM = {
    "multipart/form-data": {
        "type": "object",
        "required": ["chunk_index", "chunk"],
        "properties": {
            "chunk_index": {"type": "integer", "minimum": 0},
            "index_base": {"type": "integer", "enum": [0, 1], "default": 1},
            "chunk_md5": {"type": "string"},
            "chunkHash": {"type": "string"},
            "chunk": {"type": "string", "format": "binary"},
        },
    }
}


@extend_schema(tags=["upload-tasks"], parameters=[OpenApiParameter("task_id", OpenApiTypes.UUID, "path")])
class TaskFileViewSet(FileOfTask):
    """Files of an upload task, in the order of the manifest."""

    serializer_class = shapes.TaskFileSerializer
    results_key = "files"
    default_limit = 100
    max_limit = 1000
    open_to_guests = (
        "check", "batch", "upload", "retry", "multipart_init", "multipart_upload", "multipart_complete",
        "multipart_abort",
    )  # fmt: skip
    refusals = {
        "check": TAKING,
        "upload": (*TAKING, *LANDING, FileMissing, TooLarge),
        "batch": (*TAKING, FileMissing, TooManyFiles, StorageFailed),
        "retry": (UploadClosed, DriveReadOnly),
        "multipart_init": (*TAKING, SizeMismatch, SentInOrder, SentDirectly),
        "multipart_upload": (
            *IN_PARTS, FileMissing, PartNumberInvalid, SizeMismatch, DigestMismatch, StorageFailed,
        ),
        "multipart_complete": PUTTING_TOGETHER,
    }  # fmt: skip

    def result(self, row: TaskFile, started: float) -> Response:
        return Response(upload_result(self.request._request, row, time.monotonic() - started))

    @extend_schema(operation_id="upload_tasks_files_list")
    def list(self, request: Request, task_id: UUID) -> Response:
        rows = self.get_object().files.annotate(received_size=Sum("parts__size"))
        return self.page(rows.select_related("file__folder").order_by("position"))

    @extend_schema(request=shapes.CheckSerializer, responses=shapes.CheckResultSerializer)
    def check(self, request: Request, task_id: UUID) -> Response:
        """Link at once what the caller can already read; the rest must be sent.

        Without `files` all that are still to be sent are asked for, by the MD5 that the manifest declares.
        """
        asked = self.valid(shapes.CheckSerializer, request)["files"]
        linked, new = instant.check_files(task=self.get_object(), actor=self.actor, asked=asked)
        existing = [
            {
                "task_file_id": str(file.task_file_id),
                "md5": file.md5,
                "existing_file_id": str(file.file_id),
                "file_size": file.file_size,
                "oss_key": file.virtual_path,
                "oss_url": "",
            }
            for file in linked
        ]
        saved = sum(file.file_size for file in linked)
        return Response({"existing_files": existing, "new_files_count": new, "storage_saved": saved})

    @extend_schema(request=FORM, responses=shapes.UploadResultSerializer)
    def upload(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Send a file whole: as the body, which is quickest, or as the form field `file`."""
        started, started_at = time.monotonic(), timezone.now()
        if request.content_type == BYTES and (content := small_body(request)) is not None:
            row = upload_from_memory(
                user=self.actor,
                task_id=task_id,
                task_file_id=file_id,
                content=content,
                started_at=started_at,
            )
            return self.result(row, started)
        task_file = self.task_file()
        if task_file.status not in TaskFile.LANDED_STATUSES:
            files.require_receiving(task_file)
            files.require_size_at_once(task_file)
        sent = (
            staged_body(request) if request.content_type == BYTES else dict(staged_files(request)).get("file")
        )
        if sent is None:
            raise FileMissing(field="file")
        row = files.upload_whole(
            task_file=task_file,
            actor=self.actor,
            staging_id=sent.staging_id,
            digests=sent.digests,
            started_at=sent.started_at,
        )
        return self.result(row, started)

    @extend_schema(request=BATCH_FORM, responses=shapes.BatchResultSerializer)
    def batch(self, request: Request, task_id: UUID) -> Response:
        """Send up to 100 small files at once, each as the form field named by its id in the task.

        Each has a result of its own, in the order of the form; a file that is refused spoils no other.
        """
        task = cast(UploadTask, self.get_object())
        task.user = self.actor
        require_active(task)
        named = staged_files(request)
        if not named:
            raise FileMissing
        sent = [
            batches.SentFile(as_uuid(name), file.staging_id, file.digests, file.started_at)
            for name, file in named
        ]
        outcomes = batches.upload_batch(task=task, actor=self.actor, sent=sent)
        results = [
            self.outcome(name, outcome) for (name, _file), outcome in zip(named, outcomes, strict=True)
        ]
        landed = sum(result["status"] in TaskFile.LANDED_STATUSES for result in results)
        return Response({"results": results, "landed": landed, "refused": len(results) - landed})

    def outcome(self, name: str, outcome: batches.Outcome) -> dict[str, Any]:
        file = outcome.file if isinstance(outcome, TaskFile) else None
        refusal = outcome if isinstance(outcome, DomainError) else NotVisible()
        if file is None or not isinstance(outcome, TaskFile):
            return {"task_file_id": name, "status": "refused", "error": refusal.body()}
        return {
            "task_file_id": name,
            "status": outcome.status,
            "file_id": file.pk,
            "file_size": outcome.file_size,
            "md5": file.blob.md5,
            "sha256": file.blob.sha256,
            "is_duplicated": outcome.is_duplicated,
        }

    @extend_schema(request=None, responses=shapes.RetrySerializer)
    def retry(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Make a failed file pending again, at most three times."""
        row = files.retry_file(task_file=self.task_file())
        body = {"task_file_id": row.pk, "status": row.status, "retry_count": row.retry_count}
        return Response({**body, "message": _("Ready to be sent again.")})

    def multipart_state(self, row: TaskFile) -> dict[str, Any]:
        numbers = list(row.parts.order_by("number").values_list("number", flat=True))
        return {
            "task_file_id": row.pk,
            "upload_id": row.upload_id,
            "chunk_size": row.part_size,
            "total_chunks": row.total_parts,
            "uploaded_chunks": numbers,
        }

    @extend_schema(request=None, responses=shapes.MultipartStartedSerializer)
    def multipart_init(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Start a multipart upload, or find the open one with the parts that are there."""
        return Response(self.multipart_state(files.start_multipart(task_file=self.task_file())))

    @extend_schema(responses=shapes.MultipartStartedSerializer)
    def multipart_parts(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """The parts that are there, for a client that comes back."""
        return Response(self.multipart_state(self.task_file()))

    @extend_schema(request=PART_FORM, responses=shapes.PartResultSerializer)
    def multipart_upload(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Send a part, in any order and as often as need be.

        Form fields: `chunk_index` (from 1, or from 0 with `index_base=0`), `chunk`, optionally `chunk_md5`.
        """
        task_file = self.task_file()
        files.require_receiving(task_file)
        data = self.valid(shapes.PartSerializer, request)
        chunk = request.FILES.get("chunk")
        if chunk is None:
            raise FileMissing(field="chunk")
        part = files.receive_part(
            task_file=task_file,
            number=data["chunk_index"] + 1 - data["index_base"],
            source=laid_out(chunk.chunks()),
            md5=data["chunk_md5"] or data["chunk_hash"] or "",
        )
        return Response(part_state(task_file, data["chunk_index"], part))

    @extend_schema(request=shapes.CompleteSerializer, responses=shapes.UploadResultSerializer)
    def multipart_complete(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Put the parts together. Repeating it answers the same result."""
        started = time.monotonic()
        data = self.valid(shapes.CompleteSerializer, request)
        etags = {number + 1 - data["index_base"]: etag for number, etag in data["chunk_etags"].items()}
        row = files.complete_multipart(task_file=self.task_file(), actor=self.actor, etags=etags)
        return self.result(row, started)

    @extend_schema(request=shapes.AbortSerializer, responses=DoneSerializer)
    def multipart_abort(self, request: Request, task_id: UUID, file_id: UUID) -> Response:
        """Discard the parts; the file is failed and can be retried."""
        files.abort_multipart(
            task_file=self.task_file(), reason=self.valid(shapes.AbortSerializer, request)["reason"]
        )
        return done()
