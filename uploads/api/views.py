"""Doors of upload tasks: /upload-tasks."""

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from common.errors import Invalid, NotVisible, TransitionNotAllowed
from common.ids import new_id
from common.paging import whole_number
from common.serializers import DoneSerializer
from common.views import VisibleViewSet, done
from drives.errors import NotVerifiedYet
from drives.links import MAX_SECONDS, MIN_SECONDS, link_to
from drives.models import File
from drives.zips import zip_name
from uploads import selectors
from uploads.api import manifest_serializers as manifests
from uploads.api import serializers as shapes
from uploads.api.archive_views import zip_of_files
from uploads.api.refusals import ANNOUNCING
from uploads.errors import UploadNotCompleted
from uploads.links import ArchiveLink
from uploads.models import TaskFile, UploadTask
from uploads.services import tasks

STATUS = OpenApiParameter("status", OpenApiTypes.STR, enum=UploadTask.Status.values)


def files_of_completed(task: UploadTask) -> list[tuple[TaskFile, File]]:
    """The files of a completed task that are still there. Raises UploadNotCompleted, NotVisible."""
    if task.status != UploadTask.Status.COMPLETED:
        raise UploadNotCompleted(status=task.status)
    found = selectors.downloadable(task)
    if not found:
        raise NotVisible
    return found


