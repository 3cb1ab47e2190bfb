"""Doors to the frames of a task: how they fare, every attempt at them with its log, figures, further ones."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.idempotency import once_per_key
from common.errors import Invalid, NotVisible, TransitionNotAllowed
from drives.api.downloads import serve_blob
from drives.errors import DriveReadOnly
from rendering import errors
from rendering.api import serializers as shapes
from rendering.api.base import PAYING, RANGE, TaskDoors
from rendering.models import Attempt, Frame, FrameOutput
from rendering.services.reopening import add_frames
from rendering.statistics import statistics_of

STEP = OpenApiParameter("step", OpenApiTypes.STR, description="Name of the step.")
FRAME = OpenApiParameter("frame", OpenApiTypes.INT, description="Number of a frame; all by default.")
FRAME_STATUS = OpenApiParameter("status", OpenApiTypes.STR, enum=Frame.Status.values)
ATTEMPT_STATUS = OpenApiParameter("status", OpenApiTypes.STR, enum=Attempt.Status.values)


@extend_schema(tags=["tasks"])
class TaskFramesViewSet(TaskDoors):
    """Frames of a task of the user."""

    refusals = {
        "add_frames": (
            *RANGE, errors.NothingToRender, errors.EngineUnavailable, errors.NoNodeFits, *PAYING,
            DriveReadOnly, TransitionNotAllowed,
        )
    }  # fmt: skip

    def with_status(self, rows: QuerySet, known: list[str]) -> QuerySet:
        wanted = self.asked("status")
        if wanted and wanted not in known:
            raise Invalid(field="status")
        return rows.filter(status=wanted) if wanted else rows

    @extend_schema(responses=shapes.TaskLogSerializer(many=True))
    @action(detail=True)
    def logs(self, request: Request, pk: UUID) -> Response:
        """The task log, newest first."""
        lines = self.get_object().logs.order_by("-id")
        return self.rows(lines, shapes.TaskLogSerializer, "logs", 100, 500)

    @extend_schema(parameters=[FRAME_STATUS, STEP], responses=shapes.FrameSerializer(many=True))
    @action(detail=True)
    def frames(self, request: Request, pk: UUID) -> Response:
        """Frames by step and number."""
        rows = Frame.objects.filter(job=self.get_object()).select_related("step", "attempt")
        rows = rows.defer("attempt__log_tail")  # two hundred lines for each frame
        if step := self.asked("step"):
            rows = rows.filter(step__name=step)
        rows = self.with_status(rows, Frame.Status.values)
        return self.rows(rows.order_by("step__name", "number"), shapes.FrameSerializer, "frames", 100, 1000)

    @extend_schema(request=shapes.FurtherFramesSerializer, responses=shapes.TaskSerializer)
    @frames.mapping.post
    @once_per_key
    def add_frames(self, request: Request, pk: UUID) -> Response:
        """Render further frames, of all steps or of one, at the price of the others; also of a task that is over."""
        data = self.valid(shapes.FurtherFramesSerializer, request)
        return self.shown(add_frames(job=self.get_object(), **data))

    @extend_schema(parameters=[STEP], responses=shapes.AttemptSerializer(many=True))
    @action(detail=True, url_path="frames/<int:number>/attempts")
    def frame_attempts(self, request: Request, pk: UUID, number: int) -> Response:
        """Every attempt at a frame of a step (`main` by default), newest first, with the end of its log."""
        step = self.asked("step", "main")
        frame = Frame.objects.filter(job=self.get_object(), step__name=step, number=number).first()
        if frame is None:
            raise NotVisible
        return self.attempts_page(frame.attempts.all())

    @extend_schema(parameters=[ATTEMPT_STATUS, STEP], responses=shapes.AttemptSerializer(many=True))
    @action(detail=True)
    def attempts(self, request: Request, pk: UUID) -> Response:
        """Every attempt at frames of the task, newest first."""
        rows = self.with_status(Attempt.objects.filter(job=self.get_object()), Attempt.Status.values)
        if step := self.asked("step"):
            rows = rows.filter(step__name=step)
        return self.attempts_page(rows)

    def attempts_page(self, rows: QuerySet) -> Response:
        rows = rows.select_related("node", "step").prefetch_related("frames").order_by("-created_at", "-pk")
        return self.rows(rows, shapes.AttemptSerializer, "attempts", 20, 100)

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    @action(detail=True, url_path="attempts/<uuid:attempt_id>/log")
    def log(self, request: Request, pk: UUID, attempt_id: UUID) -> HttpResponseBase:
        """What the program printed, as text: the last 200 lines while it runs, afterwards all of it, also in ranges."""
        rows = Attempt.objects.select_related("log_blob").filter(job=self.get_object(), pk=attempt_id)
        attempt = rows.first()
        if attempt is None:
            raise NotVisible
        if attempt.log_blob is None:
            answer: HttpResponseBase = HttpResponse(attempt.log_tail, headers={"Cache-Control": "no-store"})
        else:
            name = f"{attempt.pk}.txt"
            answer = serve_blob(request._request, attempt.log_blob, name, inline=True, seconds=0)
        answer.headers["Content-Type"] = "text/plain; charset=utf-8"
        return answer

    @extend_schema(parameters=[FRAME, STEP], responses=shapes.OutputSerializer(many=True))
    @action(detail=True)
    def outputs(self, request: Request, pk: UUID) -> Response:
        """Rendered pictures by frame, with links to picture and preview."""
        rows = FrameOutput.objects.filter(frame__job=self.get_object()).select_related("frame__step", "blob")
        if step := self.asked("step"):
            rows = rows.filter(frame__step__name=step)
        if text := self.asked("frame"):
            if not (text.isdecimal() and len(text) < 10):
                raise Invalid(field="frame")
            rows = rows.filter(frame__number=int(text))
        rows = rows.order_by("frame__number", "frame__step__name", "name")
        return self.rows(rows, shapes.OutputSerializer, "outputs", 100, 1000)

    @extend_schema(responses=shapes.StatisticsSerializer)
    @action(detail=True)
    def statistics(self, request: Request, pk: UUID) -> Response:
        """What the task took so far: time, processors, memory, tries, money."""
        return Response(shapes.StatisticsSerializer(statistics_of(self.get_object())).data)
