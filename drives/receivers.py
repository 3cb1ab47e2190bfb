"""What drives does at news from below."""

from typing import Any

from django.dispatch import receiver

from accounts.models import User
from accounts.signals import user_registered
from drives.services.drives import default_drive


@receiver(user_registered)
def give_drive(sender: Any, user: User, **kwargs: Any) -> None:
    """A new user gets a default drive."""
    default_drive(user=user)
