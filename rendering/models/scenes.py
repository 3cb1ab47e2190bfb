"""Reports of the pre-flight."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common.models import StateRow
from drives.models import Blob


class SceneReport(StateRow):
    """What the pre-flight found in a scene, kept per content: pending → ready | failed, failed → pending later."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")

    TRANSITIONS = {Status.PENDING: {Status.READY, Status.FAILED}, Status.FAILED: {Status.PENDING}}

    blob = models.ForeignKey(Blob, models.CASCADE, related_name="scene_reports", verbose_name=_("blob"))
    engine = models.CharField(_("engine"), max_length=20)
    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.PENDING)
    due_at = models.DateTimeField(_("to be inspected at"))
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    data = models.JSONField(_("findings"), default=dict, blank=True)
    failure_code = models.CharField(_("failure code"), max_length=50, blank=True)
    message = models.CharField(_("message"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("scene report")
        verbose_name_plural = _("scene reports")
        constraints = [models.UniqueConstraint(fields=["blob", "engine"], name="rendering_report_content")]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status="pending"), name="rendering_report_due")
        ]

    def __str__(self) -> str:
        return f"{self.engine} {self.get_status_display()}"
