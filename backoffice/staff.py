"""Groups of operators, as accounts.permissions defines them."""

from fnmatch import fnmatchcase
from typing import Any

from django.apps import apps as present

from accounts.permissions import STAFF_GROUPS, StaffGroup


def sync_staff_groups(apps: Any = present, **kwargs: Any) -> None:
    """Give each group of the table exactly the rights that it lists; a receiver of post_migrate.

    Flushing the tables sends the signal, too, but without `apps`. Groups with other names are the operators' own and
    are left alone.
    """
    try:
        groups, permissions = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:
        return  # migrated back to where there are none
    names = permissions.objects.values_list("pk", "content_type__app_label", "codename")
    names = {pk: f"{app}.{codename}" for pk, app, codename in names}
    for group in groups.objects.filter(name__in=StaffGroup.values):
        patterns = STAFF_GROUPS[StaffGroup(group.name)]
        group.permissions.set(
            pk for pk, name in names.items() if any(fnmatchcase(name, pattern) for pattern in patterns)
        )
