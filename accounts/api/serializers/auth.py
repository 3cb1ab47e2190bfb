"""Shapes of signing in and out."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from accounts.api.serializers.base import phone_rule
from accounts.models import USERNAME_PATTERN, PhoneCode, Session


class SendCodeSerializer(serializers.Serializer):
    phone = serializers.CharField(max_length=20, validators=[phone_rule])
    purpose = serializers.ChoiceField(PhoneCode.Purpose.choices, default=PhoneCode.Purpose.REGISTER)


def code_field(**kwargs: Any) -> serializers.RegexField:
    text = _("The verification code has six digits.")
    return serializers.RegexField(r"^[0-9]{6}$", error_messages={"invalid": text}, **kwargs)


def password_field() -> serializers.CharField:
    return serializers.CharField(max_length=128, trim_whitespace=False)


class RegisterSerializer(serializers.Serializer):
    username = serializers.RegexField(
        USERNAME_PATTERN,
        error_messages={"invalid": _("A username has 3 to 50 letters, digits or underscores.")},
    )
    phone = serializers.CharField(max_length=20, validators=[phone_rule])
    verification_code = code_field()
    password = password_field()


class LoginSerializer(serializers.Serializer):
    """The account's name comes as username, phone or email; each field may hold any of the three."""

    username = serializers.CharField(max_length=254, required=False, allow_blank=True, allow_null=True)
    phone = serializers.CharField(max_length=254, required=False, allow_blank=True, allow_null=True)
    email = serializers.CharField(max_length=254, required=False, allow_blank=True, allow_null=True)
    password = password_field()

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        identifier = data.get("username") or data.get("phone") or data.get("email")
        if not identifier:
            raise serializers.ValidationError({"username": _("Give username, phone or email.")})
        return {"identifier": identifier, "password": data["password"]}


class LoginPhoneSerializer(serializers.Serializer):
    """The code may come as code, as the desktop client sends it, or as verification_code."""

    phone = serializers.CharField(max_length=20, validators=[phone_rule])
    code = code_field(required=False)
    verification_code = code_field(required=False)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        code = data.get("code") or data.get("verification_code")
        if not code:
            raise serializers.ValidationError({"code": _("Give the verification code.")})
        return {"phone": data["phone"], "code": code}


class ChangePasswordSerializer(serializers.Serializer):
    old_password = password_field()
    new_password = password_field()


class ResetPasswordSerializer(serializers.Serializer):
    phone = serializers.CharField(max_length=20, validators=[phone_rule])
    verification_code = code_field()
    new_password = password_field()


class RefreshSerializer(serializers.Serializer):
    refresh_token = serializers.CharField(max_length=2048)


class LogoutSerializer(serializers.Serializer):
    refresh_token = serializers.CharField(max_length=2048, required=False, allow_blank=True, allow_null=True)


class TicketSerializer(serializers.Serializer):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class SessionSerializer(serializers.ModelSerializer):
    """A signed-in device of the user who asks; `current` is the one that asks."""

    current = serializers.SerializerMethodField()

    class Meta:
        model = Session
        fields = ("id", "device", "ip", "created_at", "last_seen_at", "expires_at", "current")
        read_only_fields = fields

    def get_current(self, session: Session) -> bool:
        asking: Session = self.context["request"].auth
        return session.pk == asking.pk


class EndedSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    ended = serializers.IntegerField(help_text="How many sessions ended.")
