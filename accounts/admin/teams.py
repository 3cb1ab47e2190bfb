"""Teams, their members and invitations. Users change them through the API; operators set how large a team may be."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.models import Team, TeamInvitation, TeamMember, User
from accounts.services import teams
from accounts.services.passwords import find_user
from common.admin import AuditedAdmin, ReadOnlyAdmin, ReadOnlyInline
from common.errors import DomainError, NotVisible


class TeamMemberInline(ReadOnlyInline):
    model = TeamMember
    fields = ("user", "role", "created_at")
    readonly_fields = fields
    ordering = ("created_at", "pk")
    hide_title = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[TeamMember]:
        return super().get_queryset(request).select_related("user")


class OwnerForm(BaseDialogForm):
    user = forms.CharField(label=_("Username, phone or e-mail"), widget=UnfoldAdminTextInputWidget)


@admin.register(Team)
class TeamAdmin(AuditedAdmin):
    list_display = ("name", "member_count", "max_members", "created_at")
    search_fields = ("name", "members__user__username")
    ordering = ("-created_at", "-pk")
    fields = ("name", "description", "max_members", "created_at", "updated_at")
    readonly_fields = ("name", "description", "created_at", "updated_at")
    inlines = (TeamMemberInline,)
    actions_detail = ("appoint_owner",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        return super().get_queryset(request).annotate(count=Count("members", distinct=True))

    @admin.display(description=_("team members"), ordering="count")
    def member_count(self, team: Any) -> int:
        return int(team.count)

    def has_appoint_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("accounts.change_team")

    @action(
        description=_("Appoint an owner"),
        url_path="appoint-owner",
        permissions=["appoint"],
        dialog={
            "title": _("Appoint an owner"),
            "description": _(
                "For a team that nobody can act for any more: its owners are deleted or blocked."
            ),
            "form_class": OwnerForm,
            "form_submit_text": _("Appoint"),
        },
    )
    def appoint_owner(self, request: HttpRequest, form: OwnerForm, object_id: str) -> HttpResponse:
        team: Team | None = self.get_object(request, object_id)
        if team is None:
            raise Http404
        try:
            user = find_user(form.cleaned_data["user"])
            if user is None:
                raise NotVisible(_("There is no such user."))
            teams.appoint_owner(team=team, user=user, actor=cast(User, request.user))
            self.message_user(request, _("%(user)s owns the team.") % {"user": user}, messages.SUCCESS)
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
        # The dialog is sent by a script, which then goes where it is told.
        return HttpResponse(headers={"HX-Redirect": reverse("admin:accounts_team_change", args=[team.pk])})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TeamMember)
class TeamMemberAdmin(ReadOnlyAdmin):
    list_display = ("team", "user", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("team", "user")
    search_fields = ("team__name", "user__username")
    ordering = ("-created_at", "-pk")


@admin.register(TeamInvitation)
class TeamInvitationAdmin(ReadOnlyAdmin):
    list_display = ("team", "phone", "role", "status", "invited_by", "created_at", "expires_at")
    list_filter = ("status", "role")
    list_select_related = ("team", "invited_by")
    search_fields = ("team__name", "^phone", "invited_by__username")
    ordering = ("-created_at", "-pk")
