"""Signed-in devices."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from common.models import Row


class SessionQuerySet(models.QuerySet["Session"]):
    def visible_to(self, user: User) -> SessionQuerySet:
        return self.filter(user=user)

    def living(self, now: datetime) -> SessionQuerySet:
        return self.filter(revoked_at__isnull=True, expires_at__gt=now, user__is_active=True)


class Session(Row):
    """A signed-in device. Both tokens carry its id; ending the row ends them at once.

    `refresh_jti` is the only refresh token that rotates; `previous_jti` was rotated at `rotated_at` and gets the
    very same successor for a short grace (parallel tabs). Any other valid token of the session is a stolen one.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="sessions", verbose_name=_("user"))
    device = models.CharField(_("device"), max_length=255, blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    refresh_jti = models.UUIDField(_("current refresh token"))
    previous_jti = models.UUIDField(_("previous refresh token"), null=True, blank=True)
    rotated_at = models.DateTimeField(_("tokens issued at"))
    last_seen_at = models.DateTimeField(_("last seen at"))
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        indexes = [models.Index(fields=["user", "-created_at"], name="accounts_session_user")]

    def __str__(self) -> str:
        return self.device[:60] or self.ip or str(self.pk)
