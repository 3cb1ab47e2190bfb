"""Doors to the results of a task as a whole."""

from dataclasses import asdict
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.http import HttpResponseRedirect
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from common.errors import DomainError, NotVisible
from common.views import VisibleViewSet
from drives.links import link_to, link_to_zip
from drives.models import Folder
from drives.zips import zip_name
from rendering.models import FrameOutput, RenderJob
from rendering.services import results

STEP = OpenApiParameter(
    "step", OpenApiTypes.STR, description="Name of the step; the only or first one by default."
)
LAYER = OpenApiParameter(
    "layer", OpenApiTypes.STR, description="Layer or pass; the picture itself by default."
)


class StepCountsSerializer(serializers.Serializer):
    step = serializers.CharField()
    total_frames = serializers.IntegerField()
    done_frames = serializers.IntegerField()
    failed_frames = serializers.IntegerField()
    output_count = serializers.IntegerField()
    size = serializers.IntegerField(help_text="Bytes of the pictures.")


class ResultsSerializer(serializers.Serializer):
    """What a task has rendered so far. Links are signed and good for `expires_in` seconds.

    Sheet and film are null until the task is over and they are drawn; a film also where ffmpeg is missing or there is
    one frame. Folder and ZIP are null where there is no folder, or it is out of the user's sight.
    """

    task_id = serializers.UUIDField()
    drive_id = serializers.UUIDField()
    folder_id = serializers.UUIDField(allow_null=True)
    folder_path = serializers.CharField(allow_null=True)
    zip_url = serializers.CharField(allow_null=True)
    zip_size = serializers.IntegerField(allow_null=True)
    contact_sheet_url = serializers.CharField(allow_null=True)
    preview_video_url = serializers.CharField(allow_null=True)
    expires_in = serializers.IntegerField()
    steps = StepCountsSerializer(many=True)


@extend_schema(tags=["tasks"])
class TaskResultViewSet(VisibleViewSet):
    """Results of the user's render tasks."""

    model = RenderJob
    serializer_class = ResultsSerializer

    @extend_schema(responses=ResultsSerializer)
    @action(detail=True)
    def results(self, request: Request, pk: UUID) -> Response:
        """The folder of the results, one ZIP of it, contact sheet and preview film, and counts for each step."""
        job = self.get_object()
        folder = results.results_folder_of(job, cast(User, request.user))

        def link(blob_id: UUID | None, name: str) -> str | None:
            return link_to(blob_id, name, request=request, inline=True) if blob_id else None

        body = {
            "task_id": job.pk,
            "drive_id": job.drive_id,
            "folder_id": folder.pk if folder else None,
            "folder_path": folder.path if folder else None,
            **self.zip_link(folder),
            "contact_sheet_url": link(job.contact_sheet_id, "contact-sheet.jpg"),
            "preview_video_url": link(job.preview_video_id, "preview.mp4"),
            "expires_in": settings.DOWNLOAD_LINK_SECONDS,
            "steps": [asdict(counts) for counts in results.step_counts(job)],
        }
        return Response(ResultsSerializer(body).data)

    def zip_link(self, folder: Folder | None) -> dict[str, Any]:
        nothing = {"zip_url": None, "zip_size": None}
        if folder is None:
            return nothing
        try:
            archive, found = results.zip_of_results(
                folder=folder,
                actor=cast(User, self.request.user),
                seconds=settings.DOWNLOAD_LINK_SECONDS,
                now=timezone.now(),
            )
        except DomainError:
            return nothing
        url = link_to_zip(archive, zip_name(folder.name), request=self.request)
        return {"zip_url": url, "zip_size": found.size}

    @extend_schema(
        parameters=[STEP, LAYER],
        responses={302: OpenApiResponse(description="To a signed link of a PNG of at most 480 pixels.")},
    )
    @action(detail=True, url_path="frames/<int:number>/preview")
    def preview(self, request: Request, pk: UUID, number: int) -> HttpResponseRedirect:
        """The small picture of a rendered frame. 404 while there is none."""
        job = self.get_object()
        found = FrameOutput.objects.filter(frame__job=job, frame__number=number, preview__isnull=False)
        if "step" in request.query_params:
            found = found.filter(frame__step__name=request.query_params["step"])
        if "layer" in request.query_params:
            found = found.filter(layer=request.query_params["layer"])
        output = found.order_by("frame__step__name", "layer", "name").first()
        if output is None or output.preview_id is None:
            raise NotVisible
        answer = HttpResponseRedirect(link_to(output.preview_id, "preview.png", request=request, inline=True))
        answer["Cache-Control"] = "private, no-store"
        return answer
