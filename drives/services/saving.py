"""What somebody shared, kept in a drive of one's own."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.models import User
from drives.models import ShareLink
from drives.paths import split
from drives.permissions import Right, require
from drives.services.moving import Destination, Entry, copy_held, fresh
from drives.services.operations import Action, path_of_entry, record
from drives.services.places import lock_tree
from drives.services.shares import (
    entry_in,
    known_share,
    require_key,
    require_there,
    shared_entry,
    take_download,
)


def save_shared(
    *, share: ShareLink, key: str, entry_id: UUID | None, actor: User, to: Destination, now: datetime
) -> Entry:
    """Copy a file or folder of the share, all of it for no `entry_id`, into a drive of `actor`. No bytes are copied.

    It is worth as much as a download: it needs what that needs (`key` is what `unlock` gave), and counts as one.
    Whoever shares reads in the log of a download by a stranger, whoever saves does not learn where it lay.

    Raises NotVisible, ShareRevoked, ShareExpired, ShareExhausted, SharePasswordRequired, and what `copy` raises;
    nothing is counted then.
    """
    require(actor, Right.WRITE, to.drive)
    with transaction.atomic():
        lock_tree(share.drive, to.drive)
        share = known_share(pk=share.pk)
        require_key(share, key)
        require_there(share)
        entry = fresh(entry_in(share, entry_id))
        made = copy_held(entry=entry, actor=actor, to=to)
        above = split(path_of_entry(shared_entry(share)))[0]
        path = path_of_entry(entry).removeprefix(above.rstrip("/"))
        record(Action.COPY, made, actor=actor, path=path, new_path=path_of_entry(made))
        record(Action.DOWNLOAD, entry, actor=None)
        take_download(share, now)  # last: others who download meanwhile wait for this row
    return made
