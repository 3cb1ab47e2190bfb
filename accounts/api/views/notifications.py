"""Doors of notifications: /notifications."""

from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import notifications as shapes
from accounts.models import Notification, User
from accounts.services import notifications
from common.serializers import DoneSerializer
from common.views import VisibleViewSet, done

UNREAD = OpenApiParameter("unread", OpenApiTypes.BOOL, description="true: only those that are not read yet.")


@extend_schema(tags=["notifications"])
class NotificationViewSet(ListModelMixin, VisibleViewSet):
    """Notifications of the user, newest first. They go after 90 days."""

    model = Notification
    serializer_class = shapes.NotificationSerializer
    results_key = "notifications"
    open_to_guests = ("read", "read_many", "destroy")

    def narrow(self, rows: Any) -> QuerySet:
        if self.action == "list" and self.request.query_params.get("unread") in ("true", "1"):
            rows = rows.unread()
        return rows.order_by("-created_at", "-pk")

    @extend_schema(parameters=[UNREAD])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Notifications, newest first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(responses=shapes.UnreadCountSerializer)
    @action(detail=False, url_path="unread-count", pagination_class=None)
    def unread_count(self, request: Request) -> Response:
        """How many notifications are not read yet."""
        mine = Notification.objects.visible_to(cast(User, request.user))
        return Response({"unread": mine.unread().count()})

    @extend_schema(request=None, responses=shapes.NotificationSerializer)
    @action(detail=True, methods=["post"])
    def read(self, request: Request, pk: UUID) -> Response:
        """Mark one as read; one that was read before keeps its time."""
        notifications.mark_read(self.get_queryset().filter(pk=pk))
        return Response(shapes.NotificationSerializer(self.get_object()).data)

    @extend_schema(
        operation_id="notifications_read_many",
        request=shapes.ReadSerializer,
        responses=shapes.ReadAnswerSerializer,
    )
    @action(detail=False, methods=["post"], url_path="read")
    def read_many(self, request: Request) -> Response:
        """Mark those of `ids`, or all, as read. Ids of nobody's, or of somebody else's, count for nothing."""
        ids = self.valid(shapes.ReadSerializer, request).get("ids")
        chosen = self.get_queryset() if ids is None else self.get_queryset().filter(pk__in=ids)
        return done(read=notifications.mark_read(chosen))

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete one."""
        notifications.delete(self.get_object())
        return done()
