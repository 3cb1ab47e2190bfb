"""What the apps' admin pages share."""

import functools
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from unfold.admin import TabularInline

from common.exports import cell, heading, stream_csv
from common.lists import BigLists
from common.numbers import PlainNumbers
from common.signals import operator_acted

SECRET = re.compile(r"password|secret|token|jti|hash")
"""Names of fields whose values are never recorded."""


class Deed(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"
    RAN = "ran"
    """An action over chosen rows; `after` holds its name."""
    EXPORTED = "exported"
    """A list was exported as a file. There is no row: `after` holds which list it was, and its filter."""


def plain(value: Any) -> Any:
    """`value` as JSON: a row as its id, anything else that JSON does not know as its text."""
    if isinstance(value, QuerySet | list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, Model):
        return plain(value.pk)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    try:
        # Times, decimals and ids as the API writes them.
        if isinstance(value, datetime):
            value = value.astimezone(UTC)
        return json.loads(json.dumps(value, cls=DjangoJSONEncoder))
    except TypeError:
        return str(value)


def values_of(row: Model) -> dict[str, Any]:
    """The columns of `row`, without secrets."""
    fields = [field for field in row._meta.concrete_fields if not SECRET.search(field.name)]
    return {field.name: plain(field.value_from_object(row)) for field in fields}


class ChangeMessage(list[Any]):
    """Django's message about a changed form, with old and new values; for secrets only the fact that they changed."""

    def __init__(self, message: Iterable[Any], form: BaseForm) -> None:
        super().__init__(message)
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}
        for name in form.changed_data:
            if SECRET.search(name):
                self.before[name] = self.after[name] = "***"
                continue
            before, after = plain(form[name].initial), plain(form.cleaned_data.get(name))
            # Some fields of packages compare a value with its text, and report a change where there is none.
            if before != after:
                self.before[name], self.after[name] = before, after


class AuditedAdmin(BigLists):
    """Sends the signal operator_acted for whatever an operator adds, changes, deletes, runs or exports.

    It hooks into the methods by which Django keeps its own history, so the admins of packages are covered as well.
    """

    export_right = "accounts.export_lists"

    def tell(self, request: HttpRequest, deed: Deed, row: Model | None, **values: dict[str, Any]) -> None:
        values = {"before": {}, "after": {}, **values}
        operator_acted.send(sender=self.model, actor=request.user, deed=deed, row=row, **values)

    # --- The list as a file

    def has_export_permission(self, request: HttpRequest) -> bool:
        may_view: bool = self.has_view_or_change_permission(request)
        return may_view and request.user.has_perm(self.export_right)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/", self.admin_site.admin_view(self.export_view), name=name), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """The list as CSV, with the filters of the address."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        names = [str(name) for name in self.get_list_display(request)]
        rows = self.get_changelist_instance(request).queryset
        narrowed = {"list": self.opts.label_lower, "query": request.GET.urlencode()}
        self.tell(request, Deed.EXPORTED, None, after=narrowed)
        return stream_csv(
            request,
            name=f"{self.opts.model_name}-{timezone.localtime():%Y%m%d-%H%M}.csv",
            header=[heading(name, self) for name in names],
            rows=rows,
            cells=lambda row: [cell(name, row, self) for name in names],
        )

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        address = f"export/?{request.GET.urlencode()}" if self.has_export_permission(request) else ""
        return super().changelist_view(request, {"export_address": address, **(extra_context or {})})

    # --- What can be done

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The buttons of a row, without those of deeds that do not fit its present state."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        if not any(getattr(action.method, "fits", None) for action in offered):
            return offered
        row = self.get_object(request, object_id)
        return [
            action
            for action in offered
            if row is None or (fits := getattr(action.method, "fits", None)) is None or fits(row)
        ]

    # --- What was done

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """The row's events in the audit log, which knows deeds as well as changes by forms."""
        if not request.user.has_perm("accounts.view_auditevent"):
            raise PermissionDenied
        query = urlencode(self.history_query(object_id))
        return HttpResponseRedirect(f"{reverse('admin:accounts_auditevent_changelist')}?{query}")

    def history_query(self, object_id: str) -> dict[str, str]:
        return {"target_type__exact": self.opts.label_lower, "target_id__exact": object_id}

    def tell_deed(self, request: HttpRequest, row: Model, name: str, given: dict[str, Any]) -> None:
        """Record a deed (common.deeds) on a row, with what the operator entered."""
        values = {key: plain(value) for key, value in given.items()}
        self.tell(request, Deed.RAN, row, after={"action": name, **values})

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        return ChangeMessage(super().construct_change_message(request, form, formsets, add), form)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self.tell(request, Deed.ADDED, obj, after=values_of(obj))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        if isinstance(message, ChangeMessage) and message.after:
            self.tell(request, Deed.CHANGED, obj, before=message.before, after=message.after)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for row in queryset:
            self.tell(request, Deed.DELETED, row, before=values_of(row))
        return super().log_deletions(request, queryset)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        return {
            name: (func if getattr(func, "is_deed", False) else told(func), name, text)
            for name, (func, _name, text) in actions.items()
        }


def told(action: Any) -> Any:
    """Make an admin action send operator_acted for each row it is run on.

    "Delete" is left as it is: it records the rows that it deletes by itself.
    """

    @functools.wraps(action)
    def run(page: AuditedAdmin, request: HttpRequest, chosen: QuerySet) -> Any:
        if action.__name__ == "delete_selected":
            with transaction.atomic():
                return action(page, request, chosen)
        for row in chosen.all():  # a queryset of its own, so that the action reads the rows anew
            page.tell(request, Deed.RAN, row, after={"action": action.__name__})
        return action(page, request, chosen)

    return run


class NoWriting:
    """Rows that nobody adds, changes or deletes by hand, superusers included."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(NoWriting, PlainNumbers, AuditedAdmin):
    """Rows to look at. Actions that call services still work and declare permissions of their own."""


class ReadOnlyInline(NoWriting, PlainNumbers, TabularInline):
    """Rows to look at, on the page of the row they belong to."""

    extra = 0
    can_delete = False
