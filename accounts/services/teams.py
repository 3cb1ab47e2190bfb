"""Teams and their members. Whatever changes members holds the lock of the team's row."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError, Q, RestrictedError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.errors import AccountBlocked, LastOwner, PhoneRequired, TeamInUse, TeamOwned, TooManyTeams
from accounts.models import AuditEvent, Team, TeamInvitation, TeamMember, User
from accounts.permissions import MANAGED_ROLES, Action, Role, require, role_in
from accounts.services import audit
from accounts.services.notifications import notify
from accounts.signals import team_created, team_deleted
from common.errors import Forbidden, Invalid, NotVisible

MAX_TEAMS = 20
"""Teams a user may own."""

TITLE = gettext_noop("Team %(team)s")
REMOVED = gettext_noop("You were removed from the team.")
DELETED = gettext_noop("The team was deleted.")
NOW = {
    Role.OWNER: gettext_noop("You are now an owner of the team."),
    Role.ADMIN: gettext_noop("You are now an administrator of the team."),
    Role.MEMBER: gettext_noop("You are now a member of the team."),
    Role.VIEWER: gettext_noop("You are now a viewer of the team."),
}


def require_phone(user: User) -> None:
    """Raises PhoneRequired for a guest: whoever works with others must be reachable."""
    if user.is_guest:
        raise PhoneRequired


def lock(team: Team) -> Team:
    """The team as it is, held until the transaction ends. Raises NotVisible where it is gone."""
    held = Team.objects.select_for_update(of=("self",)).filter(pk=team.pk).first()
    if held is None:
        raise NotVisible
    return held


@contextmanager
def locked(team: Team, actor: User, action: Action) -> Iterator[Role]:
    """A transaction that holds the team's row, with the role that allows `actor` to do `action`. Raises NotVisible,
    Forbidden.
    """
    with transaction.atomic():
        lock(team)
        yield require(actor, action, team)


def member_of(team: Team, user_id: UUID) -> TeamMember:
    member = team.members.select_related("user").filter(user_id=user_id).first()
    if member is None:
        raise NotVisible
    return member


def record_role(team: Team, user: User, *, actor: User, before: str = "", after: str = "") -> None:
    """Record that a role was given, changed or taken; an empty role means no membership."""
    audit.record(
        AuditEvent.Action.ROLE_CHANGED,
        user=user,
        actor=actor,
        target=team,
        before={"team": team.name, "role": before} if before else {},
        after={"team": team.name, "role": after} if after else {},
    )


def page_of(team: Team) -> str:
    return f"/teams#{team.pk}"


def tell(user: User, team: Team, message: str, *, by: User, action_url: str = "", **params: str) -> None:
    """Notify `user` of what somebody else did."""
    if user != by:
        values = {"team": team.name, **params}
        notify(user=user, title=TITLE, message=message, params=values, action_url=action_url)


def is_owned(team: Team) -> bool:
    """Whether the team has an owner who can act; a blocked one does not count."""
    return team.members.filter(role=Role.OWNER, user__is_active=True).exists()


def set_role(member: TeamMember, role: Role | None, *, actor: User) -> None:
    """Change a member's role, or with None end the membership, under the team's lock.

    Without the right to invite, a member's open invitations are withdrawn. So are those to the phone of a member who
    leaves, so that nobody who was removed comes back by an older one. Raises LastOwner.
    """
    team, user, before = member.team, member.user, Role(member.role)
    row = TeamMember.objects.filter(pk=member.pk)
    invitations = TeamInvitation.objects.open(timezone.now()).filter(team=team)
    if role is None:
        row.delete()
        stale = invitations.filter(Q(invited_by=user) | Q(phone=user.phone or None))
    else:
        row.update(role=role, updated_at=timezone.now())
        member.role = role
        stale = invitations.filter(invited_by=user).exclude(role__in=MANAGED_ROLES[role])
    # Looked at afterwards, so that every way out of the role is covered.
    if before == Role.OWNER and not is_owned(team):
        raise LastOwner
    stale.update(status=TeamInvitation.Status.REVOKED, updated_at=timezone.now())
    record_role(team, user, actor=actor, before=before, after=role or "")


def create_team(*, owner: User, name: str, description: str = "") -> Team:
    """A new team of `owner`. Raises PhoneRequired, TooManyTeams."""
    require_phone(owner)
    with transaction.atomic():
        User.objects.select_for_update(of=("self",)).filter(pk=owner.pk).first()
        if TeamMember.objects.filter(user=owner, role=Role.OWNER).count() >= MAX_TEAMS:
            raise TooManyTeams(limit=MAX_TEAMS)
        team = Team.objects.create(name=name, description=description)
        TeamMember.objects.create(team=team, user=owner, role=Role.OWNER)
        record_role(team, owner, actor=owner, after=Role.OWNER)
        team_created.send(sender=Team, team=team)
    return team


def update_team(*, team: Team, actor: User, **fields: Any) -> None:
    """Change name or description. Raises NotVisible, Forbidden."""
    with locked(team, actor, Action.EDIT):
        Team.objects.filter(pk=team.pk).update(**fields, updated_at=timezone.now())


def delete_team(*, team: Team, actor: User) -> None:
    """Delete a team that nothing above needs. Raises NotVisible, Forbidden, TeamInUse."""
    try:
        with locked(team, actor, Action.DELETE):
            for member in team.members.select_related("user").order_by("pk"):
                record_role(team, member.user, actor=actor, before=member.role)
                tell(member.user, team, DELETED, by=actor)
            team_deleted.send(sender=Team, team=team)
            Team.objects.filter(pk=team.pk).delete()
            connection.check_constraints()  # somebody may have come to need it since it was looked at
    except (ProtectedError, RestrictedError, IntegrityError) as error:
        raise TeamInUse from error


def change_role(*, team: Team, actor: User, user_id: UUID, role: Role) -> TeamMember:
    """Give a member another role. Raises NotVisible, Forbidden, LastOwner."""
    with locked(team, actor, Action.MANAGE_MEMBERS) as own:
        member = member_of(team, user_id)
        if not {Role(member.role), role} <= MANAGED_ROLES[own]:
            raise Forbidden
        if member.role != role:
            set_role(member, role, actor=actor)
            tell(member.user, team, NOW[role], by=actor, action_url=page_of(team))
    return member


def remove_member(*, team: Team, actor: User, user_id: UUID) -> None:
    """Take a member out of the team. Raises NotVisible, Forbidden, LastOwner."""
    with locked(team, actor, Action.MANAGE_MEMBERS) as own:
        member = member_of(team, user_id)
        if Role(member.role) not in MANAGED_ROLES[own]:
            raise Forbidden
        set_role(member, None, actor=actor)
        tell(member.user, team, REMOVED, by=actor)


def leave_team(*, team: Team, actor: User) -> None:
    """Leave a team. Raises NotVisible, LastOwner."""
    with locked(team, actor, Action.LEAVE):
        set_role(member_of(team, actor.pk), None, actor=actor)


def transfer_ownership(*, team: Team, actor: User, user_id: UUID) -> None:
    """Make another member owner; the present one becomes administrator. Raises NotVisible, Forbidden, Invalid,
    LastOwner.
    """
    with locked(team, actor, Action.TRANSFER):
        heir = member_of(team, user_id)
        if heir.user_id == actor.pk:
            raise Invalid(_("Choose another member."), field="user_id")
        if heir.role != Role.OWNER:
            set_role(heir, Role.OWNER, actor=actor)
            tell(heir.user, team, NOW[Role.OWNER], by=actor, action_url=page_of(team))
        set_role(member_of(team, actor.pk), Role.ADMIN, actor=actor)


def appoint_owner(*, team: Team, user: User, actor: User) -> None:
    """An operator gives a team without owners a new one, who need not be a member yet.

    Raises NotVisible, PhoneRequired, AccountBlocked, TeamOwned.
    """
    require_phone(user)
    with transaction.atomic():
        if is_owned(lock(team)):
            raise TeamOwned
        if not User.objects.filter(pk=user.pk, is_active=True).exists():
            raise AccountBlocked
        before = role_in(user, team)
        TeamMember.objects.update_or_create(team=team, user=user, defaults={"role": Role.OWNER})
        record_role(team, user, actor=actor, before=before or "", after=Role.OWNER)
        tell(user, team, NOW[Role.OWNER], by=actor, action_url=page_of(team))
