"""Shapes of billing on the wire. Money is a JSON number."""

import re
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Team
from billing.models import Bill, BillLine, Gift, Hold, LedgerEntry, Wallet


class MoneyNumber(serializers.FloatField):
    """A decimal as a JSON number; six places of a float are exact up to a billion yuan."""


PLAIN_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


class YuanField(serializers.DecimalField):
    """Yuan with at most two decimals: a JSON number, or its plain digits as a text."""

    def __init__(self, *, max_digits: int | None = None, **kwargs: Any) -> None:
        super().__init__(max_digits=max_digits, decimal_places=2, **kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not PLAIN_NUMBER.fullmatch(str(data)):
            self.fail("invalid")
        return super().to_internal_value(data)


class AmountField(YuanField):
    """What is paid in: more than nothing, and at most what one recharge may bring.

    The `type` of a refusal says what is wrong: invalid, not_positive, max_value, max_decimal_places.
    """

    default_error_messages = {
        "not_positive": _("An amount is more than 0."),
        "max_value": _("A single recharge is at most %(limit)s yuan."),
    }

    @property
    def limit(self) -> Decimal:
        limit: Decimal = settings.RECHARGE_LIMIT
        return limit

    def to_internal_value(self, data: Any) -> Decimal:
        amount = super().to_internal_value(data)
        if amount <= 0:
            self.fail("not_positive")
        if amount > self.limit:
            text = self.error_messages["max_value"] % {"limit": f"{self.limit:.0f}"}
            raise serializers.ValidationError(text, code="max_value")
        return amount


class BalanceSerializer(serializers.ModelSerializer):
    balance = MoneyNumber()
    held = MoneyNumber()
    available = MoneyNumber()

    class Meta:
        model = Wallet
        fields = ("balance", "held", "available", "currency")


class WalletOwnerSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=["user", "team"])
    id = serializers.UUIDField()
    name = serializers.CharField()


class WalletSerializer(BalanceSerializer):
    gift = MoneyNumber(help_text="Of the balance, what was given; it is spent first.")
    owner = serializers.SerializerMethodField()
    is_parked = serializers.SerializerMethodField(help_text="Being checked: nothing new can be spent of it.")

    class Meta:
        model = Wallet
        fields = ("id", "owner", "currency", "balance", "held", "available", "gift", "is_parked")

    @extend_schema_field(WalletOwnerSerializer)
    def get_owner(self, wallet: Wallet) -> dict[str, Any]:
        owner = wallet.owner
        if isinstance(owner, Team):
            return {"kind": "team", "id": owner.pk, "name": owner.name}
        return {"kind": "user", "id": owner.pk, "name": owner.public_name}

    def get_is_parked(self, wallet: Wallet) -> bool:
        return wallet.parked_at is not None


class TransactionSerializer(serializers.ModelSerializer):
    """An entry of the ledger; what leaves the wallet is negative. `user_id` is null in wallets of teams."""

    user_id = serializers.UUIDField(source="wallet.user_id", allow_null=True)
    type = serializers.ChoiceField(source="kind", choices=LedgerEntry.Kind.choices)
    amount = MoneyNumber()
    held_change = MoneyNumber(source="held_delta", help_text="Of the balance, set aside or set free.")
    gift_change = MoneyNumber(source="gift_delta", help_text="Of the amount, what was given.")
    balance_after = MoneyNumber()

    class Meta:
        model = LedgerEntry
        fields = (
            "id", "wallet_id", "user_id", "number", "type", "amount", "held_change", "gift_change", "balance_after",
            "description", "task_id", "created_at",
        )  # fmt: skip

    number = serializers.IntegerField(source="sequence", help_text="From 1 without gaps in a wallet.")


class RecordSerializer(TransactionSerializer):
    """The same, in a list of another name."""


class BillLineSerializer(serializers.ModelSerializer):
    quantity = MoneyNumber()
    unit_price = MoneyNumber()
    amount = MoneyNumber()

    class Meta:
        model = BillLine
        fields = ("description", "quantity", "unit_price", "amount")


class BillSerializer(serializers.ModelSerializer):
    user_id = serializers.UUIDField(source="wallet.user_id", allow_null=True)
    amount = MoneyNumber()
    lines = BillLineSerializer(many=True)

    class Meta:
        model = Bill
        fields = (
            "id", "wallet_id", "user_id", "task_id", "kind", "amount", "description", "lines", "created_at",
        )  # fmt: skip


class HoldSerializer(serializers.ModelSerializer):
    amount = MoneyNumber()
    captured = MoneyNumber(help_text="What of it was taken so far.")
    released = MoneyNumber()

    class Meta:
        model = Hold
        fields = (
            "id", "wallet_id", "purpose", "task_id", "engine", "spender_id", "amount", "captured", "released", "status",
            "created_at", "closed_at",
        )  # fmt: skip


class SpendingSerializer(serializers.Serializer):
    """`key` is a day, the id of a task, an engine, or the id of a member; null for what belongs to none."""

    key = serializers.CharField(source="group", allow_null=True)
    name = serializers.CharField(help_text="For people: what a task was charged for, a member's name.")
    spent = MoneyNumber()
    refunded = MoneyNumber()


class SpendingAnswerSerializer(serializers.Serializer):
    by = serializers.CharField()
    currency = serializers.CharField()
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    spent = MoneyNumber()
    refunded = MoneyNumber()
    rows = SpendingSerializer(many=True)


class GiftSerializer(serializers.ModelSerializer):
    amount = MoneyNumber()
    remaining = MoneyNumber()
    description = serializers.CharField(source="entry.description")

    class Meta:
        model = Gift
        fields = ("id", "wallet_id", "amount", "remaining", "description", "expires_at", "created_at")
