"""Shapes that several doors of accounts share."""

from decimal import Decimal
from typing import Any

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import PHONE_PATTERN, User

phone_rule = RegexValidator(PHONE_PATTERN, _("Not a valid phone number."))


class UserSerializer(serializers.ModelSerializer):
    """A user to themselves. `balance` is that of the wallet in CNY."""

    avatar = serializers.SerializerMethodField()
    balance = serializers.SerializerMethodField()
    last_login_at = serializers.DateTimeField(source="last_login", read_only=True)

    class Meta:
        model = User
        fields = (
            "id", "username", "phone", "email", "avatar", "balance", "member_level", "is_active", "created_at",
            "updated_at", "last_login_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_avatar(self, user: User) -> str:
        return user.avatar.url if user.avatar else ""

    @extend_schema_field(serializers.FloatField())
    def get_balance(self, user: Any) -> Decimal:
        # Wallets belong to billing, which lies above; the reverse relation reaches them without an import.
        balance = user.wallets.filter(currency="CNY").values_list("balance", flat=True).first()
        return balance if balance is not None else Decimal(0)


class TokenPackSerializer(serializers.Serializer):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Life of the access token in seconds.")


class SignedInSerializer(TokenPackSerializer):
    user = UserSerializer()
