"""What things cost."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from billing.models import PriceRule, Priority
from billing.services.prices import (
    SAMPLE_CORES,
    SAMPLE_FRAMES,
    SAMPLE_GB,
    SAMPLE_HOURS,
    replaced_by,
    sample_cost,
)
from common.admin import AuditedAdmin
from common.numbers import PlainNumbers


class PriceRuleForm(forms.ModelForm):
    """A new rule is saved only after its effect was shown: the first time the form is sent, it comes back with that."""

    is_confirmed = forms.BooleanField(label=_("I have seen what it changes"), required=False)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not self.errors and not given.get("is_confirmed"):
            rule = PriceRule(**{name: value for name, value in given.items() if name != "is_confirmed"})
            raise forms.ValidationError({"is_confirmed": effect_of(rule)})
        return given


def effect_of(rule: PriceRule) -> list[Any]:
    """The price of the sample task by the new rule and by the rule before it, one line for each priority."""
    before = replaced_by(rule)
    if rule.unit in PriceRule.RENDERING:
        sample = _(
            "%(frames)s frames of %(minutes)s minutes on %(cores)s cores, priority %(priority)s: %(costs)s"
        )
        facts = {"frames": SAMPLE_FRAMES, "minutes": int(60 * SAMPLE_HOURS), "cores": SAMPLE_CORES}
        return [
            sample
            % {
                **facts,
                "priority": priority.label,
                "costs": compared(
                    sample_cost(before, priority) if before else None, sample_cost(rule, priority)
                ),
            }
            for priority in Priority
        ]
    sample = _("%(size)s GB, for 30 days where it is storage: %(costs)s")
    return [
        sample
        % {"size": SAMPLE_GB, "costs": compared(sample_cost(before) if before else None, sample_cost(rule))}
    ]


def compared(before: Decimal | None, after: Decimal) -> str:
    return f"{'—' if before is None else before} → {after}"


@admin.register(PriceRule)
class PriceRuleAdmin(PlainNumbers, AuditedAdmin):
    """A price is changed by adding a newer rule: bills and running jobs point to the old one."""

    form = PriceRuleForm
    list_display = (
        "engine", "unit", "price", "currency", "low_multiplier", "high_multiplier", "urgent_multiplier", "version",
        "valid_from", "valid_to", "shown_sample",
    )  # fmt: skip
    list_filter = ("engine", "unit", "currency")
    search_fields = ("engine",)
    ordering = ("engine", "-valid_from", "-pk")

    @display(description=_("sample task"))
    def shown_sample(self, rule: PriceRule) -> str:
        return str(sample_cost(rule))

    def get_fieldsets(self, request: HttpRequest, obj: PriceRule | None = None) -> Any:
        """The form of a new rule asks for decimals and a confirmation; what stands is only read."""
        form = AuditedAdmin.get_fieldsets(self, request, obj)
        if obj is None:
            return form
        names = [name for name in form[0][1]["fields"] if name != "is_confirmed"]
        return [(None, {"fields": self.plain(names)})]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
