"""Shapes of signing in by WeChat."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from accounts.api.serializers.base import TokenPackSerializer, phone_rule

SECRET = 256  # characters; ours are shorter, WeChat's code and state have at most 128


class QrCodeInputSerializer(serializers.Serializer):
    device_type = serializers.CharField(max_length=20, required=False, allow_blank=True, allow_null=True)


class QrCodeSerializer(serializers.Serializer):
    session_id = serializers.CharField(help_text="What to poll with; keep it to yourself.")
    scene_str = serializers.CharField(help_text="The same, under its older name.")
    qr_code_url = serializers.CharField(help_text="The address that the QR code holds.")
    qr_svg = serializers.CharField(help_text="The QR code as an SVG picture.")
    expires_in = serializers.IntegerField(help_text="Seconds.")


class WxUserSerializer(serializers.Serializer):
    """A user as the clients of WeChat's sign-in read it."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    phone = serializers.CharField(allow_null=True)
    email = serializers.CharField(allow_null=True)
    avatar = serializers.CharField(help_text="The user's own picture, or that of WeChat.")


class WechatProgressSerializer(serializers.Serializer):
    """How a sign-in stands. The tokens come once, with the status `confirmed`."""

    status = serializers.ChoiceField(["pending", "scanned", "confirmed", "expired"])
    need_bind_phone = serializers.BooleanField(help_text="True with the status `scanned`.")
    session_token = serializers.CharField(required=False, help_text="For bind-phone, link-account and bind.")
    nickname = serializers.CharField(required=False, help_text="The name in WeChat of who scanned.")
    user = WxUserSerializer(required=False)
    access_token = serializers.CharField(required=False)
    refresh_token = serializers.CharField(required=False)
    token_type = serializers.CharField(required=False)
    expires_in = serializers.IntegerField(required=False, help_text="Life of the access token in seconds.")


class CallbackSerializer(serializers.Serializer):
    code = serializers.CharField(max_length=SECRET)
    state = serializers.CharField(max_length=SECRET)


class DesktopSignInSerializer(CallbackSerializer):
    """`session_id` and `scene_str` are one thing; one of them is needed."""

    session_id = serializers.CharField(max_length=SECRET, required=False, allow_blank=True)
    scene_str = serializers.CharField(max_length=SECRET, required=False, allow_blank=True)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        poll_id = data.get("scene_str") or data.get("session_id")
        if not poll_id:
            raise serializers.ValidationError({"scene_str": _("Give session_id or scene_str.")})
        return {"poll_id": poll_id, "state": data["state"], "code": data["code"]}


class CallbackDoneSerializer(serializers.Serializer):
    """What WeChat told; the tokens go to who polls."""

    status = serializers.ChoiceField(["scanned", "confirmed"])
    openid = serializers.CharField(help_text="Masked.")
    user_exists = serializers.BooleanField()
    need_bind_phone = serializers.BooleanField()


class BindPhoneSerializer(serializers.Serializer):
    session_token = serializers.CharField(max_length=SECRET)
    phone = serializers.CharField(max_length=20, validators=[phone_rule])
    verification_code = serializers.RegexField(
        r"^\d{6}$", error_messages={"invalid": _("The verification code has six digits.")}
    )


class LinkAccountSerializer(serializers.Serializer):
    session_token = serializers.CharField(max_length=SECRET)
    phone = serializers.CharField(max_length=20, validators=[phone_rule])
    password = serializers.CharField(max_length=128, trim_whitespace=False)


class WechatSignedInSerializer(TokenPackSerializer):
    success = serializers.BooleanField()
    message = serializers.CharField()
    user = WxUserSerializer()


class BindSerializer(serializers.Serializer):
    """WeChat's `code`, or the `session_token` of a QR code that was scanned."""

    code = serializers.CharField(max_length=SECRET, required=False)
    state = serializers.CharField(max_length=SECRET, required=False, allow_blank=True, allow_null=True)
    session_token = serializers.CharField(max_length=SECRET, required=False)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        if ("code" in data) == ("session_token" in data):
            raise serializers.ValidationError({"code": _("Give code or session_token.")})
        return data


class BoundSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    message = serializers.CharField()
    wechat_nickname = serializers.CharField()
    wechat_avatar = serializers.CharField()
    bound_at = serializers.DateTimeField()
