"""Nightly comparisons of money with what it must agree with, and what they found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from billing.models.wallets import Wallet
from common.models import Row

if TYPE_CHECKING:
    from uuid import UUID


class ReconciliationRun(Row):
    """One comparison of one day (Asia/Shanghai); there is one of each kind a day, by whoever comes first.

    running ──▶ clean | different | failed; a failed one, and one that died running, is taken up again.
    """

    class Kind(models.TextChoices):
        LEDGER = "ledger", _("Ledger")
        ORDERS = "orders", _("Orders and the channel's file")
        JOBS = "jobs", _("Render tasks and bills")
        INVOICES = "invoices", _("Invoices and payments")

    class Status(models.TextChoices):
        RUNNING = "running", _("Running")
        CLEAN = "clean", _("No differences")
        DIFFERENT = "different", _("Differences")
        FAILED = "failed", _("Failed")

    FINISHED = (Status.CLEAN, Status.DIFFERENT)

    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    day = models.DateField(_("day"))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.RUNNING)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"), null=True)
    checked = models.PositiveBigIntegerField(_("compared"), default=0)
    differences_count = models.PositiveIntegerField(_("differences"), default=0)
    error = models.CharField(_("error"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        constraints = [
            models.UniqueConstraint(fields=["kind", "day"], name="billing_reconciliation_once"),
            models.CheckConstraint(
                condition=Q(status="running", finished_at__isnull=True)
                | ~Q(status="running") & Q(finished_at__isnull=False),
                name="billing_reconciliation_finished",
            ),
            models.CheckConstraint(
                condition=~Q(status="clean") | Q(differences_count=0), name="billing_reconciliation_clean"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.day}"


class ReconciliationDifference(Row):
    """Something that does not agree. It stays until an operator has said how it was put right."""

    run = models.ForeignKey(
        ReconciliationRun, models.PROTECT, related_name="differences", verbose_name=_("reconciliation")
    )
    check_name = models.CharField(_("check"), max_length=40)
    subject = models.CharField(_("concerned"), max_length=100)
    wallet = models.ForeignKey(
        Wallet, models.PROTECT, null=True, related_name="differences", verbose_name=_("wallet")
    )
    task_id: UUID | None = models.UUIDField(_("render task"), null=True)  # type: ignore[assignment]
    detail = models.CharField(_("what differs"), max_length=500)
    resolved_at = models.DateTimeField(_("resolved at"), null=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("resolved by")
    )
    note = models.CharField(_("how it was put right"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        permissions = [
            ("resolve_reconciliationdifference", gettext_noop("Can resolve differences of reconciliations"))
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "check_name", "subject"], name="billing_difference_once"),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=True, resolved_by__isnull=True)
                | Q(resolved_at__isnull=False, resolved_by__isnull=False) & ~Q(note=""),
                name="billing_difference_resolved_with_a_note",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(resolved_at__isnull=True), name="billing_difference_open"
            )
        ]

    def __str__(self) -> str:
        return f"{self.check_name} {self.subject}"
