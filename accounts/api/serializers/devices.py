"""Shapes of devices and phones."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from accounts.api.serializers.base import SignedInSerializer, phone_rule
from accounts.models import AppPassword, Device


class DeviceSignInSerializer(serializers.Serializer):
    """At first use without a secret; an id of the client's own or none, then one is made."""

    device_id = serializers.RegexField(
        r"^[A-Za-z0-9._:-]{8,128}$",
        required=False,
        allow_blank=True,
        allow_null=True,
        error_messages={"invalid": _("A device id has 8 to 128 letters, digits or . _ : -")},
    )
    device_secret = serializers.CharField(
        max_length=128, required=False, allow_blank=True, allow_null=True, trim_whitespace=False
    )
    name = serializers.CharField(max_length=100, required=False, allow_blank=True, allow_null=True)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "device_id": data.get("device_id") or "",
            "secret": data.get("device_secret") or "",
            "name": data.get("name") or "",
        }


class DeviceSignedInSerializer(SignedInSerializer):
    device_id = serializers.CharField()
    device_secret = serializers.CharField(required=False, help_text="At first use alone; keep it.")


class DeviceSerializer(serializers.ModelSerializer):
    class Meta:
        model = Device
        fields = ("id", "device_id", "name", "created_at", "last_seen_at")
        read_only_fields = fields


class PhoneSerializer(serializers.Serializer):
    phone = serializers.CharField(max_length=20, validators=[phone_rule])
    verification_code = serializers.RegexField(
        r"^\d{6}$", error_messages={"invalid": _("The verification code has six digits.")}
    )


class AppPasswordSerializer(serializers.ModelSerializer):
    class Meta:
        model = AppPassword
        fields = ("id", "name", "created_at", "last_used_at")
        read_only_fields = ("id", "created_at", "last_used_at")


class NewAppPasswordSerializer(AppPasswordSerializer):
    password = serializers.CharField(read_only=True, help_text="Shown this once.")
    username = serializers.CharField(read_only=True, help_text="What to sign in with beside it.")

    class Meta(AppPasswordSerializer.Meta):
        fields = (*AppPasswordSerializer.Meta.fields, "password", "username")  # type: ignore[assignment]
