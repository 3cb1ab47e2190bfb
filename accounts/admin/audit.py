"""The audit log and what users were told, read-only."""

from contextlib import suppress
from typing import Any, cast

from django import forms
from django.apps import apps
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.http import HttpRequest
from django.template.defaultfilters import truncatechars
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.models import AuditEvent, Notice, Notification, User
from accounts.services import notices
from accounts.services.notifications import rendered
from common.admin import AuditedAdmin, ReadOnlyAdmin

KEYS = {
    "action": _("deed"),
    "amount": _("amount"),
    "avatar": _("picture"),
    "balance": _("balance"),
    "devices": _("devices"),
    "door": _("entrance"),
    "ips": _("addresses"),
    "name": _("name"),
    "nickname": _("nickname"),
    "number": _("number"),
    "order_no": _("order number"),
    "reason": _("reason"),
    "role": _("role"),
    "sessions": _("sessions"),
    "team": _("team"),
    "verified": _("verified"),
}
"""What is written into events and is no field of their object."""


def worded(event: AuditEvent, key: str, value: Any) -> str:
    """What was set, as the pages of the object name it."""
    model: Any = None
    field: Any = None
    with suppress(LookupError, ValueError, FieldDoesNotExist):
        model = apps.get_model(event.target_type)
        field = model._meta.get_field(key)
    name = getattr(field, "verbose_name", None) or KEYS.get(key, key)
    if isinstance(value, bool):
        value = gettext("Yes") if value else gettext("No")
    elif key == "action" and model and admin.site.is_registered(model):
        deed = getattr(admin.site.get_model_admin(model), value, None)
        value = getattr(deed, "short_description", value)
    elif isinstance(value, str | int):
        value = dict(getattr(field, "flatchoices", ())).get(value, value)
    return f"{name}: {'–' if value is None else value}"


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at", "action", "user", "actor", "target", "values", "ip", "shown_device",
    )  # fmt: skip
    list_filter = ("action",)
    list_select_related = ("user", "actor")
    search_fields = ("=target_id", "=ip", "=request_id", "user__username", "actor__username")
    search_help_text = _("A user or an operator, the id of an object, an address, a request")
    sortable_by = ("created_at",)
    ordering = ("-created_at", "-pk")

    @admin.display(description=_("object"))
    def target(self, event: AuditEvent) -> str:
        """The kind of the row, linked to its page where it has one."""
        try:
            model = apps.get_model(event.target_type)
            page = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
            address = reverse(page, args=[event.target_id])
        except (LookupError, ValueError, NoReverseMatch):
            return f"{event.target_type} {event.target_id}".strip()
        return format_html(
            '<a href="{}" title="{}">{}</a>', address, event.target_id, model._meta.verbose_name
        )

    @admin.display(description=_("device"))
    def shown_device(self, event: AuditEvent) -> str:
        return truncatechars(event.device, 30)

    @admin.display(description=_("values"))
    def values(self, event: AuditEvent) -> str:
        return truncatechars(", ".join(worded(event, *each) for each in event.after.items()), 120)


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """What users see, in the operator's language."""

    list_display = ("user", "level", "shown_title", "created_at", "read_at")
    fields = ("user", "level", "shown_title", "shown_message", "action_url", "created_at", "read_at")
    list_filter = ("level", ("read_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("user__username",)
    sortable_by = ("created_at",)
    ordering = ("-created_at", "-pk")

    @admin.display(description=_("title"))
    def shown_title(self, row: Notification) -> str:
        return rendered(row.title, row.params)

    @admin.display(description=_("message"))
    def shown_message(self, row: Notification) -> str:
        return rendered(row.message, row.params)


class NoticeForm(forms.ModelForm):
    class Meta:
        widgets = {"message": UnfoldAdminTextareaWidget}


@admin.register(Notice)
class NoticeAdmin(AuditedAdmin):
    """Notices to all users, or to those of one level. What was sent can be neither changed nor taken back."""

    form = NoticeForm
    list_display = ("title", "member_level", "actor", "sent_count", "created_at", "finished_at")
    list_select_related = ("actor",)
    search_fields = ("title",)
    ordering = ("-created_at", "-pk")
    fields = ("title", "message", "level", "member_level")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            warning = _("It is sent at once, and cannot be taken back.")
            return ((None, {"fields": self.fields, "description": warning}),)
        return ((None, {"fields": (*self.fields, "actor", "sent_count", "created_at", "finished_at")}),)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.notify_user")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Notice, form: Any, change: bool) -> None:
        notices.announce(notice=obj, actor=cast(User, request.user))
