"""Messages to users that stay until they are read."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.timezone import localtime
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
        return f"{self.get_level_display()} {localtime(self.created_at):%Y-%m-%d %H:%M}"


class Notice(Row):
    """The same notification for all users, or for those of one level. `last_user_id` is how far it was sent, by id."""

    title = models.CharField(_("title"), max_length=200)
    message = models.CharField(_("message"), max_length=1000, blank=True)
    level = models.CharField(
        _("level"), max_length=10, choices=Notification.Level.choices, default=Notification.Level.INFO
    )
    member_level = models.PositiveSmallIntegerField(
        _("member level"),
        choices=User.MemberLevel.choices,
        null=True,
        blank=True,
        help_text=_("Empty: all users"),
    )
    actor = models.ForeignKey(
        User, models.PROTECT, related_name="+", editable=False, verbose_name=_("operator")
    )
    last_user_id = models.UUIDField(_("sent up to"), null=True, editable=False)
    sent_count = models.PositiveIntegerField(_("sent to"), default=0, editable=False)
    finished_at = models.DateTimeField(_("finished at"), null=True, editable=False)

    class Meta:
        verbose_name = _("notice to users")
        verbose_name_plural = _("notices to users")
        indexes = [
            models.Index(
                fields=["id"], condition=Q(finished_at__isnull=True), name="accounts_notice_unfinished"
            )
        ]

    def __str__(self) -> str:
        return self.title
