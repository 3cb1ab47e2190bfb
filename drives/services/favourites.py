"""What a person marked."""

from typing import Any

from accounts.models import User
from drives.models import Favourite, Folder
from drives.services.moving import Entry


def key_of(entry: Entry) -> dict[str, Any]:
    return {"folder": entry} if isinstance(entry, Folder) else {"file": entry}


def mark(*, entry: Entry, user: User) -> None:
    """Mark a file or folder. Twice does no harm."""
    Favourite.objects.bulk_create([Favourite(user=user, **key_of(entry))], ignore_conflicts=True)


def unmark(*, entry: Entry, user: User) -> None:
    """Take the mark away. Twice does no harm."""
    Favourite.objects.filter(user=user, **key_of(entry)).delete()
