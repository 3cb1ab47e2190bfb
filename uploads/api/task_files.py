"""What the doors of single files share: how a file is found, and how it is described."""

from typing import Any, cast

from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User
from common.errors import NotVisible
from common.views import VisibleViewSet
from drives.links import link_to
from uploads.models import TaskFile, UploadTask
from uploads.selectors import percentage
from uploads.services.parts import Received

BYTES = "application/octet-stream"


def upload_result(request: HttpRequest, row: TaskFile, seconds: float) -> dict[str, Any]:
    """The answer for a file that has landed; `seconds` is how long that took. Raises NotVisible."""
    file = row.file
    if file is None:
        raise NotVisible
    return {
        "task_file_id": row.pk,
        "file_id": file.pk,
        "file_size": row.file_size,
        "md5": file.blob.md5,
        "sha256": file.blob.sha256 or "",
        "oss_key": row.virtual_path,
        "oss_url": link_to(file.blob_id, file.name, request=request, drive_id=file.drive_id),
        "is_duplicated": row.is_duplicated,
        "instant_upload": row.is_duplicated,
        "upload_duration": round(seconds, 3),
    }


class FileOfTask(VisibleViewSet):
    """Below /upload-tasks/{task_id}/files."""

    model = UploadTask
    lookup_url_kwarg = "task_id"

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("drive")

    @property
    def actor(self) -> User:
        return cast(User, self.request.user)

    def task_file(self) -> TaskFile:
        """The file that the address names. Raises NotVisible."""
        task_id, file_id = self.kwargs["task_id"], self.kwargs["file_id"]
        found = TaskFile.objects.under_way(self.actor, task_id, [file_id])
        if not found:
            raise NotVisible
        return found[file_id]


def part_state(task_file: TaskFile, index: int, part: Received) -> dict[str, Any]:
    """The answer to a part that the client numbers `index`."""
    return {
        "chunk_index": index,
        "etag": part.etag,
        "chunk_etag": part.etag,
        "uploaded_chunks": part.count,
        "total_chunks": task_file.total_parts,
        "progress_percentage": percentage(part.count, task_file.total_parts),
    }
