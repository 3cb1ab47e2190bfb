"""What happened to accounts, for their owners and for operators."""

from __future__ import annotations

from django.db import models
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from common.ids import new_id


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def visible_to(self, user: User) -> AuditEventQuerySet:
        return self.filter(user=user)


class AuditEvent(models.Model):
    """Who did what, on what, from where. Append-only: PostgreSQL refuses changes, as with the ledger.

    `user` is the account concerned (its security log); `actor` is who acted: the user, an operator, or None where
    that is not known (a failed sign-in, a schedule). `before` and `after` hold the changed values, never secrets.
    """

    class Action(models.TextChoices):
        REGISTERED = "registered", _("Registered")
        LOGIN = "login", _("Signed in")
        LOGIN_FAILED = "login_failed", _("Sign-in failed")
        LOGIN_LOCKED = "login_locked", _("Sign-in locked")
        SESSION_ENDED = "session_ended", _("Session ended")
        TOKEN_REUSED = "token_reused", _("Stolen token refused")
        PASSWORD_CHANGED = "password_changed", _("Password changed")
        PHONE_BOUND = "phone_bound", _("Phone bound")
        EMAIL_CHANGED = "email_changed", _("E-mail changed")
        PROFILE_CHANGED = "profile_changed", _("Profile changed")
        WECHAT_BOUND = "wechat_bound", _("WeChat bound")
        WECHAT_UNBOUND = "wechat_unbound", _("WeChat unbound")
        BLOCKED = "blocked", _("Blocked")
        UNBLOCKED = "unblocked", _("Unblocked")
        DELETION_REQUESTED = "deletion_requested", _("Deletion requested")
        DELETION_CANCELLED = "deletion_cancelled", _("Deletion called off")
        DELETED = "deleted", _("Deleted")
        ROLE_CHANGED = "role_changed", _("Role changed")
        BALANCE_CHANGED = "balance_changed", _("Balance changed")
        ADMIN_ADDED = "admin_added", _("Added by an operator")
        ADMIN_CHANGED = "admin_changed", _("Changed by an operator")
        ADMIN_DELETED = "admin_deleted", _("Deleted by an operator")
        ADMIN_RAN = "admin_ran", _("Action of an operator")
        ADMIN_EXPORTED = "admin_exported", _("List exported by an operator")
        LOCK_LIFTED = "lock_lifted", _("Sign-in unlocked by an operator")
        SECOND_FACTOR_SET = "second_factor_set", _("Second factor set up")
        SECOND_FACTOR_FAILED = "second_factor_failed", _("Second factor refused")
        SECOND_FACTOR_REMOVED = "second_factor_removed", _("Second factor removed")
        FILE_OPENED = "file_opened", _("File opened by an operator")

    BY_OPERATORS = {
        Action.BLOCKED,
        Action.UNBLOCKED,
        Action.BALANCE_CHANGED,
        Action.ADMIN_ADDED,
        Action.ADMIN_CHANGED,
        Action.ADMIN_DELETED,
        Action.ADMIN_RAN,
        Action.ADMIN_EXPORTED,
        Action.LOCK_LIFTED,
        Action.FILE_OPENED,
    }
    """Actions that only operators take, even where none is named: nobody is signed in on the command line."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True, editable=False)
    action = models.CharField(_("action"), max_length=30, choices=Action.choices)
    user = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="audit_events", verbose_name=_("user")
    )
    actor = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("actor")
    )
    target_type = models.CharField(_("kind of object"), max_length=50, blank=True)
    target_id = models.CharField(_("object"), max_length=64, blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    device = models.CharField(_("device"), max_length=255, blank=True)
    request_id = models.CharField(_("request"), max_length=64, blank=True)
    before = models.JSONField(_("before"), default=dict, blank=True)
    after = models.JSONField(_("after"), default=dict, blank=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        indexes = [
            models.Index(fields=["user", "-created_at"], name="accounts_audit_user"),
            models.Index(fields=["-created_at"], name="accounts_audit_time"),
            models.Index(fields=["target_type", "target_id"], name="accounts_audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {localtime(self.created_at):%Y-%m-%d %H:%M}"
