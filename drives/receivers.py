"""What drives does about signals from the apps below."""

from typing import Any

from django.dispatch import receiver

from accounts.models import User
from accounts.signals import level_changed, user_deleted, user_registered
from billing.models import MembershipPlan
from billing.signals import plan_changed
from drives.models import Drive
from drives.services.drives import default_drive, delete_drive, fit_drives


@receiver(user_registered)
def give_drive(sender: Any, user: User, **kwargs: Any) -> None:
    """Give a new user a default drive."""
    default_drive(user=user)


@receiver(user_deleted)
def take_drives_away(sender: Any, user: User, **kwargs: Any) -> None:
    """A deleted user's drives are deleted, as when users delete them one by one."""
    for drive in Drive.objects.filter(user=user, is_active=True).order_by("pk"):
        delete_drive(drive=drive, actor=user)


@receiver(level_changed)
def fit_to_level(sender: Any, user: User, **kwargs: Any) -> None:
    """Resize drives to the plan of the new level."""
    fit_drives(User.objects.filter(pk=user.pk))


@receiver(plan_changed)
def fit_to_plan(sender: Any, plan: MembershipPlan, before: MembershipPlan, **kwargs: Any) -> None:
    """Resize drives to the changed plan."""
    if plan.storage_size != before.storage_size:
        fit_drives(User.objects.filter(member_level=plan.level), former=[before.storage_size])
