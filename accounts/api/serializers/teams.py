"""Shapes of teams."""

import unicodedata
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.serializers.base import avatar_of, phone_rule
from accounts.models import Team, TeamInvitation, TeamMember, User
from accounts.models.users import masked
from accounts.permissions import MANAGED_ROLES, TEAM_RIGHTS, Action, Role

MAX_INVITATION_DAYS = 30


def one_line(text: str) -> None:
    """A validator: no control characters, surrogates or line breaks, which would spoil every list it is shown in."""
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise serializers.ValidationError(_("Holds characters that are not allowed."), code="invalid")


class TeamInputSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=100, validators=[one_line])
    description = serializers.CharField(max_length=500, allow_blank=True, required=False)


class TeamSerializer(serializers.ModelSerializer):
    """A team, with the role of who asks, and what it allows them."""

    role = serializers.ChoiceField(Role.choices)
    member_count = serializers.IntegerField()
    rights = serializers.SerializerMethodField()
    managed_roles = serializers.SerializerMethodField()

    class Meta:
        model = Team
        fields = (
            "id", "name", "description", "role", "rights", "managed_roles", "member_count", "max_members",
            "created_at", "updated_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=[*Action])))
    def get_rights(self, team: Any) -> list[str]:
        return [action.value for action in Action if team.role in TEAM_RIGHTS[action]]

    @extend_schema_field(
        serializers.ListField(
            child=serializers.ChoiceField(choices=Role.choices),
            help_text="Who has one of these roles may be removed or given another of them by who asks.",
        )
    )
    def get_managed_roles(self, team: Any) -> list[str]:
        return [role.value for role in Role if role in MANAGED_ROLES[team.role]]


class MemberSerializer(serializers.ModelSerializer):
    """A member; `phone` is masked, and empty for those who do not manage members."""

    id = serializers.UUIDField(source="user_id", help_text="Of the user.")
    username = serializers.CharField(source="user.public_name")
    avatar = serializers.SerializerMethodField()
    phone = serializers.SerializerMethodField()
    joined_at = serializers.DateTimeField(source="created_at")

    class Meta:
        model = TeamMember
        fields = ("id", "username", "avatar", "phone", "role", "joined_at")
        read_only_fields = fields

    def get_avatar(self, member: TeamMember) -> str:
        return avatar_of(member.user, self.context.get("request"))

    def get_phone(self, member: TeamMember) -> str:
        return member.user.masked_phone if self.context["with_phones"] else ""


class MemberRoleSerializer(serializers.Serializer):
    role = serializers.ChoiceField(Role.choices)

    def validate_role(self, value: str) -> Role:
        return Role(value)


class TransferSerializer(serializers.Serializer):
    user_id = serializers.UUIDField()


class InviterSerializer(serializers.ModelSerializer):
    username = serializers.CharField(source="public_name")

    class Meta:
        model = User
        fields = ("id", "username")


class InvitationInputSerializer(MemberRoleSerializer):
    """Without `phone` it is a link for one person."""

    role = serializers.ChoiceField(
        [choice for choice in Role.choices if choice[0] != Role.OWNER], default=Role.MEMBER
    )
    phone = serializers.CharField(
        max_length=20, default="", allow_blank=True, allow_null=True, validators=[phone_rule]
    )
    expires_in_days = serializers.IntegerField(
        source="days", min_value=1, max_value=MAX_INVITATION_DAYS, required=False
    )

    def validate_phone(self, value: str | None) -> str:
        return value or ""


class InvitationSerializer(serializers.ModelSerializer):
    """An open invitation to those who manage members."""

    phone = serializers.SerializerMethodField(help_text="Masked; empty for a link.")
    invited_by = InviterSerializer()

    class Meta:
        model = TeamInvitation
        fields: tuple[str, ...] = ("id", "role", "phone", "invited_by", "created_at", "expires_at")
        read_only_fields = fields

    def get_phone(self, invitation: TeamInvitation) -> str:
        return masked(invitation.phone)


class NewInvitationSerializer(InvitationSerializer):
    """Token and link are told this once."""

    token = serializers.SerializerMethodField()
    link = serializers.SerializerMethodField()

    class Meta(InvitationSerializer.Meta):
        fields = (*InvitationSerializer.Meta.fields, "token", "link")
        read_only_fields = fields

    def get_token(self, invitation: TeamInvitation) -> str:
        return str(self.context["token"])

    def get_link(self, invitation: TeamInvitation) -> str:
        return str(self.context["link"])


class InvitedTeamSerializer(serializers.ModelSerializer):
    class Meta:
        model = Team
        fields = ("id", "name")


class ReceivedInvitationSerializer(serializers.ModelSerializer):
    """An open invitation to whom it is meant for."""

    team = InvitedTeamSerializer()
    invited_by = InviterSerializer()

    class Meta:
        model = TeamInvitation
        fields = ("id", "team", "role", "invited_by", "created_at", "expires_at")
        read_only_fields = fields
