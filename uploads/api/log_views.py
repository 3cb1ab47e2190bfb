"""Doors of client logs: /logs. Their keys are camelCase for everybody, as the desktop client has them."""

import base64
from typing import cast

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from common.errors import Conflict, NotVisible, TooLarge
from common.views import VisibleViewSet
from drives.errors import BadName, SizeMismatch
from uploads.api import desktop_serializers as shapes
from uploads.api.long_lists import is_text
from uploads.models import ClientLog
from uploads.services import client_logs


@extend_schema(tags=["logs"])
class LogViewSet(VisibleViewSet):
    """Logs that the user's clients have sent, newest first."""

    model = ClientLog
    serializer_class = shapes.LogSerializer
    results_key = "logs"
    open_to_guests = ("upload",)
    refusals = {"upload": (BadName, SizeMismatch, TooLarge, Conflict)}

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.order_by("-created_at", "-pk")

    @extend_schema(request=shapes.NewLogSerializer, responses=shapes.StoredLogSerializer)
    def upload(self, request: Request) -> Response:
        """Send a log of at most 5 MiB for support. The newest 50 are kept."""
        data = self.valid(shapes.NewLogSerializer, request)
        content = data["log_content"]
        if data["file_size"] not in (None, len(content)):
            raise SizeMismatch(expected=data["file_size"], actual=len(content), field="file_size")
        log = client_logs.store_log(
            user=cast(User, request.user), file_name=data["file_name"], content=content, now=timezone.now()
        )
        body = {
            "success": True,
            "message": _("The log has arrived."),
            "savedPath": client_logs.path_of(log),
            "fileName": log.file_name,
        }
        return Response(body)

    @extend_schema(
        parameters=[OpenApiParameter(name, {"type": "integer", "minimum": 0}) for name in ("skip", "limit")],
        responses=shapes.LogPageSerializer,
        filters=False,
    )
    def list(self, request: Request) -> Response:
        """Logs of the user."""
        page = self.page(self.get_queryset())
        page.data["success"] = True
        return page

    @extend_schema(
        parameters=[
            OpenApiParameter("date", OpenApiTypes.DATE, "path"),
            OpenApiParameter("file_name", OpenApiTypes.STR, "path"),
        ],
        responses=shapes.LogContentSerializer,
    )
    def download(self, request: Request, date: str, file_name: str) -> Response:
        """A log of the user, by its day and name."""
        try:
            day = parse_date(date)
        except ValueError:
            day = None
        rows = self.get_queryset().select_related("blob")
        sane = day is not None and is_text(file_name, 255)
        log = rows.filter(log_date=day, file_name=file_name).first() if sane else None
        if log is None:
            raise NotVisible
        content = base64.b64encode(client_logs.content_of(log)).decode()
        return Response({"success": True, "fileName": log.file_name, "content": content})
