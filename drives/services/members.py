"""People with whom a drive is shared by name."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_noop

from accounts.models import User
from accounts.services.notifications import notify
from common.errors import NotVisible
from drives.errors import AlreadyMember
from drives.models import Drive, DriveMember
from drives.permissions import Right, require


def add_member(*, drive: Drive, actor: User, username: str, role: str) -> DriveMember:
    """Let a person into the drive, and tell them.

    Nobody is found by phone or e-mail, since it must not become known who has one. Raises NotVisible (nobody of this
    name), AlreadyMember (also the owner), Forbidden.
    """
    require(actor, Right.MANAGE, drive)
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise NotVisible
    if user.pk == drive.user_id:
        raise AlreadyMember
    with transaction.atomic():
        member, made = DriveMember.objects.get_or_create(drive=drive, user=user, defaults={"role": role})
        if not made:
            raise AlreadyMember
        notify(
            user=user,
            title=gettext_noop("A drive was shared with you"),
            message=gettext_noop("%(name)s let you into the drive “%(drive)s”."),
            params={"name": actor.username, "drive": drive.name},
        )
    return member


def change_member(*, drive: Drive, actor: User, user_id: UUID, role: str) -> DriveMember:
    """Raises NotVisible, Forbidden."""
    require(actor, Right.MANAGE, drive)
    if not DriveMember.objects.filter(drive=drive, user=user_id).update(role=role):
        raise NotVisible
    return DriveMember.objects.select_related("user").get(drive=drive, user=user_id)


def remove_member(*, drive: Drive, actor: User, user_id: UUID) -> None:
    """Take a person out of the drive; everybody may leave. Raises NotVisible, Forbidden."""
    require(actor, Right.READ if user_id == actor.pk else Right.MANAGE, drive)
    if not DriveMember.objects.filter(drive=drive, user=user_id).delete()[0]:
        raise NotVisible
