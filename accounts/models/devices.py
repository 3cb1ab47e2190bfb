"""Devices that sign in by themselves."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.sessions import Session
from accounts.models.users import User
from common.models import Row


class DeviceQuerySet(models.QuerySet["Device"]):
    def visible_to(self, user: User) -> DeviceQuerySet:
        return self.filter(user=user, revoked_at__isnull=True)


class Device(Row):
    """A device with a secret of its own, issued at its first sign-in and kept hashed."""

    user = models.ForeignKey(User, models.CASCADE, related_name="devices", verbose_name=_("user"))
    device_id = models.CharField(_("device id"), max_length=128, unique=True)
    secret_hash = models.CharField(max_length=64, editable=False)
    name = models.CharField(_("name"), max_length=100, blank=True)
    sessions = models.ManyToManyField(
        Session, related_name="devices", blank=True, editable=False, verbose_name=_("sessions")
    )
    last_seen_at = models.DateTimeField(_("last seen at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("devices")

    def __str__(self) -> str:
        return self.name or self.device_id[:16]


class AppPasswordQuerySet(models.QuerySet["AppPassword"]):
    def visible_to(self, user: User) -> AppPasswordQuerySet:
        return self.filter(user=user, revoked_at__isnull=True)


class AppPassword(Row):
    """A password for one program on one device, for the network drive alone; random, shown once and kept hashed."""

    user = models.ForeignKey(User, models.CASCADE, related_name="app_passwords", verbose_name=_("user"))
    name = models.CharField(_("name"), max_length=100)
    secret_hash = models.CharField(max_length=64, unique=True, editable=False)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    objects = AppPasswordQuerySet.as_manager()

    class Meta:
        verbose_name = _("app password")
        verbose_name_plural = _("app passwords")
        indexes = [models.Index(fields=["user", "-created_at"], name="accounts_apppassword_user")]

    def __str__(self) -> str:
        return self.name
