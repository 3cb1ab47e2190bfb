"""What operators do to rows: one method for each deed, offered for the chosen rows of a list and as a button on a
row's page.

With a `form` the operator says why, or enters what the deed needs. Each deed is recorded with its row, its name and
what was entered. A GET never does anything.
"""

import functools
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

SUBMITTED = "_form_submitted"


class ReasonForm(BaseDialogForm):
    reason = forms.CharField(label=_("reason"), max_length=500, widget=UnfoldAdminTextInputWidget)


def deed(
    *,
    description: Any,
    permission: str,
    form: type[BaseDialogForm] | None = None,
    icon: str = "",
    text: Any = "",
    variant: ActionVariant = ActionVariant.DEFAULT,
    fits: Callable[[Any], object] | None = None,
) -> Callable[..., Any]:
    """Turn `method(self, request, rows, given)` of an admin page into a deed; `given` is the form's cleaned data.

    `permission` names the page's method has_<permission>_permission. Without `form` the list runs the deed at once,
    while the button on a row's page asks for confirmation first. After the button the browser goes to the address
    that the method returns, if any. List the name in `actions` and in `actions_detail`. A row for which `fits` is
    false has no button for it.
    """

    def decorate(method: Callable[..., str | None]) -> Any:
        name = method.__name__

        @functools.wraps(method)
        def run(
            page: Any, request: HttpRequest, rows: QuerySet | None = None, *, object_id: str = ""
        ) -> HttpResponse | None:
            if not getattr(page, f"has_{permission}_permission")(request):
                raise PermissionDenied
            if rows is None:
                rows = row_of(page, request, object_id)
            given: dict[str, Any] | None = {}
            if form is not None or object_id:
                filled = (form or BaseDialogForm)(
                    request=request,
                    object_id=object_id,
                    data=request.POST if SUBMITTED in request.POST else None,
                    files=request.FILES or None,
                )
                if not filled.is_valid():
                    return asking(page, request, rows, filled, run, is_single=bool(object_id))
                given = {key: value for key, value in filled.cleaned_data.items() if key != SUBMITTED}
            for row in rows.all():  # a queryset of its own, so that the method reads the rows anew
                page.tell_deed(request, row, name, given)
            target = method(page, request, rows, given)
            if not object_id:
                return None
            # The dialog is sent by a script, which then goes where it is told.
            return HttpResponse(headers={"HX-Redirect": target or address_of(page, object_id)})

        attributes: dict[str, Any] = {
            "short_description": description,
            "allowed_permissions": [permission],
            "url_path": name.replace("_", "-"),
            "dialog": {"title": description, "description": text, "form_submit_text": description},
            "icon": icon or None,
            "variant": variant,
            "attrs": {},
            "is_deed": True,
            "fits": fits,
        }
        vars(run).update(attributes)
        return run

    return decorate


def row_of(page: Any, request: HttpRequest, object_id: str) -> QuerySet:
    row = page.get_object(request, object_id)
    if row is None:
        raise Http404
    found: QuerySet = page.get_queryset(request).filter(pk=row.pk)
    return found


def address_of(page: Any, object_id: str) -> str:
    return reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_change", args=[object_id])


def asking(
    page: Any, request: HttpRequest, rows: QuerySet, form: BaseDialogForm, run: Any, *, is_single: bool
) -> HttpResponse:
    """The form: as a dialog over the row's page, or as a page of its own that lists the chosen rows."""
    dialog = run.dialog
    if is_single:
        context = {"dialog": dialog, "form": form, "form_submit_text": dialog["form_submit_text"]}
        return render(request, "unfold/helpers/dialog.html", context)
    context = {
        **page.admin_site.each_context(request),
        "title": dialog["title"],
        "dialog": dialog,
        "form": form,
        "opts": page.opts,
        "rows": rows,
        "action": run.__name__,
        "chosen_name": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/deed.html", context)
