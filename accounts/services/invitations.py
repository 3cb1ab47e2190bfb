"""Invitations to teams: to a phone, or by a link. Each is good for one person."""

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.errors import AlreadyInvited, AlreadyMember, InvitationClosed, TeamFull
from accounts.models import Team, TeamInvitation, TeamMember, User
from accounts.permissions import MANAGED_ROLES, Action, Role
from accounts.services.teams import lock, locked, page_of, record_role, require_phone, tell
from common import limits
from common.errors import Forbidden, NotVisible
from common.ids import as_uuid

Status = TeamInvitation.Status
INVITED = gettext_noop("%(name)s invites you to the team.")
JOINED = gettext_noop("%(name)s has joined the team.")


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def invite(
    *, team: Team, actor: User, role: Role, phone: str = "", days: int | None = None
) -> tuple[TeamInvitation, str]:
    """Invite whoever has `phone`, now or later; without a phone, whoever opens the link first.

    Returns the invitation and its token, which nobody can learn afterwards. Nothing reveals whether the phone belongs
    to a user or a member. Raises NotVisible, Forbidden, AlreadyInvited, RateLimited.
    """
    limits.take(("team-invitation", str(actor.pk), settings.TEAM_INVITATION_LIMIT))
    now = timezone.now()
    token = secrets.token_urlsafe(32)
    with locked(team, actor, Action.MANAGE_MEMBERS) as own:
        if role not in MANAGED_ROLES[own]:
            raise Forbidden
        if phone:
            sweep(now=now, phone=phone)
            if TeamInvitation.objects.open(now).filter(team=team, phone=phone).exists():
                raise AlreadyInvited
        invitation = TeamInvitation.objects.create(
            team=team,
            role=role,
            phone=phone,
            token_hash=hash_of(token),
            invited_by=actor,
            expires_at=now + timedelta(days=days or settings.TEAM_INVITATION_DAYS),
        )
        invited = User.objects.filter(phone=phone).exclude(memberships__team=team).first() if phone else None
        if invited:
            tell_invited(invited, invitation)
    return invitation, token


def tell_waiting(user: User) -> None:
    """Tell who has just got a phone of the open invitations that were sent to it before."""
    waiting = (
        TeamInvitation.objects.open(timezone.now()).visible_to(user).select_related("team", "invited_by")
    )
    for invitation in waiting.order_by("created_at", "pk"):
        tell_invited(user, invitation)


def tell_invited(user: User, invitation: TeamInvitation) -> None:
    by = invitation.invited_by
    page = f"/invitation#{invitation.pk}"
    tell(user, invitation.team, INVITED, by=by, action_url=page, name=by.public_name)


def withdraw(*, team: Team, actor: User, invitation_id: UUID) -> None:
    """Take an invitation back. Raises NotVisible, Forbidden, InvitationClosed."""
    with locked(team, actor, Action.MANAGE_MEMBERS) as own:
        invitation = team.invitations.filter(pk=invitation_id).first()
        if invitation is None:
            raise NotVisible
        if Role(invitation.role) not in MANAGED_ROLES[own]:
            raise Forbidden
        close(invitation, Status.REVOKED, now=timezone.now())


def find(*, user: User, key: str) -> TeamInvitation:
    """The open invitation of the token `key`, or of that id among those to the user's phone.

    Raises NotVisible, InvitationClosed.
    """
    own_id = as_uuid(key)
    if own_id:
        reached = TeamInvitation.objects.visible_to(user).filter(pk=own_id)
    else:
        reached = TeamInvitation.objects.by_token(hash_of(key), user)
    invitation = reached.select_related("team", "invited_by").first()
    if invitation is None:
        raise NotVisible
    if not invitation.is_open(timezone.now()):
        raise closed(invitation)
    return invitation


def accept(*, user: User, key: str) -> Team:
    """Join the team, with the role of the invitation.

    Raises PhoneRequired, NotVisible, InvitationClosed, AlreadyMember, TeamFull.
    """
    require_phone(user)
    invitation = find(user=user, key=key)
    with transaction.atomic():
        team = lock(invitation.team)
        if team.members.filter(user=user).exists():
            raise AlreadyMember
        close(invitation, Status.ACCEPTED, now=timezone.now(), by=user)
        if team.members.count() >= team.max_members:
            raise TeamFull(limit=team.max_members)
        TeamMember.objects.create(team=team, user=user, role=invitation.role)
        record_role(team, user, actor=user, after=invitation.role)
        tell(invitation.invited_by, team, JOINED, by=user, action_url=page_of(team), name=user.public_name)
    return team


def decline(*, user: User, key: str) -> None:
    """Refuse an invitation; a link is used up by that, too. Raises NotVisible, InvitationClosed."""
    close(find(user=user, key=key), Status.DECLINED, now=timezone.now(), by=user)


def close(invitation: TeamInvitation, status: Status, *, now: datetime, by: User | None = None) -> None:
    """Move an open invitation on, once. Raises InvitationClosed for the second of two callers, and after it has
    expired.
    """
    row = TeamInvitation.objects.open(now).filter(pk=invitation.pk)
    answered = {"answered_by": by, "answered_at": now} if by else {}
    if not row.update(status=status, updated_at=now, **answered):
        invitation.refresh_from_db()
        raise closed(invitation)


def closed(invitation: TeamInvitation) -> InvitationClosed:
    """The error that says how it ended; one that is still open, and refused, is over its time."""
    ended = Status.EXPIRED if invitation.status == Status.OPEN else Status(invitation.status)
    return InvitationClosed(status=ended.value)


def sweep(*, now: datetime, **which: str) -> int:
    """Mark invitations as expired whose time is over; returns how many."""
    due = TeamInvitation.objects.filter(status=Status.OPEN, expires_at__lte=now, **which)
    return due.update(status=Status.EXPIRED, updated_at=now)
