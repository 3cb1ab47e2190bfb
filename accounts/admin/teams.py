"""Teams, their members and invitations."""

from django.contrib import admin

from accounts.models import Team, TeamInvitation, TeamMember
from common.admin import ReadOnlyAdmin


@admin.register(Team)
class TeamAdmin(ReadOnlyAdmin):
    list_display = ("name", "max_members", "created_at")
    search_fields = ("name", "members__user__username", "members__user__phone")
    ordering = ("-created_at", "-pk")


@admin.register(TeamMember)
class TeamMemberAdmin(ReadOnlyAdmin):
    list_display = ("team", "user", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("team", "user")
    search_fields = ("team__name", "user__username", "user__phone")
    ordering = ("-created_at", "-pk")


@admin.register(TeamInvitation)
class TeamInvitationAdmin(ReadOnlyAdmin):
    list_display = ("team", "phone", "role", "status", "invited_by", "created_at", "expires_at")
    list_filter = ("status", "role")
    list_select_related = ("team", "invited_by")
    search_fields = ("team__name", "phone", "invited_by__username")
    ordering = ("-created_at", "-pk")
