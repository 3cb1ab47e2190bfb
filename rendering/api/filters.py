"""Filters and orders of the list of tasks."""

from datetime import UTC, datetime, time

from django.db.models import F, QuerySet
from django.utils.dateparse import parse_date, parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from common.errors import Invalid
from common.renderers import desktop_status, is_desktop_client
from rendering.models import RenderJob

Status = RenderJob.Status
ORDERS = ("created_at", "updated_at", "submitted_at", "completed_at", "task_name", "priority", "status")
PARAMETERS = [
    OpenApiParameter("status", OpenApiTypes.STR, description="A number from 0 to 7, or several: `2,3`."),
    OpenApiParameter("engine", OpenApiTypes.STR),
    OpenApiParameter("priority", OpenApiTypes.INT, enum=RenderJob.Priority.values),
    OpenApiParameter("search", OpenApiTypes.STR, description="Part of the name."),
    OpenApiParameter(
        "created_after", OpenApiTypes.DATETIME, description="A time, or a day (UTC): from then on."
    ),
    OpenApiParameter(
        "created_before", OpenApiTypes.DATETIME, description="A time, or a day (UTC): before it."
    ),
    OpenApiParameter(
        "ordering", OpenApiTypes.STR, enum=[sign + name for name in ORDERS for sign in ("", "-")]
    ),
]


def narrowed(rows: QuerySet[RenderJob], request: Request) -> QuerySet[RenderJob]:
    """The rows that the query asks for, in its order; newest first by default. Raises Invalid."""
    wanted = request.query_params
    if text := wanted.get("status"):
        rows = rows.filter(status__in=statuses(text, request))
    if engine := wanted.get("engine"):
        rows = rows.filter(engine=engine)
    if text := wanted.get("priority"):
        if text not in map(str, RenderJob.Priority.values):
            raise Invalid(field="priority")
        rows = rows.filter(priority=int(text))
    if text := wanted.get("search", "").strip():
        if "\0" in text:
            raise Invalid(field="search")
        rows = rows.filter(task_name__icontains=text)
    if text := wanted.get("created_after"):
        rows = rows.filter(created_at__gte=moment(text, "created_after"))
    if text := wanted.get("created_before"):
        rows = rows.filter(created_at__lt=moment(text, "created_before"))
    return ordered(rows, wanted.get("ordering") or "-created_at")


def statuses(text: str, request: Request) -> list[int]:
    """The statuses that were asked for, given by the client's own numbers."""
    numbers = {str(number): [number] for number in Status.values}
    if is_desktop_client(request):
        # Its Uploading, 1, is a status without rows here.
        numbers = {"1": [], **{str(desktop_status(number)): [number] for number in Status.values}}
    asked = text.split(",")
    if not set(asked) <= set(numbers):
        raise Invalid(field="status")
    return [number for each in asked for number in numbers[each]]


def moment(text: str, field: str) -> datetime:
    try:
        # A plus that was not encoded arrives as a blank.
        found = parse_datetime(text.replace(" ", "+")) if "T" in text else None
        day = None if found else parse_date(text)
    except ValueError:
        found = day = None
    if day:
        found = datetime.combine(day, time(), UTC)
    if found is None:
        raise Invalid(field=field)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def ordered(rows: QuerySet[RenderJob], text: str) -> QuerySet[RenderJob]:
    name, is_descending = text.removeprefix("-"), text.startswith("-")
    if name not in ORDERS:
        raise Invalid(field="ordering")
    if is_descending:
        return rows.order_by(F(name).desc(nulls_last=True), "-pk")
    return rows.order_by(F(name).asc(nulls_last=True), "pk")
