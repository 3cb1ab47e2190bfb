"""Member levels."""

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from accounts.signals import level_changed


def change_level(users: QuerySet[User], *, level: int) -> int:
    """Give `users` another member level; returns how many had a different one. The apps above are told of each.

    Each has a transaction of its own, so that nobody's drives are locked while another's are waited for.
    """
    changed = 0
    for user in users.exclude(member_level=level).order_by("pk"):
        with transaction.atomic():
            if User.objects.filter(pk=user.pk).exclude(member_level=level).update(member_level=level):
                user.member_level = level
                tell_level(user)
                changed += 1
    return changed


def tell_level(user: User) -> None:
    """Inside the transaction that gave `user` the level they have."""
    level_changed.send(sender=User, user=user)
