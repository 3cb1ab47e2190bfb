"""Who may do what, defined once: roles in a team, and groups of operators. API, sockets and admin ask here."""

from enum import StrEnum
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from accounts.models import Team, TeamMember, User
from common.errors import Forbidden, NotVisible

Role = TeamMember.Role

# --- Teams ------------------------------------------------------------------------------------------------


class Action(StrEnum):
    """What can be done with a team, and with its drives."""

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
    VIEW_MONEY = "view_money"
    """See the team's wallet, its bills and statements."""
    SPEND_MONEY = "spend_money"
    """Render at the team's expense, as far as one's limit goes."""
    MANAGE_MONEY = "manage_money"
    """Recharge, ask for invoices, and say how much each member may spend."""


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
    Action.VIEW_MONEY: MANAGERS,
    Action.SPEND_MONEY: MANAGERS | {Role.MEMBER},
    Action.MANAGE_MONEY: MANAGERS,
}

MANAGED_ROLES: dict[Role, frozenset[Role]] = {
    Role.OWNER: EVERYONE,
    Role.ADMIN: frozenset({Role.MEMBER, Role.VIEWER}),
    Role.MEMBER: frozenset(),
    Role.VIEWER: frozenset(),
}
"""Whom each role may remove or give another role, and which roles it may give."""


def roles_with(action: Action) -> frozenset[Role]:
    return TEAM_RIGHTS[action]


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


# --- Operators --------------------------------------------------------------------------------------------


class StaffGroup(TextChoices):
    """Groups of operators; the names are those of the rows of django.contrib.auth."""

    SUPPORT = "support", _("Support")
    FINANCE = "finance", _("Finance")
    FARM = "farm", _("Farm")
    AUDITOR = "auditor", _("Auditor")
    SUPERUSER = "superuser", _("Superuser")


STAFF_GROUPS: dict[StaffGroup, tuple[str, ...]] = {
    # Helps people: sees who they are and what they do, not their money and not who did what among operators.
    StaffGroup.SUPPORT: (
        "accounts.view_user", "accounts.view_session", "accounts.view_device", "accounts.view_phonecode",
        "accounts.view_apppassword",
        "accounts.view_socialaccount", "accounts.view_wechatloginsession", "accounts.view_notification",
        "accounts.view_team", "accounts.view_teammember", "accounts.view_teaminvitation",
        "accounts.block_user", "accounts.sign_out_user", "accounts.notify_user", "accounts.view_notice",
        "drives.view_drive", "drives.view_drivemember", "drives.view_folder", "drives.view_file",
        "drives.view_fileversion", "drives.view_fileoperation", "drives.view_favourite", "drives.view_archive",
        "drives.view_sharelink",
        "drives.restore_file",
        "uploads.view_*",
        "rendering.view_renderjob", "rendering.view_renderstep", "rendering.view_frame",
        "rendering.view_attempt", "rendering.view_frameoutput", "rendering.view_joblog",
        "rendering.view_scenereport",
    ),
    # Finds whose money it is. Whoever asks for a credit is never the one who approves it (billing.services.approvals).
    StaffGroup.FINANCE: (
        "accounts.view_user", "accounts.view_team", "accounts.view_teammember",
        "billing.view_*", "billing.credit_wallet", "billing.check_creditrequest", "billing.settle_rechargeorder",
        "billing.payback_rechargeorder", "billing.resolve_moneyalert", "billing.park_wallet",
        "billing.resolve_reconciliationdifference", "billing.refund_bill", "billing.issue_invoicerequest",
        "rendering.view_renderjob", "accounts.export_lists",
    ),
    # Keeps the machines and their work going.
    StaffGroup.FARM: (
        "accounts.export_lists", "rendering.*", "django_celery_beat.*", "django_celery_results.view_taskresult",
    ),
    StaffGroup.AUDITOR: ("*.view_*", "accounts.export_lists"),
    StaffGroup.SUPERUSER: ("*",),
}  # fmt: skip
"""The rights of each group: permissions of Django, with `*` for any text. `migrate` sets the groups to what this
says.
"""

CHANGE_STAFF = "accounts.change_staff"


def reach_of(operator: User) -> dict[str, Any]:
    """Conditions on the accounts that `operator` may act on, as values of their columns.

    Whoever could block, rename or give a new password to another operator would gain their rights. So only operators
    who may grant rights act on operators, and only superusers on superusers (the flag, which no group grants).
    """
    if operator.is_superuser:
        return {}
    if operator.has_perm(CHANGE_STAFF):
        return {"is_superuser": False}
    return {"is_superuser": False, "is_staff": False}
