"""The numbers of the dashboard: a few aggregates, cached for a minute for all operators who may see them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import User
from billing.models import LedgerEntry
from common.lists import since
from drives.models import Drive
from rendering.models import FrameOutput, RenderJob, RenderNode

CHART_DAYS = 30
Kind = LedgerEntry.Kind
Status = RenderJob.Status
# Whatever lies behind more than one file lies in the storage once.
SAVED = """
SELECT coalesce(sum(blob.size * (shared.files - 1)), 0)
  FROM (SELECT blob_id, count(*) AS files FROM drives_file GROUP BY blob_id HAVING count(*) > 1) shared
  JOIN drives_blob blob ON blob.id = shared.blob_id
"""


def today() -> date:
    return timezone.localdate()


def midnight(days_ago: int = 0) -> datetime:
    now = timezone.localtime() - timedelta(days=days_ago)
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Group:
    """Figures that one right shows, and how long they are kept in seconds."""

    right: str
    read: Callable[[], dict[str, Any]]
    seconds: int = 60

    def figures(self) -> dict[str, Any]:
        found: Any = cache.get_or_set(f"office:{self.read.__name__}", self.read, self.seconds)
        return found


def money() -> dict[str, Any]:
    """CNY a day for 30 days: consumed (without what was refunded), and recharged."""
    rows = since(LedgerEntry.objects.filter(wallet__currency="CNY"), midnight(CHART_DAYS - 1))
    by_day = (
        rows.filter(kind__in=(Kind.CONSUME, Kind.REFUND, Kind.RECHARGE))
        .annotate(day=TruncDate("created_at"))
        .values_list("day", "kind")
        .annotate(total=Sum("amount"))
    )
    days = [today() - timedelta(days=ago) for ago in reversed(range(CHART_DAYS))]
    revenue, recharged = dict.fromkeys(days, Decimal(0)), dict.fromkeys(days, Decimal(0))
    for day, kind, total in by_day:
        if day not in revenue:
            continue  # of the moment before midnight
        if kind == Kind.RECHARGE:
            recharged[day] += total
        else:
            revenue[day] -= total
    return {"days": days, "revenue": list(revenue.values()), "recharged": list(recharged.values())}


def jobs() -> dict[str, Any]:
    """Jobs that wait or render, and those that failed since yesterday."""
    living = RenderJob.objects.filter(deleted_at__isnull=True)
    recent = Q(status=Status.FAILED, completed_at__gte=timezone.now() - timedelta(days=1))
    return living.aggregate(
        running=Count("pk", Q(status=Status.RENDERING)),
        queued=Count("pk", Q(status__in=(Status.PENDING, Status.QUEUED))),
        failed=Count("pk", recent),
    )


def frames() -> dict[str, Any]:
    """Frames rendered in the last hour."""
    outputs = since(FrameOutput.objects.all(), timezone.now() - timedelta(hours=1))
    return outputs.aggregate(frames=Count("frame", distinct=True))


def nodes() -> dict[str, Any]:
    """Render nodes by state: working, draining, disabled, silent."""
    living = Q(pk__in=RenderNode.objects.living().values("pk"))
    in_service = ~Q(state=RenderNode.State.DISABLED)
    return RenderNode.objects.aggregate(
        online=Count("pk", living & Q(state=RenderNode.State.ENABLED)),
        draining=Count("pk", living & Q(state=RenderNode.State.DRAINING)),
        disabled=Count("pk", Q(state=RenderNode.State.DISABLED)),
        lost=Count("pk", ~living & in_service),
    )


def storage() -> dict[str, Any]:
    """Bytes that drives hold, and bytes saved because the same content is stored once."""
    used = Drive.objects.filter(is_active=True).aggregate(used=Sum("used_size"))["used"] or 0
    with connection.cursor() as cursor:
        cursor.execute(SAVED)
        (saved,) = cursor.fetchone()
    return {"used": int(used), "saved": int(saved)}


def people() -> dict[str, Any]:
    """New users today and in seven days."""
    new = since(User.objects.all(), midnight(6))
    return new.aggregate(today=Count("pk", Q(created_at__gte=midnight())), week=Count("pk"))


GROUPS = {
    "money": Group("billing.view_ledgerentry", money),
    "jobs": Group("rendering.view_renderjob", jobs),
    "frames": Group("rendering.view_attempt", frames),
    "nodes": Group("rendering.view_rendernode", nodes),
    "storage": Group("drives.view_drive", storage, seconds=600),
    "people": Group("accounts.view_user", people),
}
