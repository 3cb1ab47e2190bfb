"""What the apps' admin pages share."""

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline


class NoWriting:
    """Neither added, changed nor deleted by hand, not by superusers either."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(NoWriting, ModelAdmin):
    """Rows to look at. Actions that call services still work; they declare permissions of their own."""


class ReadOnlyInline(NoWriting, TabularInline):
    """Rows to look at, on the page of what they belong to."""

    extra = 0
    can_delete = False
