"""Shapes of billing on the wire. Money is a JSON number."""

from rest_framework import serializers

from billing.models import Bill, BillLine, LedgerEntry, Wallet


class MoneyNumber(serializers.FloatField):
    """A decimal as a JSON number; six places of a float are exact up to a billion yuan."""


class BalanceSerializer(serializers.ModelSerializer):
    balance = MoneyNumber()
    held = MoneyNumber()
    available = MoneyNumber()

    class Meta:
        model = Wallet
        fields = ("balance", "held", "available", "currency")


class TransactionSerializer(serializers.ModelSerializer):
    """An entry that changed the balance; consumption is negative."""

    user_id = serializers.UUIDField(source="wallet.user_id")
    type = serializers.ChoiceField(source="kind", choices=["recharge", "consume", "refund", "grant"])
    amount = MoneyNumber()
    balance_after = MoneyNumber()

    class Meta:
        model = LedgerEntry
        fields = ("id", "user_id", "type", "amount", "balance_after", "description", "task_id", "created_at")


class BillLineSerializer(serializers.ModelSerializer):
    quantity = MoneyNumber()
    unit_price = MoneyNumber()
    amount = MoneyNumber()

    class Meta:
        model = BillLine
        fields = ("description", "quantity", "unit_price", "amount")


class BillSerializer(serializers.ModelSerializer):
    user_id = serializers.UUIDField(source="wallet.user_id")
    amount = MoneyNumber()
    lines = BillLineSerializer(many=True)

    class Meta:
        model = Bill
        fields = ("id", "user_id", "task_id", "amount", "description", "lines", "created_at")
