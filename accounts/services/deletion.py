"""The end of an account: requested, called off, or carried out after its days of grace."""

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.errors import DeletionBegun, LastOwner, TeamInUse, WrongPassword
from accounts.models import (
    AppPassword,
    AuditEvent,
    Device,
    Notification,
    PhoneCode,
    Session,
    SocialAccount,
    Team,
    TeamInvitation,
    TeamMember,
    User,
    WechatLoginSession,
)
from accounts.permissions import Role
from accounts.services import audit, avatars, codes, lockout, passwords, teams
from accounts.services.notifications import SECURITY, notify
from accounts.services.sessions import End, end_sessions
from accounts.signals import user_deleted, user_leaves
from common.errors import Forbidden, Invalid

logger = logging.getLogger(__name__)
HEIRS = (Role.ADMIN, Role.MEMBER, Role.VIEWER)
"""Who becomes owner after the last one, in this order."""


def request_deletion(*, user: User, session: Session, password: str, code: str, ip: str) -> User:
    """Have the account deleted after ACCOUNT_DELETION_DAYS; the other sessions end. Asked again, the day stays.

    Proved by the password, or by a code sent to the user's phone for `delete_account`; by the session alone where there
    is neither. Jobs that are open go on: they are cancelled when the time is over. Raises Forbidden (operators),
    LastOwner, Invalid, WrongPassword, CodeInvalid, LoginLocked, Busy.
    """
    mine = User.objects.get(pk=user.pk)
    if mine.is_staff:
        raise Forbidden(_("An operator's account is closed by another operator."))
    if owned := orphaned_by(mine):
        raise LastOwner(teams=[{"id": str(team.pk), "name": team.name} for team in owned])
    found = proof(mine, password, code, ip)
    now = timezone.now()
    with transaction.atomic():
        if found is not None:
            codes.consume(found, now=now)
        due = now + timedelta(days=settings.ACCOUNT_DELETION_DAYS)
        undecided = User.objects.filter(pk=mine.pk, deletion_due_at__isnull=True, deleted_at__isnull=True)
        if undecided.update(deletion_due_at=due, updated_at=now):
            audit.record(
                AuditEvent.Action.DELETION_REQUESTED,
                user=mine,
                actor=mine,
                target=mine,
                after={"deletion_due_at": due.isoformat()},
            )
            notify(
                user=mine,
                title=gettext_noop("Your account will be deleted"),
                message=gettext_noop(
                    "On %(date)s it goes with everything in it. Until then you can call it off in your profile."
                ),
                level=Notification.Level.WARNING,
                action_url=SECURITY,
                # The day where the platform is; requests of the API are in UTC.
                params={"date": f"{timezone.localtime(due, timezone.get_default_timezone()):%Y-%m-%d}"},
            )
            end_sessions(mine.sessions.exclude(pk=session.pk), reason=End.OTHERS_ENDED, actor=mine)
    mine.refresh_from_db()
    return mine


def proof(user: User, password: str, code: str, ip: str) -> PhoneCode | None:
    """The code to be used up; None where the password was right, or where a guest has nothing but the session."""
    if password:
        if not passwords.guess(user, password, account=lockout.account_of(user, ""), ip=ip):
            raise WrongPassword(_("The password is wrong."), field="password")
        return None
    if not code:
        has_password = user.has_usable_password()
        if not has_password and not user.phone:
            return None
        field = "password" if has_password else "verification_code"
        raise Invalid(_("Your password or a verification code sent to your phone is needed."), field=field)
    purposes = (PhoneCode.Purpose.DELETE_ACCOUNT,)
    return codes.count_guess(phone=user.phone or "", purposes=purposes, code=code, now=timezone.now())


def orphaned_by(user: User) -> list[Team]:
    """Teams with other members whose only owner who can sign in is `user`."""
    owned = Team.objects.filter(members__user=user, members__role=Role.OWNER).order_by("name", "pk")
    others = TeamMember.objects.exclude(user=user).filter(user__is_active=True)
    led = others.filter(role=Role.OWNER).values("team")
    return list(owned.filter(pk__in=others.values("team")).exclude(pk__in=led))


