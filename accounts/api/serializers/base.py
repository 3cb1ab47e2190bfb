"""Shapes that several doors of accounts share."""

from decimal import Decimal
from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from accounts.models import PHONE_PATTERN, User
from accounts.selectors import wechat_of

phone_rule = RegexValidator(PHONE_PATTERN, _("Not a valid phone number."))


def avatar_of(user: User, request: Request | None) -> str:
    """The picture's URL, below PUBLIC_URL or the request's host where it is known; empty without a picture."""
    if not user.avatar:
        return ""
    url = str(user.avatar.url)
    if settings.PUBLIC_URL or request is None:
        return urljoin(settings.PUBLIC_URL, url)
    return request.build_absolute_uri(url)


class UserSerializer(serializers.ModelSerializer):
    """A user to themselves. `balance` is that of the wallet in CNY."""

    avatar = serializers.SerializerMethodField()
    balance = serializers.SerializerMethodField()
    last_login_at = serializers.DateTimeField(source="last_login", read_only=True)
    wechat_openid = serializers.CharField(
        source="wechat.masked_openid", default="", read_only=True, help_text="Masked; empty without WeChat."
    )
    wechat_nickname = serializers.CharField(source="wechat.nickname", default="", read_only=True)
    wechat_avatar = serializers.CharField(source="wechat.avatar_url", default="", read_only=True)
    wechat_bound_at = serializers.DateTimeField(
        source="wechat.created_at", default=None, read_only=True, allow_null=True
    )

    class Meta:
        model = User
        fields: tuple[str, ...] = (
            "id", "username", "phone", "email", "avatar", "balance", "member_level", "is_active", "created_at",
            "updated_at", "last_login_at", "wechat_openid", "wechat_nickname", "wechat_avatar", "wechat_bound_at",
        )  # fmt: skip
        read_only_fields = fields

    def to_representation(self, user: Any) -> dict[str, Any]:
        user.wechat = wechat_of(user)  # one query for four fields
        return dict(super().to_representation(user))

    def get_avatar(self, user: User) -> str:
        return avatar_of(user, self.context.get("request"))

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
