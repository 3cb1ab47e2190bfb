"""How much may run at once."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Case, OuterRef, QuerySet, Subquery, UUIDField, When
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.models import Team, User
from common.admin import AuditedAdmin
from rendering import models
from rendering.engines import ENGINES
from rendering.services import limits

Kind = models.ConcurrencyLimit.Kind
AN_ID = "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"


class LicenceForm(forms.ModelForm):
    """A limit on a licence: of an engine, or of a renderer in it."""

    class Meta:
        model = models.ConcurrencyLimit
        fields = ("key", "maximum")
        labels = {"key": _("engine, or engine/renderer")}

    def clean_key(self) -> str:
        engine, _slash, renderer = self.cleaned_data["key"].strip().lower().partition("/")
        key = limits.licence_key(engine, renderer)
        if engine not in ENGINES:
            raise forms.ValidationError(
                _("There is no such engine; there are %(engines)s.") % {"engines": ", ".join(ENGINES)}
            )
        if models.ConcurrencyLimit.objects.filter(kind=Kind.LICENCE, key=key).exists():
            raise forms.ValidationError(_("This licence is limited already."))
        return key


@admin.register(models.ConcurrencyLimit)
class ConcurrencyLimitAdmin(AuditedAdmin):
    """How many attempts of a user, a team or a licence run at once.

    Rows of users and teams come with their first job; what an operator sets there stays. A licence is limited here.
    """

    list_display = ("kind", "shown_key", "maximum", "weight", "running", "is_custom")
    list_filter = ("kind", "is_custom")
    search_fields = ("key",)
    readonly_fields = ("kind", "shown_key", "running")

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.ConcurrencyLimit]:
        """With the names of those whose ids the keys are."""
        owner = Case(When(kind__in=(Kind.USER, Kind.TEAM), key__regex=AN_ID, then=Cast("key", UUIDField())))
        rows: QuerySet[models.ConcurrencyLimit] = super().get_queryset(request).annotate(owner=owner)
        return rows.annotate(
            user_name=Subquery(User.objects.filter(pk=OuterRef("owner")).values("username")),
            team_name=Subquery(Team.objects.filter(pk=OuterRef("owner")).values("name")),
        )

    @display(description=_("of whom or what"), ordering="key")
    def shown_key(self, limit: Any) -> str:
        return limit.user_name or limit.team_name or limit.key

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (
            ("kind", "shown_key", "maximum", "weight", "running", "is_custom") if obj else ("key", "maximum")
        )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **(kwargs if obj else {**kwargs, "form": LicenceForm}))

    def save_model(self, request: HttpRequest, obj: models.ConcurrencyLimit, form: Any, change: bool) -> None:
        if not change:
            made = limits.limit_licence(key=obj.key, maximum=obj.maximum)
            vars(obj).update(vars(made))
            return
        if {"maximum", "weight"} & set(form.changed_data) and "is_custom" not in form.changed_data:
            obj.is_custom = True
        # `running` is the database's: it has counted on since the form was loaded.
        obj.save(update_fields=["maximum", "weight", "is_custom", "updated_at"])

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
