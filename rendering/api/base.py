"""What all doors below /tasks share."""

from typing import cast

from django.db.models import QuerySet
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from accounts.models import User
from billing.errors import InsufficientBalance, SpendingLimitReached, SpendingNotAllowed, WalletParked
from common.views import VisibleViewSet
from rendering import errors
from rendering.api import serializers as shapes
from rendering.models import RenderJob

PAYING = (InsufficientBalance, WalletParked, SpendingNotAllowed, SpendingLimitReached)
RANGE = (errors.FrameRangeInvalid, errors.FrameRangeTooLong)


class TaskDoors(VisibleViewSet):
    """Doors of one task of the user; each set of them is a viewset of its own under the same address."""

    model = RenderJob
    serializer_class: type[Serializer] = shapes.TaskSerializer

    @property
    def actor(self) -> User:
        return cast(User, self.request.user)

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("drive", "user", "scene_file__blob", "scene_file__folder", "hold")

    def shown(self, job: RenderJob, code: int = status.HTTP_200_OK) -> Response:
        return Response(shapes.TaskSerializer(job).data, status=code)

    def rows(
        self, rows: QuerySet, serializer: type[Serializer], key: str, default: int, cap: int
    ) -> Response:
        """A page of what belongs to a task."""
        self.results_key, self.default_limit, self.max_limit = key, default, cap
        self.serializer_class = serializer
        return self.page(rows)

    def asked(self, name: str, default: str = "") -> str:
        request: Request = self.request
        return request.query_params.get(name) or default