@extend_schema(tags=["upload-tasks"])
class UploadTaskViewSet(ListModelMixin, RetrieveModelMixin, VisibleViewSet):
    """Upload tasks of the user, newest first."""

    model = UploadTask
    serializer_class = shapes.TaskSerializer
    results_key = "tasks"
    open_to_guests = ("create", "destroy", "cancel", "pause", "resume", "archive", "export_manifest")
    refusals = {
        "create": ANNOUNCING,
        "cancel": (TransitionNotAllowed,),
        "pause": (TransitionNotAllowed,),
        "resume": (TransitionNotAllowed,),
        "download": (UploadNotCompleted,),
        "archive": (UploadNotCompleted, NotVerifiedYet),
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        wanted = self.request.query_params.get("status")
        if wanted and self.action == "list":
            if wanted not in UploadTask.Status.values:
                raise Invalid(field="status")
            rows = rows.filter(status=wanted)
        return rows.select_related("drive").order_by("-created_at", "-pk")

    @extend_schema(parameters=[STATUS])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=shapes.NewTaskSerializer, responses={201: shapes.AnnouncedTaskSerializer})
    def create(self, request: Request) -> Response:
        """Announce files. The drive's quota is reserved; missing folders are made."""
        manifest = self.valid(shapes.NewTaskSerializer, request)["upload_manifest"]
        task = tasks.create_task(user=cast(User, request.user), **manifest)
        ids = task.files.order_by("position").values_list("pk", flat=True)
        body = {**shapes.TaskSerializer(task).data, "file_ids": list(ids)}
        return Response(body, status=status.HTTP_201_CREATED)

    @extend_schema(responses=manifests.TaskDetailSerializer)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """A task with both manifests. To watch a large one, ask for its progress instead."""
        task = cast(UploadTask, self.get_object())
        rows = selectors.manifest_rows(task)
        landed = task.status == UploadTask.Status.COMPLETED
        body = {
            **shapes.TaskSerializer(task).data,
            "statistics": selectors.sizes_of(task.files.all()),
            "upload_manifest": selectors.upload_manifest(task, rows),
            "storage_manifest": selectors.storage_manifest(task, rows, self.link) if landed else None,
        }
        return Response(body)

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Forget a task; files that have landed stay in the drive."""
        tasks.delete_task(task=self.get_object())
        return done()

    @extend_schema(request=None, responses=shapes.TaskSerializer)
    @action(detail=True, methods=["put"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        return Response(shapes.TaskSerializer(tasks.cancel_task(task=self.get_object())).data)

    @extend_schema(request=None, responses=shapes.TaskSerializer)
    @action(detail=True, methods=["put"])
    def pause(self, request: Request, pk: UUID) -> Response:
        """Take no more bytes until it is resumed. Pausing twice is no error."""
        return Response(shapes.TaskSerializer(tasks.pause_task(task=self.get_object())).data)

    @extend_schema(request=None, responses=shapes.TaskSerializer)
    @action(detail=True, methods=["put"])
    def resume(self, request: Request, pk: UUID) -> Response:
        """Go on; what had arrived is still there."""
        return Response(shapes.TaskSerializer(tasks.resume_task(task=self.get_object())).data)

    @extend_schema(responses=shapes.ProgressSerializer)
    @action(detail=True)
    def progress(self, request: Request, pk: UUID) -> Response:
        return Response(selectors.progress_of(self.get_object()))

    @extend_schema(responses=manifests.UploadStatsSerializer, filters=False)
    @action(detail=False, pagination_class=None)
    def stats(self, request: Request) -> Response:
        """Counts and bytes of all upload tasks, those that were not sent or not stored included."""
        return Response(selectors.statistics_of(cast(User, request.user)))

    def link(self, file: File, seconds: int | None = None) -> str:
        return link_to(file.blob_id, file.name, request=self.request, seconds=seconds, drive_id=file.drive_id)

    @extend_schema(request=None, responses=manifests.StorageManifestSerializer)
    @action(detail=True, methods=["post"], url_path="export-manifest")
    def export_manifest(self, request: Request, pk: UUID) -> Response:
        """What has become of the files so far, with mappings between their names here and there."""
        task = cast(UploadTask, self.get_object())
        return Response(selectors.storage_manifest(task, selectors.manifest_rows(task), self.link))

    def archive_link(self, task: UploadTask, name: str, etag: str, seconds: int) -> ArchiveLink:
        expires_at = timezone.now() + timedelta(seconds=seconds)
        return ArchiveLink(task.pk, new_id(), zip_name(name or task.task_name), etag, expires_at)

    @extend_schema(
        parameters=[OpenApiParameter("expires_in", OpenApiTypes.INT, description="Seconds, 60 to 86400.")],
        responses=manifests.TaskDownloadSerializer,
    )
    @action(detail=True)
    def download(self, request: Request, pk: UUID) -> Response:
        """Signed links to all files of a completed task, and one to all of them together."""
        wanted = whole_number(request, "expires_in", settings.DOWNLOAD_LINK_SECONDS)
        seconds = min(max(wanted, MIN_SECONDS), MAX_SECONDS)
        task = cast(UploadTask, self.get_object())
        found = files_of_completed(task)
        links = [
            {
                "task_file_id": row.pk,
                "file_id": file.pk,
                "file_name": file.name,
                "virtual_path": selectors.path_of(row),
                "file_size": file.size,
                "download_url": self.link(file, seconds),
            }
            for row, file in found
        ]
        only = links[0]["download_url"] if len(links) == 1 else ""
        whole = all(file.blob.crc32 is not None for _row, file in found)
        etag = zip_of_files(found).etag if whole and not only else ""
        body = {
            "download_url": only or self.archive_link(task, "", etag, seconds).url(request._request),
            "expires_in": seconds,
            "file_count": len(links),
            "total_size": sum(file.size for _row, file in found),
            "files": links,
        }
        return Response(body)

    @extend_schema(request=manifests.NewArchiveSerializer, responses=manifests.ArchiveSerializer)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: UUID) -> Response:
        """A signed link to a ZIP of all files of a completed task, made as it is read."""
        wanted = self.valid(manifests.NewArchiveSerializer, request)
        task = cast(UploadTask, self.get_object())
        etag = zip_of_files(files_of_completed(task)).etag
        link = self.archive_link(task, wanted["archive_name"], etag, settings.DOWNLOAD_LINK_SECONDS)
        body = {
            "archive_id": link.archive_id,
            "status": "completed",
            "download_url": link.url(request._request),
            "expires_at": link.expires_at,
        }
        return Response(body)
