"""What happened, and what users were told. Only to be read."""

from django.contrib import admin

from accounts.models import AuditEvent, Notification
from common.admin import ReadOnlyAdmin


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "action", "user", "actor", "target_type", "target_id", "ip", "device")
    list_filter = ("action", "target_type")
    list_select_related = ("user", "actor")
    search_fields = ("user__username", "user__phone", "actor__username", "target_id", "ip", "request_id")
    ordering = ("-created_at", "-pk")
    date_hierarchy = "created_at"


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = ("user", "level", "title", "created_at", "read_at")
    list_filter = ("level", ("read_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("user__username", "user__phone", "title")
    ordering = ("-created_at", "-pk")
