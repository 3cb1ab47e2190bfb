"""Doors to what a task waits for."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import TransitionNotAllowed
from common.serializers import DoneSerializer
from common.views import done
from rendering import errors
from rendering.api import serializers as shapes
from rendering.api.base import TaskDoors
from rendering.models import RenderJob
from rendering.services.dependencies import drop_dependency, set_dependencies


@extend_schema(tags=["tasks"])
class TaskDependenciesViewSet(TaskDoors):
    """Other tasks of the user that a task waits for."""

    refusals = {
        "set_dependencies": (errors.DependencyCycle, TransitionNotAllowed),
        "drop_dependency": (TransitionNotAllowed,),
    }

    @extend_schema(responses=shapes.DependencySerializer(many=True))
    @action(detail=True)
    def dependencies(self, request: Request, pk: UUID) -> Response:
        """The tasks that this one waits for, with their state."""
        return self.shown_waits(self.get_object())

    @extend_schema(request=shapes.DependenciesSerializer, responses=shapes.DependencySerializer(many=True))
    @dependencies.mapping.put
    def set_dependencies(self, request: Request, pk: UUID) -> Response:
        """Wait for these tasks and for no others; frames that no node has yet wait from now on."""
        data = self.valid(shapes.DependenciesSerializer, request)
        job = self.get_object()
        set_dependencies(job=job, waits=shapes.waits_of(data["depends_on"]), user=self.actor)
        return self.shown_waits(job)

    def shown_waits(self, job: RenderJob) -> Response:
        rows = job.dependencies.select_related("on").order_by("created_at", "pk")
        return self.rows(rows, shapes.DependencySerializer, "dependencies", 100, 1000)

    @extend_schema(responses={200: DoneSerializer})
    @action(detail=True, methods=["delete"], url_path="dependencies/<uuid:task_id>")
    def drop_dependency(self, request: Request, pk: UUID, task_id: UUID) -> Response:
        """Do not wait for a task any more."""
        drop_dependency(job=self.get_object(), task_id=task_id)
        return done()
