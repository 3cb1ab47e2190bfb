"""Requests that clients may repeat."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from common.models import Row


class IdempotentRequest(Row):
    """A request with an Idempotency-Key, and its answer. Without a status it is still under way."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user")
    )
    key = models.CharField(_("idempotency key"), max_length=100)
    fingerprint = models.CharField(_("digest of the request"), max_length=64, editable=False)
    started_at = models.DateTimeField(_("started at"))
    status = models.PositiveSmallIntegerField(_("status"), null=True, blank=True)
    body = models.JSONField(_("answer"), null=True, blank=True)

    class Meta:
        verbose_name = _("idempotent request")
        verbose_name_plural = _("idempotent requests")
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="billing_request_key")]
        indexes = [models.Index(fields=["started_at"], name="billing_request_started")]

    def __str__(self) -> str:
        return self.key
