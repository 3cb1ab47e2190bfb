"""Who may do what, said once: roles in a team, and groups of operators. API, sockets and admin ask here."""

from enum import StrEnum

from accounts.models import Team, TeamMember, User
from common.errors import Forbidden, NotVisible

Role = TeamMember.Role


class Action(StrEnum):
    """What can be done with a team, and with the drives it will have."""

    VIEW = "view"
    LEAVE = "leave"
    EDIT = "edit"
    MANAGE_MEMBERS = "manage_members"
    """Invite, remove, change roles; of whom is said by MANAGED_ROLES."""
    TRANSFER = "transfer"
    DELETE = "delete"
    READ_FILES = "read_files"
    WRITE_FILES = "write_files"
    SHARE_FILES = "share_files"
    MANAGE_DRIVES = "manage_drives"
    DELETE_DRIVES = "delete_drives"


EVERYONE = frozenset(Role)
MANAGERS = frozenset({Role.OWNER, Role.ADMIN})
OWNERS = frozenset({Role.OWNER})

TEAM_RIGHTS: dict[Action, frozenset[Role]] = {
    Action.VIEW: EVERYONE,
    Action.LEAVE: EVERYONE,
    Action.EDIT: MANAGERS,
    Action.MANAGE_MEMBERS: MANAGERS,
    Action.TRANSFER: OWNERS,
    Action.DELETE: OWNERS,
    Action.READ_FILES: EVERYONE,
    Action.WRITE_FILES: MANAGERS | {Role.MEMBER},
    Action.SHARE_FILES: MANAGERS,
    Action.MANAGE_DRIVES: MANAGERS,
    Action.DELETE_DRIVES: OWNERS,
}

MANAGED_ROLES: dict[Role, frozenset[Role]] = {
    Role.OWNER: EVERYONE,
    Role.ADMIN: frozenset({Role.MEMBER, Role.VIEWER}),
    Role.MEMBER: frozenset(),
    Role.VIEWER: frozenset(),
}
"""Whom each role may remove or give another role, and which roles it may give."""


def role_in(user: User, team: Team) -> Role | None:
    """The user's role in the team as the database has it now."""
    role = TeamMember.objects.filter(team=team, user=user).values_list("role", flat=True).first()
    return Role(role) if role else None


def may(user: User, action: Action, team: Team) -> bool:
    """Whether `user` may do `action` in `team`, as a member of it."""
    return role_in(user, team) in TEAM_RIGHTS[action]


def require(user: User, action: Action, team: Team) -> Role:
    """The user's role, which allows `action`. Raises NotVisible for who is no member, Forbidden for the others."""
    role = role_in(user, team)
    if role is None:
        raise NotVisible
    if role not in TEAM_RIGHTS[action]:
        raise Forbidden
    return role
