"""Shapes of a user's own account: profile, security log, deletion."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.serializers.base import UserSerializer, phone_rule
from accounts.models import USERNAME_PATTERN, AuditEvent, User


class ProfileSerializer(UserSerializer):
    """A user to themselves, with what concerns the account. `deletion_due_at` is null while it is to stay."""

    email_verified = serializers.SerializerMethodField()
    has_password = serializers.SerializerMethodField()

    class Meta(UserSerializer.Meta):
        fields = (
            *UserSerializer.Meta.fields,
            "email_verified",
            "has_password",
            "is_guest",
            "deletion_due_at",
        )
        read_only_fields = fields

    def get_email_verified(self, user: User) -> bool:
        return user.email_verified_at is not None

    def get_has_password(self, user: User) -> bool:
        return user.has_usable_password()


class CodeField(serializers.RegexField):
    def __init__(self, **options: Any) -> None:
        text = _("The verification code has six digits.")
        super().__init__(r"^[0-9]{6}$", error_messages={"invalid": text}, **options)


class ProfileInputSerializer(serializers.Serializer):
    """What is left out or null stays. An empty e-mail or avatar is taken away; the phone needs a code sent to it."""

    username = serializers.RegexField(
        USERNAME_PATTERN,
        required=False,
        allow_null=True,
        error_messages={"invalid": _("A username has 3 to 50 letters, digits or underscores.")},
    )
    email = serializers.EmailField(max_length=254, required=False, allow_null=True, allow_blank=True)
    phone = serializers.CharField(
        max_length=20, required=False, allow_null=True, allow_blank=True, validators=[phone_rule]
    )
    verification_code = CodeField(required=False, allow_null=True, allow_blank=True)
    avatar = serializers.CharField(
        max_length=1024,
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text="Empty, or the present address: pictures are sent to /users/me/avatar.",
    )

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "verification_code": data.get("verification_code") or ""}


class AvatarSerializer(serializers.Serializer):
    """The picture as a file under either name."""

    avatar = serializers.FileField(required=False)
    file = serializers.FileField(required=False)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        picture = data.get("avatar") or data.get("file")
        if picture is None:
            raise serializers.ValidationError({"avatar": _("Send a picture.")})
        return {"picture": picture}


class EmailTokenSerializer(serializers.Serializer):
    token = serializers.CharField(max_length=1024)


class DeletionSerializer(serializers.Serializer):
    """The password, or a code sent to the user's phone for `delete_account`; nothing of who has neither."""

    password = serializers.CharField(
        max_length=128, required=False, allow_null=True, allow_blank=True, trim_whitespace=False
    )
    verification_code = CodeField(required=False, allow_null=True, allow_blank=True)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"password": data.get("password") or "", "code": data.get("verification_code") or ""}


class DeletionAnswerSerializer(serializers.Serializer):
    deletion_due_at = serializers.DateTimeField()
    balance = serializers.SerializerMethodField(help_text="CNY that are lost then.")

    @extend_schema_field(serializers.FloatField())
    def get_balance(self, user: User) -> Any:
        return UserSerializer().get_balance(user)


class SecurityEventSerializer(serializers.ModelSerializer):
    """An event of the security log. From where somebody else acted is theirs: `ip` and `device` are empty then."""

    label: Any = serializers.CharField(source="get_action_display", read_only=True)
    ip = serializers.SerializerMethodField()
    device = serializers.SerializerMethodField()
    by_operator = serializers.SerializerMethodField()
    before = serializers.DictField(read_only=True)
    after = serializers.DictField(read_only=True)

    class Meta:
        model = AuditEvent
        fields = ("id", "action", "label", "ip", "device", "created_at", "by_operator", "before", "after")

    def is_by_another(self, event: AuditEvent) -> bool:
        return event.action in AuditEvent.BY_OPERATORS or event.actor_id not in (None, event.user_id)

    def get_ip(self, event: AuditEvent) -> str | None:
        return None if self.is_by_another(event) else event.ip

    def get_device(self, event: AuditEvent) -> str:
        return "" if self.is_by_another(event) else event.device

    def get_by_operator(self, event: AuditEvent) -> bool:
        actor: Any = event.actor
        return event.action in AuditEvent.BY_OPERATORS or (
            self.is_by_another(event) and actor is not None and actor.is_staff
        )
