"""Shapes of recharge orders on the wire."""

import re
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from accounts.api.serializers.profile import ProfileSerializer
from billing.api.serializers import MoneyNumber
from billing.models import Channel, Currency, RechargeOrder

PLAIN_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


class AmountField(serializers.DecimalField):
    """Yuan with at most two decimals, more than nothing; a JSON number, or its plain digits as a text.

    The `type` of a refusal says what is wrong: invalid, not_positive, max_value, max_decimal_places.
    """

    default_error_messages = {
        "not_positive": _("An amount is more than 0."),
        "max_value": _("A single recharge is at most %(limit)s yuan."),
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=None, decimal_places=2, **kwargs)

    @property
    def limit(self) -> Decimal:
        limit: Decimal = settings.RECHARGE_LIMIT
        return limit

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not PLAIN_NUMBER.fullmatch(str(data)):
            self.fail("invalid")
        amount = Decimal(str(data))
        if amount <= 0:
            self.fail("not_positive")
        if amount > self.limit:
            text = self.error_messages["max_value"] % {"limit": f"{self.limit:.0f}"}
            raise serializers.ValidationError(text, code="max_value")
        return self.quantize(self.validate_precision(amount))


class RechargeSerializer(serializers.Serializer):
    """`wallet_id` names the wallet of a team; without it the money is for oneself. `currency` is that of the wallet."""

    amount = AmountField()
    channel = serializers.ChoiceField(Channel.choices, required=False)
    currency = serializers.ChoiceField(Currency.choices, required=False)
    wallet_id = serializers.UUIDField(required=False, allow_null=True)
    description = serializers.CharField(required=False, allow_blank=True, max_length=500)


class OrderSerializer(serializers.ModelSerializer):
    """WeChat Pay is paid by a QR code that holds `code_url`, Alipay on the page `pay_url`."""

    amount = MoneyNumber()

    class Meta:
        model = RechargeOrder
        fields = (
            "id", "order_no", "wallet_id", "payer_id", "channel", "amount", "currency", "description", "status",
            "code_url", "pay_url", "transaction_no", "failure", "created_at", "expires_at", "paid_at", "closed_at",
        )  # fmt: skip
        read_only_fields = fields


class ChannelsSerializer(serializers.Serializer):
    """The ways to pay that are offered here, and the most that one recharge may bring."""

    channels = serializers.ListField(child=serializers.ChoiceField(Channel.choices))
    limit = MoneyNumber()
    currency = serializers.CharField()


class RechargedUserSerializer(ProfileSerializer):
    """The user as GET /users/me has them, with the order that was made."""

    order_no = serializers.CharField()
    status = serializers.ChoiceField(RechargeOrder.Status.choices)
    code_url = serializers.CharField()
    pay_url = serializers.CharField()

    class Meta(ProfileSerializer.Meta):
        fields = (*ProfileSerializer.Meta.fields, "order_no", "status", "code_url", "pay_url")
        read_only_fields = fields