def cancel_deletion(*, user: User) -> None:
    """Keep the account after all. One that nobody wants deleted stays as it is. Raises DeletionBegun."""
    with transaction.atomic():
        leaving = User.objects.filter(pk=user.pk, deletion_due_at__isnull=False, deleted_at__isnull=True)
        # Once its time is over nobody is sure to keep what goes before the account, as open jobs do (`delete_user`).
        if leaving.filter(deletion_due_at__gt=Now()).update(deletion_due_at=None, updated_at=timezone.now()):
            audit.record(AuditEvent.Action.DELETION_CANCELLED, user=user, actor=user, target=user)
            notify(
                user=user,
                title=gettext_noop("Your account stays"),
                message=gettext_noop("The deletion was called off."),
                level=Notification.Level.SUCCESS,
                action_url=SECURITY,
            )
        elif leaving.exists():
            raise DeletionBegun


def delete_due(*, now: datetime) -> int:
    """Delete the accounts whose time of grace is over; returns how many. What fails is tried again by the next run."""
    due = User.objects.filter(deletion_due_at__lte=now, deleted_at__isnull=True).order_by(
        "deletion_due_at", "pk"
    )
    deleted = 0
    for user_id in list(due.values_list("pk", flat=True)):
        try:
            deleted += delete_user(user_id=user_id, now=now)
        except Exception:  # one account must not keep the others
            logger.exception("user %s was not deleted", user_id)
    return deleted


def delete_user(*, user_id: UUID, now: datetime) -> bool:
    """Delete what identifies the user, in one transaction; returns whether this call did it. Ledger, bills and audit
    log stay.
    """
    due = User.objects.filter(pk=user_id, deletion_due_at__lte=now, deleted_at__isnull=True)
    leaving = due.first()
    if leaving is None:
        return False
    user_leaves.send(sender=User, user=leaving)
    with transaction.atomic():
        # Another worker that is at it holds the row. No key is locked, so that rows may still point to the user
        # while their jobs end.
        user = due.select_for_update(of=("self",), skip_locked=True, no_key=True).first()
        if user is None:
            return False
        user_deleted.send(sender=User, user=user)
        leave_teams(user)
        forget(user)
        User.objects.filter(pk=user.pk).update(**nobody(user, now))
        audit.record(AuditEvent.Action.DELETED, user=user, target=user)
        if user.avatar:
            transaction.on_commit(partial(avatars.discard, user.avatar.name))
    return True


def nobody(user: User, now: datetime) -> dict[str, Any]:
    """The columns of a deleted user: nothing that tells who it was, and no way to sign in."""
    return {
        "username": f"deleted_{user.pk.hex}",
        "phone": None,
        "email": None,
        "email_verified_at": None,
        "avatar": "",
        "password": make_password(None),
        "is_active": False,
        "is_staff": False,
        "is_superuser": False,
        "last_login": None,
        "deleted_at": now,
        "updated_at": now,
    }


def leave_teams(user: User) -> None:
    """Each team gets its next owner; one that has no other member is deleted."""
    memberships = TeamMember.objects.filter(user=user).values("team")
    for team in list(Team.objects.filter(pk__in=memberships).select_for_update(of=("self",)).order_by("pk")):
        mine = teams.member_of(team, user.pk)
        others = team.members.exclude(user=user).filter(user__is_active=True).select_related("user")
        if mine.role == Role.OWNER and not others.filter(role=Role.OWNER).exists():
            heirs = {member.role: member for member in others.order_by("-created_at", "-pk")}
            heir = next((heirs[role] for role in HEIRS if role in heirs), None)
            if heir is None:
                close_team(team, user)
                continue
            teams.set_role(heir, Role.OWNER, actor=user)
            teams.tell(heir.user, team, teams.NOW[Role.OWNER], by=user, action_url=teams.page_of(team))
        teams.set_role(mine, None, actor=user)


def close_team(team: Team, user: User) -> None:
    try:
        teams.delete_team(team=team, actor=user)
    except TeamInUse:
        # Operators see to what is left in it.
        TeamMember.objects.filter(team=team, user=user).delete()


def forget(user: User) -> None:
    """Delete what only this person needed."""
    end_sessions(user.sessions.all(), reason=End.DELETED)
    for model in (Session, Device, AppPassword, SocialAccount, WechatLoginSession, Notification):
        model.objects.filter(user=user).delete()
    if user.phone:
        PhoneCode.objects.filter(phone=user.phone).delete()
        TeamInvitation.objects.filter(phone=user.phone).delete()
    user.groups.clear()
    user.user_permissions.clear()
