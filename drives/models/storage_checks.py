"""Results of comparing database and storage."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from common.models import Row


class StorageCheck(Row):
    """One comparison, by the schedule or at the hand of an operator; the first findings are kept with it."""

    begun_at = models.DateTimeField(_("begun at"), null=True, editable=False)
    finished_at = models.DateTimeField(_("finished at"), null=True, editable=False)
    blobs = models.PositiveBigIntegerField(_("blobs"), default=0, editable=False)
    objects_seen = models.PositiveBigIntegerField(_("objects in the storage"), default=0, editable=False)
    missing = models.PositiveBigIntegerField(_("missing"), default=0, editable=False)
    orphaned = models.PositiveBigIntegerField(_("orphaned"), default=0, editable=False)
    altered = models.PositiveBigIntegerField(_("altered"), default=0, editable=False)
    findings = models.JSONField(_("findings"), default=list, editable=False)
    error = models.CharField(_("error"), max_length=500, blank=True, editable=False)

    class Meta:
        verbose_name = _("storage check")
        verbose_name_plural = _("storage checks")

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M}"
