"""Doors of rendering: /tasks, what its owner does with a task, and what it needs beforehand."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from billing import errors as money
from billing.api.idempotency import once_per_key
from common.errors import DomainError, TransitionNotAllowed
from common.serializers import DoneSerializer
from common.views import done
from drives.errors import BadName, DriveReadOnly
from rendering import errors
from rendering.api import filters
from rendering.api import serializers as shapes
from rendering.api.base import PAYING, RANGE, TaskDoors
from rendering.models import RenderJob
from rendering.selectors import offered_engines
from rendering.services import estimates, jobs
from rendering.services.creating import NewJob, change_draft, clone_job, create_job
from rendering.services.reopening import retry_frames
from rendering.services.submitting import submit_job

CREATING = (
    *RANGE, BadName, DriveReadOnly, errors.DependencyCycle, errors.EngineUnavailable, money.PriorityTooHigh,
)  # fmt: skip
READING = (errors.SceneMissing, errors.EngineUnavailable)
PLANNING = (*READING, *RANGE, errors.InspectionFailed, errors.NotAScene, money.NoPrice)
SUBMITTING = (
    *PLANNING, errors.NoNodeFits, errors.NoCamera, errors.NoLayer, BadName, errors.ReferenceCycle,
    errors.ReferencesTooDeep, errors.MissingAssets, *PAYING, money.PriorityTooHigh, DriveReadOnly, TransitionNotAllowed,
)  # fmt: skip
REOPENING = (
    *RANGE, errors.NothingToRender, errors.EngineUnavailable, errors.NoNodeFits, *PAYING, DriveReadOnly,
    TransitionNotAllowed,
)  # fmt: skip


@extend_schema(tags=["tasks"])
class TaskViewSet(ListModelMixin, RetrieveModelMixin, TaskDoors):
    """Render tasks of the user, newest first."""

    results_key = "tasks"
    refusals = {
        "create": CREATING,
        "clone": CREATING,
        "partial_update": (*CREATING, TransitionNotAllowed),
        "destroy": (errors.JobRunning, TransitionNotAllowed),
        "submit": SUBMITTING,
        "pause": (TransitionNotAllowed,),
        "resume": (*SUBMITTING, errors.PausedByOperator),
        "approve": (TransitionNotAllowed, *PAYING),
        "cancel": (TransitionNotAllowed,),
        "priority": (TransitionNotAllowed, money.PriorityTooHigh, *PAYING),
        "retry": REOPENING,
        "estimate": (*PLANNING, errors.ReportPending),
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        if self.action != "list":
            return super().narrow(rows)
        # What nobody sees there may be thousands of names for each.
        return filters.narrowed(rows, self.request).defer("asset_paths", "asset_choices")

    @extend_schema(parameters=filters.PARAMETERS)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    def get_serializer_class(self) -> type[BaseSerializer]:
        return shapes.OneTaskSerializer if self.action == "retrieve" else super().get_serializer_class()

    @extend_schema(request=shapes.NewTaskSerializer, responses={201: shapes.TaskSerializer})
    @once_per_key
    def create(self, request: Request) -> Response:
        """Create a draft; its scene is inspected at once. With `submit` it is put on its way, too.

        A submit that is refused still answers 201: the draft, with failure_code and failure_data.
        """
        data = self.valid(shapes.NewTaskSerializer, request)
        submit = data.pop("submit", False)
        return self.created(create_job(user=self.actor, new=NewJob(**data)), submit)

    @extend_schema(request=shapes.CloneSerializer, responses={201: shapes.TaskSerializer})
    @once_per_key
    @action(detail=True, methods=["post"])
    def clone(self, request: Request, pk: UUID) -> Response:
        """A new draft that asks for the same, but for what the body says otherwise; null sets it back to the default.

        `submit` is as at POST /tasks.
        """
        changes = self.valid(shapes.CloneSerializer, request, partial=True)
        submit = changes.pop("submit", False)
        return self.created(clone_job(job=self.get_object(), user=self.actor, changes=changes), submit)

    def created(self, job: RenderJob, submit: bool) -> Response:
        if submit:
            try:
                job = submit_job(job=job)
            except DomainError:
                job.refresh_from_db()
        return self.shown(job, status.HTTP_201_CREATED)

    @extend_schema(request=shapes.DraftSerializer, responses=shapes.TaskSerializer)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Let a draft ask for something else: what the body names is changed, null sets it back to the default."""
        changes = self.valid(shapes.DraftSerializer, request, partial=True)
        return self.shown(change_draft(job=self.get_object(), changes=changes))

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Remove a task from the list; its results stay in the drive. One that renders must be cancelled first."""
        jobs.delete_job(job=self.get_object())
        return done()

    @extend_schema(request=None, responses={202: shapes.TaskSerializer})
    @once_per_key
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, pk: UUID) -> Response:
        """Put a draft on its way. 402 insufficient_balance and 422 missing_assets leave it a draft."""
        return self.shown(submit_job(job=self.get_object()), status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses=shapes.TaskSerializer)
    @action(detail=True, methods=["put"])
    def pause(self, request: Request, pk: UUID) -> Response:
        return self.shown(jobs.pause_job(job=self.get_object()))

    @extend_schema(request=None, responses=shapes.TaskSerializer)
    @action(detail=True, methods=["put"])
    def resume(self, request: Request, pk: UUID) -> Response:
        """Go on with a paused task, which approves its test frames where it waits for that.

        A draft is submitted, as the desktop client wants it. 409 paused_by_operator: an operator has to do it.
        """
        return self.shown(jobs.resume_job(job=self.get_object()))

    @extend_schema(request=None, responses=shapes.TaskSerializer)
    @once_per_key
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: UUID) -> Response:
        """The test frames are as they should be: render the others."""
        return self.shown(jobs.approve_job(job=self.get_object()))

    @extend_schema(request=None, responses=shapes.TaskSerializer)
    @action(detail=True, methods=["put"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        """End a task: its processes stop, rendered frames are charged, the rest of the money is released."""
        return self.shown(jobs.cancel_job(job=self.get_object()))

    @extend_schema(request=shapes.PrioritySerializer, responses=shapes.TaskSerializer)
    @action(detail=True, methods=["put"])
    def priority(self, request: Request, pk: UUID) -> Response:
        """Let a task that is not over come sooner or later."""
        data = self.valid(shapes.PrioritySerializer, request)
        return self.shown(jobs.set_priority(job=self.get_object(), **data))

    @extend_schema(request=shapes.RetrySerializer, responses=shapes.TaskSerializer)
    @once_per_key
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: UUID) -> Response:
        """Render failed frames once more: all, or those of a range and a step. What failed was not charged."""
        data = self.valid(shapes.RetrySerializer, request)
        return self.shown(retry_frames(job=self.get_object(), **data))

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
