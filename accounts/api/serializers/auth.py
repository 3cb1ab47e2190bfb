"""Shapes of signing in and out."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from accounts.api.serializers.base import phone_rule
from accounts.models import USERNAME_PATTERN, PhoneCode


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


class TicketSerializer(serializers.Serializer):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")
