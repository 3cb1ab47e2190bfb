"""Who may do what in a drive, defined once. API, uploads, WebDAV, links and admin ask here."""

from collections.abc import Iterable
from enum import StrEnum
from uuid import UUID

from accounts.models import TeamMember, User
from accounts.permissions import TEAM_RIGHTS
from accounts.permissions import Action as TeamAction
from common.errors import Forbidden, NotVisible
from drives.errors import DriveReadOnly
from drives.models import Drive, DriveMember


class Right(StrEnum):
    """What can be done with a drive."""

    READ = "read"
    WRITE = "write"
    SHARE = "share"
    """Make and end links for strangers."""
    MANAGE = "manage"
    """Name, quota and members."""
    DELETE = "delete"


EVERYTHING = frozenset(Right)
MEMBER_RIGHTS: dict[str, frozenset[Right]] = {
    DriveMember.Role.VIEWER: frozenset({Right.READ}),
    DriveMember.Role.EDITOR: frozenset({Right.READ, Right.WRITE}),
    DriveMember.Role.MANAGER: EVERYTHING - {Right.DELETE},
}
IN_TEAMS: dict[Right, TeamAction] = {
    Right.READ: TeamAction.READ_FILES,
    Right.WRITE: TeamAction.WRITE_FILES,
    Right.SHARE: TeamAction.SHARE_FILES,
    Right.MANAGE: TeamAction.MANAGE_DRIVES,
    Right.DELETE: TeamAction.DELETE_DRIVES,
}
"""For each right in a team's drives, the right in the team that grants it."""


def rights_in(user: User, drive: Drive) -> frozenset[Right]:
    """What `user` may do in `drive`: everything in their own, else what team and membership grant together.

    No query for the owner. A deleted drive can at most be read.
    """
    if drive.user_id == user.pk:
        return EVERYTHING if drive.is_active else frozenset({Right.READ})
    role = DriveMember.objects.filter(drive=drive, user=user).values_list("role", flat=True).first()
    of_team = None
    if drive.team_id:
        of_team = (
            TeamMember.objects.filter(team=drive.team_id, user=user).values_list("role", flat=True).first()
        )
    return rights_of_roles(drive, role, of_team)


def rights_in_each(user: User, drives: Iterable[Drive]) -> dict[UUID, frozenset[Right]]:
    """The same for several drives, by their ids; two statements at most."""
    found = list(drives)
    foreign = [drive for drive in found if drive.user_id != user.pk]
    teams = {drive.team_id for drive in foreign if drive.team_id}
    roles: dict[UUID, str] = {}
    in_teams: dict[UUID | None, str] = {}
    if foreign:
        members = DriveMember.objects.filter(user=user, drive__in=foreign)
        roles = dict(members.values_list("drive_id", "role"))
    if teams:
        in_teams = dict(TeamMember.objects.filter(user=user, team__in=teams).values_list("team_id", "role"))
    return {
        drive.pk: rights_in(user, drive)
        if drive.user_id == user.pk
        else rights_of_roles(drive, roles.get(drive.pk), in_teams.get(drive.team_id))
        for drive in found
    }


def rights_of_roles(drive: Drive, role: str | None, of_team: str | None) -> frozenset[Right]:
    """What a role in the drive and a role in its team grant together."""
    rights = MEMBER_RIGHTS.get(role or "", frozenset())
    rights |= {right for right, action in IN_TEAMS.items() if of_team in TEAM_RIGHTS[action]}
    return rights if drive.is_active else rights & {Right.READ}


def require(user: User, right: Right, drive: Drive) -> None:
    """Raises NotVisible for who may not even read, else DriveReadOnly or Forbidden."""
    rights = rights_in(user, drive)
    if right in rights:
        return
    if Right.READ not in rights:
        raise NotVisible
    raise DriveReadOnly if right is Right.WRITE else Forbidden
