"""Shapes of accounts on the wire."""

from decimal import Decimal
from typing import Any

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import PHONE_PATTERN, USERNAME_PATTERN, PhoneCode, User

phone_rule = RegexValidator(PHONE_PATTERN, _("Not a valid phone number."))


class SendCodeSerializer(serializers.Serializer):
    phone = serializers.CharField(max_length=20, validators=[phone_rule])
    purpose = serializers.ChoiceField(PhoneCode.Purpose.choices, default=PhoneCode.Purpose.REGISTER)


class RegisterSerializer(serializers.Serializer):
    username = serializers.RegexField(
        USERNAME_PATTERN,
        error_messages={"invalid": _("A username has 3 to 50 letters, digits or underscores.")},
    )
    phone = serializers.CharField(max_length=20, validators=[phone_rule])
    verification_code = serializers.RegexField(
        r"^\d{6}$", error_messages={"invalid": _("The verification code has six digits.")}
    )
    password = serializers.CharField(max_length=128, trim_whitespace=False)


class LoginSerializer(serializers.Serializer):
    """The account's name may come as username, phone or email, each holding any of the three."""

    username = serializers.CharField(max_length=254, required=False, allow_blank=True, allow_null=True)
    phone = serializers.CharField(max_length=254, required=False, allow_blank=True, allow_null=True)
    email = serializers.CharField(max_length=254, required=False, allow_blank=True, allow_null=True)
    password = serializers.CharField(max_length=128, trim_whitespace=False)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        identifier = data.get("username") or data.get("phone") or data.get("email")
        if not identifier:
            raise serializers.ValidationError({"username": _("Give username, phone or email.")})
        return {"identifier": identifier, "password": data["password"]}


class RefreshSerializer(serializers.Serializer):
    refresh_token = serializers.CharField(max_length=2048)


class LogoutSerializer(serializers.Serializer):
    refresh_token = serializers.CharField(max_length=2048, required=False, allow_blank=True, allow_null=True)


class UserSerializer(serializers.ModelSerializer):
    """A user to themselves. `balance` is that of the wallet in CNY."""

    balance = serializers.SerializerMethodField()
    last_login_at = serializers.DateTimeField(source="last_login", read_only=True)

    class Meta:
        model = User
        fields = (
            "id", "username", "phone", "email", "avatar", "balance", "member_level", "is_active", "created_at",
            "updated_at", "last_login_at",
        )  # fmt: skip
        read_only_fields = fields

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


class TicketSerializer(serializers.Serializer):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class DoneSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    message = serializers.CharField(required=False)
