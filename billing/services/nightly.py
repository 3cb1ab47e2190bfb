"""Nightly reconciliation: each kind once a day, whoever starts it and how often. Differences are kept, never
corrected.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop, override

from accounts.models import User
from billing.models import LedgerEntry, ReconciliationDifference, ReconciliationRun, Wallet
from billing.services.operators import LANGUAGE, alert
from billing.services.parking import park
from billing.services.reconciliation import audit_ledger
from common.errors import Invalid

logger = logging.getLogger(__name__)
Kind = ReconciliationRun.Kind
Status = ReconciliationRun.Status
ABANDONED_AFTER = timedelta(hours=1)
"""A run that has not ended after this time died with its worker."""
RIGHT = "billing.park_wallet"


@dataclass(frozen=True)
class Finding:
    """Something that does not agree: the name of the check, what it concerns, and how it differs."""

    check: str
    subject: str
    detail: str
    wallet_id: UUID | None = None
    task_id: UUID | None = None


@dataclass
class Report:
    """What a check looked at, and what it found."""

    checked: int
    findings: list[Finding] = field(default_factory=list)


Check = Callable[[date], Report]
CHECKS: dict[str, Check] = {}
"""By kind; `register` adds to it, also for the apps above billing."""


def register(kind: str, check: Check) -> None:
    CHECKS[kind] = check


def check_ledger(day: date) -> Report:
    """The audit of all wallets as they are now. Those that fail it are parked."""
    faults: dict[UUID, list[str]] = {}
    for fault in audit_ledger():
        faults.setdefault(fault.wallet_id, []).append(f"{fault.check} ({fault.detail})")
    wallets = Wallet.objects.in_bulk(faults)
    findings = []
    for wallet_id, failed in faults.items():
        detail = ", ".join(failed)
        park(wallet=wallets[wallet_id], reason=detail)
        findings.append(Finding("ledger", str(wallet_id), detail, wallet_id=wallet_id))
    return Report(LedgerEntry.objects.count(), findings)


register(Kind.LEDGER, check_ledger)


def reconcile(*, kind: str, day: date) -> ReconciliationRun | None:
    """Run the check of `kind` for `day`; None where it was run before, or somebody else runs it right now."""
    run = claim(kind, day)
    if run is None:
        return None
    try:
        report = CHECKS[kind](day)
    except Exception as error:  # whatever it was: the run says so, and operators hear of it
        logger.exception("reconciliation of %s for %s failed", kind, day)
        finish(run, Report(0), Status.FAILED, error=f"{type(error).__name__}: {error}")
        return run
    finish(run, report, Status.DIFFERENT if report.findings else Status.CLEAN)
    return run


def claim(kind: str, day: date) -> ReconciliationRun | None:
    """The run, which is the caller's alone."""
    now = timezone.now()
    run, is_new = ReconciliationRun.objects.get_or_create(kind=kind, day=day, defaults={"started_at": now})
    if is_new:
        return run
    open_again = Q(status=Status.FAILED) | Q(status=Status.RUNNING, started_at__lt=now - ABANDONED_AFTER)
    taken = ReconciliationRun.objects.filter(open_again, pk=run.pk)
    if not taken.update(status=Status.RUNNING, started_at=now, finished_at=None, error="", updated_at=now):
        return None
    run.refresh_from_db()
    return run


def finish(run: ReconciliationRun, report: Report, status: Status, *, error: str = "") -> None:
    """Write down what was found, unless the run was taken for dead and is somebody else's by now."""
    now = timezone.now()
    with transaction.atomic():
        mine = ReconciliationRun.objects.filter(pk=run.pk, status=Status.RUNNING, started_at=run.started_at)
        ended = {"status": status, "finished_at": now, "updated_at": now, "error": error[:500]}
        counts = {"checked": report.checked, "differences_count": len(report.findings)}
        if not mine.update(**ended, **counts):
            return
        ReconciliationDifference.objects.bulk_create(
            [
                ReconciliationDifference(
                    run=run,
                    check_name=each.check,
                    subject=each.subject,
                    detail=each.detail[:500],
                    wallet_id=each.wallet_id,
                    task_id=each.task_id,
                )
                for each in report.findings
            ],
            ignore_conflicts=True,
        )
        if status != Status.CLEAN:
            tell(run, report, status)
    run.refresh_from_db()


def tell(run: ReconciliationRun, report: Report, status: Status) -> None:
    failed = status == Status.FAILED
    with override(LANGUAGE):
        kind = str(run.get_kind_display())
    alert(
        right=RIGHT,
        title=gettext_noop("Reconciliation of %(day)s: %(kind)s"),
        message=gettext_noop("The check itself failed; it is tried again with the next run.")
        if failed
        else gettext_noop("%(count)s differences. Wallets whose ledger does not add up are parked."),
        params={"day": str(run.day), "kind": kind, "count": len(report.findings)},
        action_url=f"/admin/billing/reconciliationrun/{run.pk}/change/",
    )


def reconcile_due(*, today: date, kinds: list[str] | None = None) -> list[ReconciliationRun]:
    """Reconcile the day before `today` in all kinds, and of those that look at days the six before it that nobody
    reconciled. Run again, late, or by two at once, it does what is left."""
    runs = []
    for kind in kinds or list(CHECKS):
        days = 7 if kind == Kind.ORDERS else 1
        for back in range(days, 0, -1):
            run = reconcile(kind=kind, day=today - timedelta(days=back))
            if run is not None:
                runs.append(run)
    return runs


def resolve(*, difference: ReconciliationDifference, actor: User, note: str, now: datetime) -> bool:
    """Write down how a difference was put right; the first who says so. Raises Invalid."""
    if not note.strip():
        raise Invalid(field="note")
    still_open = ReconciliationDifference.objects.filter(pk=difference.pk, resolved_at__isnull=True)
    return bool(still_open.update(resolved_at=now, resolved_by=actor, note=note[:500], updated_at=now))
