"""What drives does at news from below."""

from typing import Any

from django.dispatch import receiver

from accounts.models import User
from accounts.signals import user_deleted, user_registered
from drives.models import Drive
from drives.services.drives import default_drive, delete_drive


@receiver(user_registered)
def give_drive(sender: Any, user: User, **kwargs: Any) -> None:
    """A new user gets a default drive."""
    default_drive(user=user)


@receiver(user_deleted)
def take_drives_away(sender: Any, user: User, **kwargs: Any) -> None:
    """A deleted user's drives go out of use, as when users delete them one by one."""
    for drive in Drive.objects.filter(user=user, is_active=True).order_by("pk"):
        delete_drive(drive=drive, actor=user)
