"""What an operator should look at now. A further alert is one more entry of ALERTS.

An alert is shown to operators with its right while its count is not zero. Counts are cheap and cached for a minute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import ngettext_lazy
from django_celery_results.models import TaskResult

from billing.models import (
    CreditRequest,
    InvoiceRequest,
    MoneyAlert,
    ReconciliationDifference,
    ReconciliationRun,
    VoucherBatch,
)
from rendering.models import Attempt, RenderJob, RenderNode

PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Alert:
    """`text` speaks of `%(count)s` things; `address` with the query `narrowed` lists them."""

    key: str
    right: str
    count: Callable[[], int]
    text: Any
    address: str
    narrowed: str = ""

    def seen_by(self, request: HttpRequest) -> dict[str, Any] | None:
        """The text and its link, where there is something that the operator may see."""
        if not request.user.has_perm(self.right):
            return None
        count = cache.get_or_set(f"office:alert:{self.key}", self.count, 60)
        if not count:
            return None
        return {"text": self.text % {"count": count}, "link": reverse(self.address) + self.narrowed}


def lost_nodes() -> int:
    in_service = RenderNode.objects.exclude(state=RenderNode.State.DISABLED)
    return in_service.exclude(pk__in=RenderNode.objects.living().values("pk")).count()


def waiting_jobs() -> int:
    running = Attempt.objects.filter(job=OuterRef("pk"), status=Attempt.Status.RUNNING)
    jobs = RenderJob.objects.filter(
        status__in=RenderJob.CLAIMABLE_STATUSES, has_ready_frames=True,
        submitted_at__lt=timezone.now() - PATIENCE,
    )  # fmt: skip
    return jobs.filter(~Exists(running))[:1000].count()


def failed_tasks() -> int:
    recent = TaskResult.objects.filter(date_done__gte=timezone.now() - timedelta(days=1))
    return recent.filter(status="FAILURE")[:1000].count()


def credits_to_check() -> int:
    return CreditRequest.objects.filter(status=CreditRequest.Status.PENDING)[:1000].count()


def batches_to_check() -> int:
    return VoucherBatch.objects.filter(status=VoucherBatch.Status.PENDING)[:1000].count()


def failed_runs() -> int:
    return ReconciliationRun.objects.filter(status=ReconciliationRun.Status.FAILED)[:1000].count()


def open_differences() -> int:
    return ReconciliationDifference.objects.filter(resolved_at__isnull=True)[:1000].count()


def open_money_alerts() -> int:
    return MoneyAlert.objects.filter(resolved_at__isnull=True)[:1000].count()


def invoices_to_issue() -> int:
    return InvoiceRequest.objects.filter(status=InvoiceRequest.Status.REQUESTED)[:1000].count()


ALERTS: tuple[Alert, ...] = (
    Alert(
        "lost-nodes", "rendering.view_rendernode", lost_nodes,
        ngettext_lazy(
            "%(count)s render node does not answer",
            "%(count)s render nodes do not answer",
            "count",
        ),
        "admin:rendering_rendernode_changelist", "?life=lost",
    ),
    Alert(
        "queue", "rendering.view_renderjob", waiting_jobs,
        ngettext_lazy(
            "%(count)s task has waited longer than 10 minutes",
            "%(count)s tasks have waited longer than 10 minutes",
            "count",
        ),
        "admin:queue",
    ),
    Alert(
        "failed-tasks", "django_celery_results.view_taskresult", failed_tasks,
        ngettext_lazy(
            "%(count)s background task failed since yesterday",
            "%(count)s background tasks failed since yesterday",
            "count",
        ),
        "admin:django_celery_results_taskresult_changelist", "?status__exact=FAILURE",
    ),
    Alert(
        "reconciliation", "billing.view_reconciliationrun", failed_runs,
        ngettext_lazy(
            "%(count)s reconciliation failed",
            "%(count)s reconciliations failed",
            "count",
        ),
        "admin:billing_reconciliationrun_changelist", "?status__exact=failed",
    ),
    Alert(
        "differences", "billing.view_reconciliationdifference", open_differences,
        ngettext_lazy(
            "%(count)s difference of money is not resolved",
            "%(count)s differences of money are not resolved",
            "count",
        ),
        "admin:billing_reconciliationdifference_changelist", "?resolved_at__isempty=1",
    ),
    Alert(
        "money", "billing.view_moneyalert", open_money_alerts,
        ngettext_lazy(
            "%(count)s alert about money is open",
            "%(count)s alerts about money are open",
            "count",
        ),
        "admin:billing_moneyalert_changelist", "?resolved_at__isempty=1",
    ),
    Alert(
        "invoices", "billing.issue_invoicerequest", invoices_to_issue,
        ngettext_lazy(
            "%(count)s invoice is asked for",
            "%(count)s invoices are asked for",
            "count",
        ),
        "admin:billing_invoicerequest_changelist", "?status__exact=requested",
    ),
    Alert(
        "credits", "billing.check_creditrequest", credits_to_check,
        ngettext_lazy(
            "%(count)s credit by hand waits for a second operator",
            "%(count)s credits by hand wait for a second operator",
            "count",
        ),
        "admin:billing_creditrequest_changelist", "?status__exact=pending",
    ),
    Alert(
        "voucher-batches", "billing.check_creditrequest", batches_to_check,
        ngettext_lazy(
            "%(count)s voucher batch waits for a second operator",
            "%(count)s voucher batches wait for a second operator",
            "count",
        ),
        "admin:billing_voucherbatch_changelist", "?status__exact=pending",
    ),
)  # fmt: skip


def alerts_for(request: HttpRequest) -> list[dict[str, Any]]:
    return [seen for alert in ALERTS if (seen := alert.seen_by(request))]
