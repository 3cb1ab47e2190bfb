"""Teams, their members and invitations. People change them by the API; operators say how large a team may be."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import Team, TeamInvitation, TeamMember
from common.admin import AuditedAdmin, ReadOnlyAdmin, ReadOnlyInline


class TeamMemberInline(ReadOnlyInline):
    model = TeamMember
    fields = ("user", "role", "created_at")
    readonly_fields = fields
    ordering = ("created_at", "pk")
    hide_title = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[TeamMember]:
        return super().get_queryset(request).select_related("user")


@admin.register(Team)
class TeamAdmin(AuditedAdmin):
    list_display = ("name", "member_count", "max_members", "created_at")
    search_fields = ("name", "members__user__username", "members__user__phone")
    ordering = ("-created_at", "-pk")
    fields = ("name", "description", "max_members", "created_at", "updated_at")
    readonly_fields = ("name", "description", "created_at", "updated_at")
    inlines = (TeamMemberInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        return super().get_queryset(request).annotate(count=Count("members", distinct=True))

    @admin.display(description=_("team members"), ordering="count")
    def member_count(self, team: Any) -> int:
        return int(team.count)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
