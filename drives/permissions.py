"""Who may change what in a drive, said once."""

from accounts.models import User
from drives.errors import DriveReadOnly
from drives.models import Drive


def can_edit(user: User, drive: Drive) -> bool:
    """Whether `user` may write to `drive`: its owner."""
    return drive.user_id == user.pk and drive.is_active


def require_edit(user: User, drive: Drive) -> None:
    """Raises DriveReadOnly."""
    if not can_edit(user, drive):
        raise DriveReadOnly
