"""Member levels."""

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from accounts.signals import level_changed


def change_level(users: QuerySet[User], *, level: int) -> int:
    """Give `users` another member level; returns how many had a different one. The apps above hear of each."""
    with transaction.atomic():
        rows = users.exclude(member_level=level).order_by("pk").select_for_update(of=("self",), no_key=True)
        changed = list(rows)
        User.objects.filter(pk__in=[user.pk for user in changed]).update(member_level=level)
        for user in changed:
            user.member_level = level
            tell_level(user)
    return len(changed)


def tell_level(user: User) -> None:
    """Inside the transaction that gave `user` the level they have."""
    level_changed.send(sender=User, user=user)
