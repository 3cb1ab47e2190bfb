"""Doors of rendering: /tasks and what belongs to them."""

from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.models import User
from billing.errors import InsufficientBalance, NoPrice
from common.errors import DomainError, Invalid, NotVisible, TransitionNotAllowed
from common.renderers import desktop_status, is_desktop_client
from common.serializers import DoneSerializer
from common.views import VisibleViewSet, done
from drives.errors import BadName, DriveReadOnly
from rendering import errors
from rendering.api import serializers as shapes
from rendering.models import Frame, FrameOutput, RenderJob
from rendering.selectors import offered_engines
from rendering.services import estimates, jobs

Status = RenderJob.Status
STATUS = OpenApiParameter("status", OpenApiTypes.INT, enum=[0, 1, 2, 3, 4, 5, 6, 7])
STEP = OpenApiParameter("step", OpenApiTypes.STR, description="Name of the step, `main` by default.")
RANGE = (errors.FrameRangeInvalid, errors.FrameRangeTooLong)
READING = (errors.SceneMissing, errors.EngineUnavailable)
PLANNING = (*READING, *RANGE, errors.InspectionFailed, errors.NotAScene, NoPrice)
SUBMITTING = (
    *PLANNING,
    BadName,
    errors.ReferenceCycle,
    errors.ReferencesTooDeep,
    errors.MissingAssets,
    InsufficientBalance,
    TransitionNotAllowed,
)


@extend_schema(tags=["tasks"])
class TaskViewSet(ListModelMixin, RetrieveModelMixin, VisibleViewSet):
    """Render tasks of the user, newest first."""

    model = RenderJob
    serializer_class: type[Serializer] = shapes.TaskSerializer
    results_key = "tasks"
    refusals = {
        "create": (*RANGE, BadName, DriveReadOnly),
        "destroy": (errors.JobRunning,),
        "submit": SUBMITTING,
        "pause": (TransitionNotAllowed,),
        "resume": SUBMITTING,
        "cancel": (TransitionNotAllowed,),
        "estimate": (*PLANNING, errors.ReportPending),
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        if self.action == "list":
            rows = self.of_status(rows)
        else:
            rows = rows.select_related("drive", "user", "scene_file__blob", "scene_file__folder", "hold")
        return rows.order_by("-created_at", "-pk")

    def of_status(self, rows: QuerySet) -> QuerySet:
        """The rows with the status that was asked for, by the number the client has for it."""
        wanted = self.request.query_params.get("status")
        if not wanted:
            return rows
        numbers = {str(number): [number] for number in Status.values}
        if is_desktop_client(self.request):
            # Its Uploading, 1, is a status without rows here.
            numbers = {"1": [], **{str(desktop_status(number)): [number] for number in Status.values}}
        if wanted not in numbers:
            raise Invalid(field="status")
        return rows.filter(status__in=numbers[wanted])

    def shown(self, job: RenderJob, code: int = status.HTTP_200_OK) -> Response:
        return Response(shapes.TaskSerializer(job).data, status=code)

    @extend_schema(parameters=[STATUS])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=shapes.NewTaskSerializer, responses={201: shapes.TaskSerializer})
    def create(self, request: Request) -> Response:
        """Create a draft; its scene is inspected at once. With `submit` it is put on its way, too.

        A submit that is refused still answers 201: the draft, with failure_code and failure_data.
        """
        data = self.valid(shapes.NewTaskSerializer, request)
        submit = data.pop("submit", False)
        job = jobs.create_job(user=cast(User, request.user), new=jobs.NewJob(**data))
        if submit:
            try:
                job = jobs.submit_job(job=job)
            except DomainError:
                job.refresh_from_db()
        return self.shown(job, status.HTTP_201_CREATED)

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Remove a task from the list; its results stay in the drive. One that renders must be cancelled first."""
        jobs.delete_job(job=self.get_object())
        return done()

    @extend_schema(request=None, responses={202: shapes.TaskSerializer})
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, pk: UUID) -> Response:
        """Put a draft on its way. 402 insufficient_balance and 422 missing_assets leave it a draft."""
        return self.shown(jobs.submit_job(job=self.get_object()), status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses=shapes.TaskSerializer)
    @action(detail=True, methods=["put"])
    def pause(self, request: Request, pk: UUID) -> Response:
        return self.shown(jobs.pause_job(job=self.get_object()))

    @extend_schema(request=None, responses=shapes.TaskSerializer)
    @action(detail=True, methods=["put"])
    def resume(self, request: Request, pk: UUID) -> Response:
        """Go on with a paused task; a draft is submitted, as the desktop client wants it."""
        return self.shown(jobs.resume_job(job=self.get_object()))

    @extend_schema(request=None, responses=shapes.TaskSerializer)
    @action(detail=True, methods=["put"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        """End a task: its processes stop, rendered frames are charged, the rest of the money is released."""
        return self.shown(jobs.cancel_job(job=self.get_object()))

    def rows(
        self, rows: QuerySet, serializer: type[Serializer], key: str, default: int, cap: int
    ) -> Response:
        self.results_key, self.default_limit, self.max_limit, self.serializer_class = (
            key,
            default,
            cap,
            serializer,
        )
        return self.page(rows)

    @extend_schema(responses=shapes.TaskLogSerializer(many=True))
    @action(detail=True)
    def logs(self, request: Request, pk: UUID) -> Response:
        """The task log, newest first."""
        lines = self.get_object().logs.order_by("-id")
        return self.rows(lines, shapes.TaskLogSerializer, "logs", 100, 500)

    @extend_schema(responses=shapes.FrameSerializer(many=True))
    @action(detail=True)
    def frames(self, request: Request, pk: UUID) -> Response:
        """Frames by step and number."""
        rows = Frame.objects.filter(job=self.get_object()).select_related("step", "attempt")
        return self.rows(rows.order_by("step__name", "number"), shapes.FrameSerializer, "frames", 100, 1000)

    @extend_schema(parameters=[STEP], responses=shapes.AttemptSerializer(many=True))
    @action(detail=True, url_path="frames/<int:number>/attempts")
    def attempts(self, request: Request, pk: UUID, number: int) -> Response:
        """Every attempt at a frame, newest first, with the end of its log."""
        step = request.query_params.get("step", "main")
        frame = Frame.objects.filter(job=self.get_object(), step__name=step, number=number).first()
        if frame is None:
            raise NotVisible
        rows = frame.attempts.select_related("node").order_by("-created_at", "-pk")
        return self.rows(rows, shapes.AttemptSerializer, "attempts", 20, 100)

    @extend_schema(responses=shapes.OutputSerializer(many=True))
    @action(detail=True)
    def outputs(self, request: Request, pk: UUID) -> Response:
        """Rendered pictures by frame, with links to picture and preview."""
        rows = FrameOutput.objects.filter(frame__job=self.get_object()).select_related("frame", "blob")
        return self.rows(
            rows.order_by("frame__number", "name"), shapes.OutputSerializer, "outputs", 100, 1000
        )

    @extend_schema(responses=shapes.EstimateSerializer)
    @action(detail=True)
    def estimate(self, request: Request, pk: UUID) -> Response:
        """What the task would cost if it were submitted now. 409 report_pending while the scene is being read."""
        return Response(shapes.EstimateSerializer(estimates.estimate_of(self.get_object())).data)


class EnginesView(APIView):
    @extend_schema(responses=shapes.EnginesSerializer, tags=["tasks"])
    def get(self, request: Request) -> Response:
        """Engines that render nodes offer, with their versions."""
        return Response(
            {"engines": [{"name": name, "versions": found} for name, found in offered_engines().items()]}
        )
