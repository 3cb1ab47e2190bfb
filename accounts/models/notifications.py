"""Messages to users that stay until they are read."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from common.models import Row


class NotificationQuerySet(models.QuerySet["Notification"]):
    def visible_to(self, user: User) -> NotificationQuerySet:
        return self.filter(user=user)

    def unread(self) -> NotificationQuerySet:
        return self.filter(read_at__isnull=True)


class Notification(Row):
    """`title` and `message` are English source texts with `params`; they are translated when they are read."""

    class Level(models.TextChoices):
        INFO = "info", _("Information")
        SUCCESS = "success", _("Success")
        WARNING = "warning", _("Warning")
        ERROR = "error", _("Error")

    user = models.ForeignKey(User, models.CASCADE, related_name="notifications", verbose_name=_("user"))
    level = models.CharField(_("level"), max_length=10, choices=Level.choices, default=Level.INFO)
    title = models.CharField(_("title"), max_length=200)
    message = models.CharField(_("message"), max_length=1000, blank=True)
    params = models.JSONField(_("values"), default=dict, blank=True)
    action_url = models.CharField(_("address"), max_length=500, blank=True)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        indexes = [
            models.Index(fields=["user", "-created_at"], name="accounts_notification_user"),
            models.Index(
                fields=["user"], condition=Q(read_at__isnull=True), name="accounts_notification_unread"
            ),
        ]

    def __str__(self) -> str:
        return self.title
