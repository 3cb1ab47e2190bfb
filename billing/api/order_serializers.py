"""Shapes of recharge orders on the wire."""

from rest_framework import serializers

from accounts.api.serializers.profile import ProfileSerializer
from billing.api.serializers import AmountField, MoneyNumber
from billing.models import Channel, Currency, RechargeOrder
from common.qr import qr_svg


class RechargeSerializer(serializers.Serializer):
    """`wallet_id` names the wallet of a team; without it the money is for oneself. `currency` is that of the wallet."""

    amount = AmountField()
    channel = serializers.ChoiceField(Channel.choices, required=False)
    currency = serializers.ChoiceField(Currency.choices, required=False)
    wallet_id = serializers.UUIDField(required=False, allow_null=True)
    description = serializers.CharField(required=False, allow_blank=True, max_length=500)


class DesktopRechargeSerializer(serializers.Serializer):
    """The desktop client calls the channel `paymentMethod`."""

    amount = AmountField()
    payment_method = serializers.ChoiceField(Channel.choices, required=False, source="channel")


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


class PayableOrderSerializer(OrderSerializer):
    """`qr_svg` is the QR code of an order that waits for WeChat Pay, as SVG; empty otherwise."""

    qr_svg = serializers.SerializerMethodField()

    class Meta(OrderSerializer.Meta):
        fields = (*OrderSerializer.Meta.fields, "qr_svg")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]

    def get_qr_svg(self, order: RechargeOrder) -> str:
        waits = order.status == RechargeOrder.Status.PENDING and order.code_url
        return qr_svg(order.code_url) if waits else ""


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
