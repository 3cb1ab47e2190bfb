"""Shapes of prices, plans and memberships on the wire. Money is a JSON number; sizes are bytes."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.serializers import MoneyNumber, YuanField
from billing.models import Membership, MembershipPlan, PriceRule, Priority


class MultipliersSerializer(serializers.Serializer):
    low = MoneyNumber()
    normal = MoneyNumber()
    high = MoneyNumber()
    urgent = MoneyNumber()


class PriceRuleSerializer(serializers.ModelSerializer):
    """`engine` empty is for all engines that have no rule of their own. `multipliers` only for what is rendered."""

    unit = serializers.CharField()
    price = MoneyNumber()
    multipliers = serializers.SerializerMethodField()

    class Meta:
        model = PriceRule
        fields = (
            "id",
            "engine",
            "unit",
            "price",
            "currency",
            "version",
            "valid_from",
            "valid_to",
            "multipliers",
        )

    @extend_schema_field(MultipliersSerializer(allow_null=True))
    def get_multipliers(self, rule: PriceRule) -> dict[str, float] | None:
        if rule.unit not in PriceRule.RENDERING:
            return None
        return {priority.name.lower(): float(rule.multiplier(priority)) for priority in Priority}


class PricesSerializer(serializers.Serializer):
    """unit price = price × multiplier × (1 - discount)"""

    rules = PriceRuleSerializer(many=True)
    level = serializers.IntegerField()
    discount = MoneyNumber()


class PlanSerializer(serializers.ModelSerializer):
    """`storage_size` and `concurrent_frames` null: no limit."""

    level = serializers.IntegerField()
    name = serializers.CharField(source="get_level_display")
    max_priority = serializers.IntegerField()
    price = MoneyNumber()
    discount = MoneyNumber()

    class Meta:
        model = MembershipPlan
        fields = (
            "level",
            "name",
            "price",
            "discount",
            "storage_size",
            "concurrent_frames",
            "weight",
            "max_priority",
        )


class OfferedPlanSerializer(PlanSerializer):
    price_now = MoneyNumber()

    class Meta(PlanSerializer.Meta):
        fields = (*PlanSerializer.Meta.fields, "price_now")  # type: ignore[assignment]


class PlansSerializer(serializers.Serializer):
    plans = OfferedPlanSerializer(many=True)


class MembershipSerializer(serializers.Serializer):
    """The plan that counts now. Without a membership, `status` is null and so are the days."""

    plan = PlanSerializer()
    status = serializers.SerializerMethodField()
    period_start = serializers.SerializerMethodField()
    period_end = serializers.SerializerMethodField()
    cancel_at_period_end = serializers.SerializerMethodField()
    next_level = serializers.SerializerMethodField()

    def of(self, body: dict[str, Any], name: str) -> Any:
        membership: Membership | None = body["membership"]
        return getattr(membership, name) if membership else None

    @extend_schema_field(serializers.ChoiceField(choices=Membership.Status.choices, allow_null=True))
    def get_status(self, body: dict[str, Any]) -> str | None:
        return self.of(body, "status")

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_period_start(self, body: dict[str, Any]) -> Any:
        return self.of(body, "period_start")

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_period_end(self, body: dict[str, Any]) -> Any:
        return self.of(body, "period_end")

    @extend_schema_field(serializers.BooleanField())
    def get_cancel_at_period_end(self, body: dict[str, Any]) -> bool:
        return bool(self.of(body, "cancel_at_period_end"))

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_next_level(self, body: dict[str, Any]) -> int | None:
        plan = self.of(body, "next_plan")
        return plan.level if plan else None


class ChangePlanSerializer(serializers.Serializer):
    level = serializers.IntegerField(min_value=0, max_value=3)


class DesktopUpgradeSerializer(serializers.Serializer):
    target_level = serializers.IntegerField(min_value=0, max_value=3)


class LimitSerializer(serializers.Serializer):
    amount = YuanField(max_digits=12, min_value=Decimal(0), coerce_to_string=False)


class MemberLimitSerializer(serializers.Serializer):
    """`limit` null: whatever the team has. `spent` is what was taken this month and what is held now."""

    user_id = serializers.UUIDField()
    username = serializers.CharField()
    role = serializers.CharField()
    limit = MoneyNumber(allow_null=True)
    spent = MoneyNumber()


class LimitsSerializer(serializers.Serializer):
    members = MemberLimitSerializer(many=True)
