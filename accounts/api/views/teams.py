"""Doors of teams: /teams, and the invitations one has received."""

from typing import Any, cast
from urllib.parse import urljoin
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from accounts import errors
from accounts.api.serializers import teams as shapes
from accounts.models import Team, TeamInvitation, User
from accounts.permissions import TEAM_RIGHTS, Action, require
from accounts.services import invitations, teams
from common.errors import Forbidden
from common.serializers import DoneSerializer
from common.views import VisibleViewSet, done


def link_of(request: Request, token: str) -> str:
    """The page of an invitation, below PUBLIC_URL or the request's host."""
    page = f"{reverse('invitation')}#{token}"
    return urljoin(settings.PUBLIC_URL, page) if settings.PUBLIC_URL else request.build_absolute_uri(page)


@extend_schema(tags=["teams"])
class TeamViewSet(ListModelMixin, RetrieveModelMixin, VisibleViewSet):
    """Teams of the user, newest first."""

    model = Team
    serializer_class: type[Serializer] = shapes.TeamSerializer
    results_key = "teams"
    refusals = {
        "create": (errors.TooManyTeams,),
        "update": (Forbidden,),
        "partial_update": (Forbidden,),
        "destroy": (Forbidden, errors.TeamInUse),
        "leave": (errors.LastOwner,),
        "transfer": (Forbidden, errors.LastOwner),
        "member": (Forbidden, errors.LastOwner),
        "remove_member": (Forbidden, errors.LastOwner),
        "invitations": (Forbidden,),
        "invite": (Forbidden, errors.AlreadyInvited),
        "invitation": (Forbidden, errors.InvitationClosed),
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.order_by("-created_at", "-pk")

    @property
    def actor(self) -> User:
        return cast(User, self.request.user)

    def shown(self, team_id: UUID, code: int = status.HTTP_200_OK) -> Response:
        fresh = Team.objects.visible_to(self.actor).get(pk=team_id)
        return Response(shapes.TeamSerializer(fresh).data, status=code)

    @extend_schema(request=shapes.TeamInputSerializer, responses={201: shapes.TeamSerializer})
    def create(self, request: Request) -> Response:
        """A new team; who makes it owns it."""
        team = teams.create_team(owner=self.actor, **self.valid(shapes.TeamInputSerializer, request))
        return self.shown(team.pk, status.HTTP_201_CREATED)

    @extend_schema(request=shapes.TeamInputSerializer, responses=shapes.TeamSerializer)
    def update(self, request: Request, pk: UUID) -> Response:
        """Change name or description; what is left out stays."""
        team = self.get_object()
        teams.update_team(
            team=team, actor=self.actor, **self.valid(shapes.TeamInputSerializer, request, partial=True)
        )
        return self.shown(team.pk)

    @extend_schema(request=shapes.TeamInputSerializer, responses=shapes.TeamSerializer)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """The same as PUT."""
        return self.update(request, pk)

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a team for everybody. 409 team_in_use while it still has what others need."""
        teams.delete_team(team=self.get_object(), actor=self.actor)
        return done()

    @extend_schema(request=None, responses=DoneSerializer)
    @action(detail=True, methods=["post"])
    def leave(self, request: Request, pk: UUID) -> Response:
        """Leave a team. 409 last_owner for the only owner."""
        teams.leave_team(team=self.get_object(), actor=self.actor)
        return done()

    @extend_schema(request=shapes.TransferSerializer, responses=shapes.TeamSerializer)
    @action(detail=True, methods=["post"])
    def transfer(self, request: Request, pk: UUID) -> Response:
        """Make another member owner and become administrator oneself."""
        team = self.get_object()
        data = self.valid(shapes.TransferSerializer, request)
        teams.transfer_ownership(team=team, actor=self.actor, **data)
        return self.shown(team.pk)

    # --- members ---

    @extend_schema(responses=shapes.MemberSerializer(many=True))
    @action(detail=True)
    def members(self, request: Request, pk: UUID) -> Response:
        """Members in the order in which they joined."""
        team = self.get_object()
        self.results_key, self.serializer_class = "members", shapes.MemberSerializer
        rows = team.members.select_related("user").order_by("created_at", "pk")
        return self.page(rows, with_phones=team.role in TEAM_RIGHTS[Action.MANAGE_MEMBERS])

    @extend_schema(request=shapes.MemberRoleSerializer, responses=shapes.MemberSerializer)
    @action(detail=True, methods=["put"], url_path="members/<uuid:user_id>")
    def member(self, request: Request, pk: UUID, user_id: UUID) -> Response:
        """Give a member another role. Owners give any; administrators make members viewers and back."""
        team = self.get_object()
        data = self.valid(shapes.MemberRoleSerializer, request)
        changed = teams.change_role(team=team, actor=self.actor, user_id=user_id, **data)
        return Response(
            shapes.MemberSerializer(changed, context={"request": request, "with_phones": True}).data
        )

    @extend_schema(responses={200: DoneSerializer})
    @member.mapping.delete
    def remove_member(self, request: Request, pk: UUID, user_id: UUID) -> Response:
        """Take a member out of the team."""
        teams.remove_member(team=self.get_object(), actor=self.actor, user_id=user_id)
        return done()

    # --- invitations that were sent ---

    @extend_schema(responses=shapes.InvitationSerializer(many=True))
    @action(detail=True)
    def invitations(self, request: Request, pk: UUID) -> Response:
        """Open invitations, newest first."""
        team = self.get_object()
        require(self.actor, Action.MANAGE_MEMBERS, team)
        self.results_key, self.serializer_class = "invitations", shapes.InvitationSerializer
        rows = TeamInvitation.objects.open(timezone.now()).filter(team=team).select_related("invited_by")
        return self.page(rows.order_by("-created_at", "-pk"))

    @extend_schema(request=shapes.InvitationInputSerializer, responses={201: shapes.NewInvitationSerializer})
    @invitations.mapping.post
    def invite(self, request: Request, pk: UUID) -> Response:
        """Invite one person: whoever has `phone`, now or later, or without it whoever opens the link first."""
        team = self.get_object()
        data = self.valid(shapes.InvitationInputSerializer, request)
        invitation, token = invitations.invite(team=team, actor=self.actor, **data)
        context = {"token": token, "link": link_of(request, token)}
        shown = shapes.NewInvitationSerializer(invitation, context=context).data
        return Response(shown, status=status.HTTP_201_CREATED)

    @extend_schema(responses={200: DoneSerializer})
    @action(detail=True, methods=["delete"], url_path="invitations/<uuid:invitation_id>")
    def invitation(self, request: Request, pk: UUID, invitation_id: UUID) -> Response:
        """Take an invitation back."""
        invitations.withdraw(team=self.get_object(), actor=self.actor, invitation_id=invitation_id)
        return done()


KEY = OpenApiParameter(
    "key", OpenApiTypes.STR, "path", description="Token of the link, or id of one sent to the user's phone."
)


@extend_schema(tags=["teams"])
class ReceivedInvitationViewSet(ListModelMixin, VisibleViewSet):
    """Open invitations to the user's phone, newest first."""

    model = TeamInvitation
    serializer_class = shapes.ReceivedInvitationSerializer
    results_key = "invitations"
    lookup_url_kwarg = "key"
    lookup_value_converter = "str"
    refusals = {
        "retrieve": (errors.InvitationClosed,),
        "accept": (errors.InvitationClosed, errors.AlreadyMember, errors.TeamFull),
        "decline": (errors.InvitationClosed,),
    }

    @property
    def actor(self) -> User:
        return cast(User, self.request.user)

    def narrow(self, rows: QuerySet) -> QuerySet:
        waiting: Any = rows.exclude(team__members__user=self.actor)
        return (
            waiting.open(timezone.now()).select_related("team", "invited_by").order_by("-created_at", "-pk")
        )

    @extend_schema(parameters=[KEY], responses=shapes.ReceivedInvitationSerializer)
    def retrieve(self, request: Request, key: str) -> Response:
        """What an invitation is. 409 invitation_closed once it is answered, withdrawn or over its time."""
        found = invitations.find(user=self.actor, key=key)
        return Response(shapes.ReceivedInvitationSerializer(found).data)

    @extend_schema(parameters=[KEY], request=None, responses=shapes.TeamSerializer)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, key: str) -> Response:
        """Join the team."""
        team = invitations.accept(user=self.actor, key=key)
        return Response(shapes.TeamSerializer(Team.objects.visible_to(self.actor).get(pk=team.pk)).data)

    @extend_schema(parameters=[KEY], request=None, responses=DoneSerializer)
    @action(detail=True, methods=["post"])
    def decline(self, request: Request, key: str) -> Response:
        """Refuse an invitation; a link is used up by that, too."""
        invitations.decline(user=self.actor, key=key)
        return done()
