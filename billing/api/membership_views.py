"""Doors of prices, plans, memberships, and of what members may spend of their team's money."""

from typing import Any, cast
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Team, TeamMember, User
from accounts.permissions import Action, require
from billing import errors
from billing.api import membership_shapes as shapes
from billing.api.idempotency import once_per_key
from billing.api.serializers import BalanceSerializer
from billing.models import MemberLimit, Membership, MembershipPlan, Wallet
from billing.services import limits, membership
from billing.services.ledger import wallet_of
from billing.services.plans import plan_of
from billing.services.prices import rules_in_force
from common.errors import Forbidden, NotVisible
from common.serializers import DoneSerializer
from common.views import done

PAYING = (errors.InsufficientBalance, errors.WalletParked)


def actor_of(request: Request) -> User:
    return cast(User, request.user)


class PricesView(APIView):
    @extend_schema(responses=shapes.PricesSerializer, tags=["billing"])
    def get(self, request: Request) -> Response:
        """The price rules in force, what a task's priority makes of them, and the caller's discount."""
        plan = plan_of(actor_of(request))
        body = {"rules": rules_in_force(now=timezone.now()), "level": plan.level, "discount": plan.discount}
        return Response(shapes.PricesSerializer(body).data)


class PlansView(APIView):
    @extend_schema(responses=shapes.PlansSerializer, tags=["billing"])
    def get(self, request: Request) -> Response:
        """Every plan, and what changing to it costs the caller now; a lower one begins with the next period."""
        user, now = actor_of(request), timezone.now()
        plans = list(MembershipPlan.objects.order_by("level"))
        for plan in plans:
            plan.price_now = membership.price_now(user, plan, now=now)  # type: ignore[attr-defined]
        return Response(shapes.PlansSerializer({"plans": plans}).data)


class MembershipView(APIView):
    refusals = {"post": (*PAYING, errors.PlanUnchanged, errors.NoMembership)}

    @extend_schema(responses=shapes.MembershipSerializer, tags=["billing"])
    def get(self, request: Request) -> Response:
        """The caller's plan, and the month that is paid."""
        return Response(shown(actor_of(request)))

    @extend_schema(
        request=shapes.ChangePlanSerializer, responses=shapes.MembershipSerializer, tags=["billing"]
    )
    @once_per_key
    def post(self, request: Request) -> Response:
        """Buy a membership, raise it at once, or lower it with the end of the period (level 0: end it)."""
        wanted = shapes.ChangePlanSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        membership.change_plan(user=actor_of(request), level=wanted.validated_data["level"])
        return Response(shown(actor_of(request)))


class DesktopUpgradeView(APIView):
    refusals = MembershipView.refusals

    @extend_schema(request=shapes.DesktopUpgradeSerializer, responses=BalanceSerializer, tags=["users"])
    @once_per_key
    def post(self, request: Request) -> Response:
        """The same as POST /billing/membership, as the desktop client asks; answered with what is left."""
        wanted = shapes.DesktopUpgradeSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        user = actor_of(request)
        membership.change_plan(user=user, level=wanted.validated_data["target_level"])
        return Response(BalanceSerializer(wallet_of(user)).data)


class CancelMembershipView(APIView):
    refusals = {"post": (errors.NoMembership,)}

    @extend_schema(request=None, responses=shapes.MembershipSerializer, tags=["billing"])
    def post(self, request: Request) -> Response:
        """Let the membership end with its period; nothing is given back."""
        membership.cancel(user=actor_of(request))
        return Response(shown(actor_of(request)))


class ResumeMembershipView(APIView):
    refusals = {"post": (errors.NoMembership,)}

    @extend_schema(request=None, responses=shapes.MembershipSerializer, tags=["billing"])
    def post(self, request: Request) -> Response:
        """Take back that the membership ends or is lowered."""
        membership.resume(user=actor_of(request))
        return Response(shown(actor_of(request)))


def shown(user: User) -> dict[str, Any]:
    plan = MembershipPlan.objects.get(
        level=User.objects.values_list("member_level", flat=True).get(pk=user.pk)
    )
    mine = Membership.objects.filter(user=user).select_related("next_plan").first()
    return dict(shapes.MembershipSerializer({"plan": plan, "membership": mine}).data)


def team_of(user: User, team_id: UUID) -> Team:
    team = Team.objects.visible_to(user).filter(pk=team_id).first()
    if team is None:
        raise NotVisible
    return team


class LimitsView(APIView):
    refusals = {"get": (Forbidden,)}

    @extend_schema(responses=shapes.LimitsSerializer, tags=["billing"])
    def get(self, request: Request, team_id: UUID) -> Response:
        """What each member may spend this month, and has: for who sees the team's money."""
        team = team_of(actor_of(request), team_id)
        require(actor_of(request), Action.VIEW_MONEY, team)
        wallet = Wallet.objects.filter(team=team, currency="CNY").first()
        known = dict(MemberLimit.objects.filter(team=team).values_list("user", "amount"))
        members = TeamMember.objects.filter(team=team).select_related("user").order_by("created_at", "pk")
        now = timezone.now()
        rows = [
            {
                "user_id": member.user_id,
                "username": member.user.username,
                "role": member.role,
                "limit": known.get(member.user_id),
                "spent": limits.spent_in_month(wallet=wallet, user=member.user, now=now) if wallet else 0,
            }
            for member in members
        ]
        return Response(shapes.LimitsSerializer({"members": rows}).data)


class LimitView(APIView):
    refusals = {"put": (Forbidden,), "delete": (Forbidden,)}

    @extend_schema(request=shapes.LimitSerializer, responses=shapes.LimitSerializer, tags=["billing"])
    def put(self, request: Request, team_id: UUID, user_id: UUID) -> Response:
        """Let a member spend at most so many yuan of the team's money in a calendar month (Asia/Shanghai)."""
        wanted = shapes.LimitSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        self.set(request, team_id, user_id, wanted.validated_data["amount"])
        return Response(wanted.data)

    @extend_schema(tags=["billing"], responses={200: DoneSerializer})
    def delete(self, request: Request, team_id: UUID, user_id: UUID) -> Response:
        """Let a member spend whatever the team has."""
        self.set(request, team_id, user_id, None)
        return done()

    def set(self, request: Request, team_id: UUID, user_id: UUID, amount: Any) -> None:
        team = team_of(actor_of(request), team_id)
        member = User.objects.filter(pk=user_id).first()
        if member is None:
            raise NotVisible
        limits.set_limit(team=team, actor=actor_of(request), user=member, amount=amount)
