"""Drives and their quota."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from common.errors import Invalid
from drives.errors import QuotaExceeded, TooManyDrives
from drives.models import Drive
from drives.permissions import require_edit

MAX_DRIVES = 20


def default_drive(*, user: User) -> Drive:
    """The user's oldest drive, created where there is none. The user row is the lock: two callers get one drive."""
    with transaction.atomic():
        User.objects.select_for_update(of=("self",)).filter(pk=user.pk).first()
        drive = Drive.objects.visible_to(user).order_by("created_at", "pk").first()
        return drive or Drive.objects.create(
            user=user, name=_("Default drive"), icon="📁", total_size=settings.DEFAULT_DRIVE_SIZE
        )


def checked_quota(total_size: int | None) -> int:
    """The quota a user may give a drive: at most the default size."""
    if total_size is None:
        return int(settings.DEFAULT_DRIVE_SIZE)
    if total_size > settings.DEFAULT_DRIVE_SIZE:
        raise Invalid(_("A drive may not be larger than your plan allows."), field="total_size")
    return total_size


def create_drive(*, user: User, total_size: int | None = None, **fields: Any) -> Drive:
    """A further drive. Raises TooManyDrives, Invalid."""
    with transaction.atomic():
        User.objects.select_for_update(of=("self",)).filter(pk=user.pk).first()
        if Drive.objects.visible_to(user).count() >= MAX_DRIVES:
            raise TooManyDrives(limit=MAX_DRIVES)
        return Drive.objects.create(user=user, total_size=checked_quota(total_size), **fields)


def update_drive(*, drive: Drive, actor: User, **fields: Any) -> Drive:
    """Change name, icon, description or quota."""
    require_edit(actor, drive)
    if "total_size" in fields:
        fields["total_size"] = checked_quota(fields["total_size"])
    Drive.objects.filter(pk=drive.pk).update(**fields, updated_at=timezone.now())
    drive.refresh_from_db()
    return drive


def delete_drive(*, drive: Drive, actor: User) -> None:
    """Take a drive out of use; its content is purged later, so that a mistake can be mended by an operator."""
    require_edit(actor, drive)
    Drive.objects.filter(pk=drive.pk).update(is_active=False, updated_at=timezone.now())


def reserve(*, drive: Drive, size: int) -> None:
    """Set `size` bytes aside for an upload, by one conditional UPDATE. Raises QuotaExceeded.

    Where OWNER_STORAGE_LIMIT is set, all drives of the owner together must have room, too: call it in a transaction.
    """
    if settings.OWNER_STORAGE_LIMIT is not None:
        require_room_of_owner(drive, size, settings.OWNER_STORAGE_LIMIT)
    fits = Q(total_size__isnull=True) | Q(total_size__gte=F("used_size") + F("reserved_size") + size)
    if not Drive.objects.filter(fits, pk=drive.pk).update(reserved_size=F("reserved_size") + size):
        drive.refresh_from_db()
        raise QuotaExceeded(required=size, available=drive.available_size, scope="drive")


def require_room_of_owner(drive: Drive, size: int, limit: int) -> None:
    """Raises QuotaExceeded. The owner's row is the lock: reservations in several drives take turns.

    Drives that were deleted count as long as they hold anything.
    """
    User.objects.select_for_update(of=("self",), no_key=True).filter(pk=drive.user_id).first()
    sums = Drive.objects.filter(user=drive.user_id).aggregate(
        total=Sum(F("used_size") + F("reserved_size"), default=0)
    )
    if sums["total"] + size > limit:
        raise QuotaExceeded(required=size, available=max(limit - sums["total"], 0), scope="owner")


def release(*, drive_id: Any, size: int) -> None:
    """Give back what `reserve` set aside."""
    if size:
        Drive.objects.filter(pk=drive_id).update(reserved_size=F("reserved_size") - size)
