"""Into the trash, out of it, and away for good.

Trashing the top of a subtree puts `trash:<id>` before the paths of all its folders. What is to go for good gets
`purge:<id>` instead: nobody can bring it back, and its rows are deleted a batch at a time, after the answer.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from common.errors import NotVisible
from drives.errors import PlaceGone
from drives.models import Drive, File, FileQuerySet, Folder, FolderQuerySet
from drives.permissions import Right, require
from drives.services.drives import require_room
from drives.services.moving import Entry, make_room, settle
from drives.services.operations import Action, path_of_entry, record
from drives.services.places import OnClash, folder_at, lock_tree, reroot, size_below

BATCH = 1000
ANY = Q()


def trashed(drive: Drive) -> tuple[FolderQuerySet, FileQuerySet]:
    """What was put into the trash of a drive, each with all below it, the latest first."""
    folders = Folder.objects.in_trash().filter(drive=drive).order_by("-trashed_at", "-pk")
    files = File.objects.in_trash().filter(drive=drive).order_by("-trashed_at", "-pk")
    return folders, files.for_lists()


def trash(*, entry: Entry, actor: User) -> None:
    """Put a file or folder into the trash; its place and its share of the quota are free. Twice does no harm.

    Raises DriveReadOnly, NotVisible.
    """
    require(actor, Right.WRITE, entry.drive)
    with transaction.atomic():
        lock_tree(entry.drive)
        found: Any = type(entry).objects.living().filter(pk=entry.pk, drive=entry.drive_id)
        living = found.select_related("folder").first() if isinstance(entry, File) else found.first()
        if living is None:
            return
        size = size_of(living)
        record(Action.TRASH, living, actor=actor)
        if isinstance(living, Folder):
            reroot(living, f"trash:{living.pk}{living.path}")
        type(entry).objects.filter(pk=entry.pk).update(trashed_at=timezone.now())
        Drive.objects.filter(pk=living.drive_id).update(used_size=F("used_size") - size)


def size_of(entry: Entry) -> int:
    """Bytes of a file, or of everything in a folder but what went into the trash on its own."""
    if isinstance(entry, File):
        return entry.size
    return size_below(entry).size


def restore(
    *,
    entry: Entry,
    actor: User,
    folder_path: str | None = None,
    on_clash: OnClash,
    by_operator: bool = False,
) -> Entry:
    """Take a file or folder out of the trash, back to the folder it lay in or into another one of the same drive.

    An operator needs no right in the drive. Raises NotVisible (not in the trash, or no such folder), PlaceGone,
    NameTaken, QuotaExceeded, DriveReadOnly.
    """
    if not by_operator:
        require(actor, Right.WRITE, entry.drive)
    with transaction.atomic():
        lock_tree(entry.drive)
        found = in_trash(entry)
        if folder_path is not None:
            folder = folder_at(entry.drive, folder_path)
        else:
            folder = found.parent if isinstance(found, Folder) else found.folder
            if folder is not None and not folder.path.startswith("/"):
                raise PlaceGone
        size = size_of(found)
        require_room(drive=found.drive, size=size)
        name = make_room(found, found.drive, folder, found.name, on_clash)
        before = path_of_entry(found)
        settle(found, found.drive, folder, name)
        Drive.objects.filter(pk=found.drive_id).update(used_size=F("used_size") + size)
        record(Action.RESTORE, found, actor=actor, path=before, new_path=path_of_entry(found))
    return found


def in_trash(entry: Entry, which: Q = ANY) -> Entry:
    """The row as it lies in the trash of the drive that `entry` was found in. Raises NotVisible."""
    found: Entry | None
    if isinstance(entry, Folder):
        folders = Folder.objects.in_trash().select_related("drive", "parent")
        found = folders.filter(which, pk=entry.pk, drive=entry.drive_id).first()
    else:
        files = File.objects.in_trash().select_related("drive", "folder", "blob")
        found = files.filter(which, pk=entry.pk, drive=entry.drive_id).first()
    if found is None:
        raise NotVisible
    return found


def purge(*, entry: Entry, actor: User | None, which: Q = ANY) -> None:
    """Delete for good what lies in the trash, and is still one of `which`. A folder's rows go later, by
    `delete_purged`.

    Raises NotVisible (not in the trash), DriveReadOnly.
    """
    if actor is not None:
        require(actor, Right.WRITE, entry.drive)
    with transaction.atomic():
        lock_tree(entry.drive)
        found = in_trash(entry, which)
        record(Action.PURGE, found, actor=actor)
        if isinstance(found, Folder):
            reroot(found, f"purge:{found.pk}{found.place}")
        else:
            found.delete()


def empty_trash(*, drive: Drive, actor: User) -> int:
    """Delete for good everything in the trash of a drive; how many items. Raises DriveReadOnly."""
    require(actor, Right.WRITE, drive)
    return purge_all(actor, Q(drive=drive))


def purge_old(*, now: datetime) -> int:
    """Delete for good what has been in the trash longer than TRASH_LIFETIME; how many items."""
    return purge_all(None, Q(trashed_at__lt=now - settings.TRASH_LIFETIME))


def purge_all(actor: User | None, which: Q) -> int:
    count = 0
    folders = Folder.objects.in_trash().filter(which).select_related("drive")
    files = File.objects.in_trash().filter(which).select_related("drive", "folder")
    entries: Iterator[Entry] = chain(folders.iterator(BATCH), files.iterator(BATCH))
    for entry in entries:
        try:
            purge(entry=entry, actor=actor, which=which)
        except NotVisible:  # brought back, or gone, meanwhile
            continue
        count += 1
    return count


def delete_purged() -> int:
    """Delete the rows of folders that are to go for good, files first, a batch at a time; how many rows."""
    purged = Folder.objects.filter(path__startswith="purge:")
    count = delete_in_batches(File.objects.filter(folder__in=purged))
    # Those that went into the trash on their own before go with the folder they lay in.
    lost = Folder.objects.in_trash().filter(parent__in=purged)
    while found := list(lost.select_related("drive")[:BATCH]):
        for folder in found:
            purge_lost(lost, folder)
        count += delete_in_batches(File.objects.filter(folder__in=purged))
    return count + delete_in_batches(purged.filter(children__isnull=True))


def purge_lost(lost: FolderQuerySet, folder: Folder) -> None:
    """Let a folder go for good that is one of `lost`, unless somebody brings it back at this moment."""
    with transaction.atomic():
        lock_tree(folder.drive)
        if held := lost.filter(pk=folder.pk).first():
            reroot(held, f"purge:{held.pk}{held.place}")


def delete_in_batches(rows: QuerySet[Any]) -> int:
    """Delete rows, in transactions of BATCH each; until none is left, also of those that come to match meanwhile."""
    count = 0
    while ids := list(rows.values_list("pk", flat=True)[:BATCH]):
        rows.model._default_manager.filter(pk__in=ids).delete()
        count += len(ids)
    return count


def empty_deleted_drives(*, now: datetime) -> int:
    """Delete the content of drives that were deleted longer than TRASH_LIFETIME ago; how many rows."""
    deleted = Drive.objects.filter(is_active=False, updated_at__lt=now - settings.TRASH_LIFETIME)
    count = delete_in_batches(File.objects.filter(drive__in=deleted))
    count += delete_in_batches(Folder.objects.filter(drive__in=deleted, children__isnull=True))
    deleted.filter(used_size__gt=0).update(used_size=0)
    return count
