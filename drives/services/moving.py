"""Files and folders under another name, in another folder, in another drive; copies without copying bytes."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from common.ids import new_id
from drives.errors import IntoItself, NameTaken, TooManyItems
from drives.models import Drive, File, FileVersion, Folder
from drives.paths import clean_name, clean_path, split
from drives.permissions import Right, require
from drives.services.drives import require_room
from drives.services.operations import Action, path_of_entry, record
from drives.services.places import (
    OnClash,
    below,
    file_in,
    files_below,
    folder_at,
    folder_places,
    free_name,
    lock_tree,
    path_of,
    require_free,
    require_living,
    require_short_paths,
    reroot,
    size_below,
    with_below,
)
from drives.services.tree import NewFile, put_files
from drives.services.versions import drop_surplus, keep_versions, version_of

Entry = File | Folder


@dataclass(frozen=True)
class Destination:
    """Where something shall go: a folder of a drive by its clean path, and what happens where the name is taken.

    `name` is the clean name that it gets there; empty: it keeps its own.
    """

    drive: Drive
    folder_path: str
    on_clash: OnClash = OnClash.REFUSE
    name: str = ""


def fresh(entry: Entry) -> Entry:
    """The row as it stands, not in the trash. Call under `lock_tree`.

    Raises NotVisible, also for what has gone into another drive: that is not held, and nobody's right there was asked.
    """
    if isinstance(entry, Folder):
        folder: Folder = require_living(Folder.objects.select_related("drive"), entry)
        return folder
    file: File = require_living(File.objects.select_related("drive", "folder", "blob"), entry)
    return file


def rename(*, entry: Entry, actor: User, name: str) -> Entry:
    """Give a file or folder another name. Raises BadName, NameTaken, NotVisible (trashed meanwhile), DriveReadOnly."""
    require(actor, Right.WRITE, entry.drive)
    name = clean_name(name)
    with transaction.atomic():
        lock_tree(entry.drive)
        entry = fresh(entry)
        before = path_of_entry(entry)
        if name != entry.name:
            folder = entry.parent if isinstance(entry, Folder) else entry.folder
            require_free(entry.drive, (folder.pk if folder else None, name))
            settle(entry, entry.drive, folder, name)
            record(Action.RENAME, entry, actor=actor, path=before, new_path=path_of_entry(entry))
    return entry


def move(*, entry: Entry, actor: User, to: Destination) -> Entry:
    """Move a file or folder with everything in it. It stays the same row, and files know only their folder.

    Into another drive its size goes along. Raises NotVisible (either end), NameTaken, IntoItself, QuotaExceeded,
    BadName (a path would grow too long), DriveReadOnly.
    """
    require(actor, Right.WRITE, entry.drive)
    require(actor, Right.WRITE, to.drive)
    with transaction.atomic():
        lock_tree(entry.drive, to.drive)
        entry, folder = fresh(entry), folder_at(to.drive, to.folder_path)
        before, name = path_of_entry(entry), to.name or entry.name
        if entry.drive_id == to.drive.pk and before == path_of(folder, name):
            return entry
        stays = (entry.drive_id, split(before)[0]) == (to.drive.pk, to.folder_path)
        require_outside(entry, folder)
        if entry.drive_id != to.drive.pk:
            carry(entry, to.drive)
        name = make_room(entry, to.drive, folder, name, to.on_clash)
        settle(entry, to.drive, folder, name)
        action = Action.RENAME if stays else Action.MOVE
        record(action, entry, actor=actor, path=before, new_path=path_of_entry(entry))
    return entry


def copy(*, entry: Entry, actor: User, to: Destination) -> Entry:
    """Copy a file or folder; no bytes are copied, but they count against the quota.

    Raises NotVisible (either end), NameTaken, IntoItself, QuotaExceeded, TooManyItems, BadName, DriveReadOnly.
    """
    require(actor, Right.READ, entry.drive)
    require(actor, Right.WRITE, to.drive)
    with transaction.atomic():
        lock_tree(entry.drive, to.drive)
        entry = fresh(entry)
        made = copy_held(entry=entry, actor=actor, to=to)
        record(Action.COPY, made, actor=actor, path=path_of_entry(entry), new_path=path_of_entry(made))
    return made


def copy_held(*, entry: Entry, actor: User, to: Destination) -> Entry:
    """Copy what is `fresh`; both drives are held, and the caller asked for the rights and writes it down."""
    folder = folder_at(to.drive, to.folder_path)
    if isinstance(entry, Folder):
        return copy_folder(entry, actor, to, folder)
    return copy_file(entry, actor, to, folder)


def copy_file(file: File, actor: User, to: Destination, folder: Folder | None) -> File:
    name = to.name or file.name
    there = file_in(to.drive, folder, name)
    if to.on_clash is OnClash.KEEP_BOTH or (there and there.pk == file.pk):
        name, there = free_name(to.drive, folder, name), None
    elif to.on_clash is OnClash.REFUSE:
        require_free(to.drive, (folder.pk if folder else None, name))
    require_room(drive=to.drive, size=file.size - (there.size if there else 0))
    new = NewFile(folder, name, file.blob, file.mime_type, file.modified_at)
    return put_files(drive=to.drive, actor=actor, new_files=[new], logged=False)[0]


def copy_folder(source: Folder, actor: User, to: Destination, folder: Folder | None) -> Folder:
    require_outside(source, folder)
    held = size_below(source)
    if held.file_count + held.folder_count > settings.COPY_MAX_ITEMS:
        raise TooManyItems(limit=settings.COPY_MAX_ITEMS)
    require_room(drive=to.drive, size=held.size)
    folders = list(below(source).order_by("path"))
    name = to.name or source.name
    if to.on_clash is OnClash.KEEP_BOTH:
        name = free_name(to.drive, folder, name)
    require_free(to.drive, (folder.pk if folder else None, name))
    target = clean_path(path_of(folder, name), field="file_name")
    require_short_paths(source, target)
    ids: dict[UUID | None, UUID] = {each.pk: new_id() for each in [source, *folders]}
    top = Folder(pk=ids[source.pk], drive=to.drive, parent=folder, name=name, path=target)
    made = [
        Folder(
            pk=ids[each.pk],
            drive=to.drive,
            parent_id=ids[each.parent_id],
            name=each.name,
            path=target + each.path[len(source.path) :],
        )
        for each in folders
    ]
    files = [
        File(
            drive=to.drive,
            folder_id=ids[each.folder_id],
            name=each.name,
            blob_id=each.blob_id,
            size=each.size,
            mime_type=each.mime_type,
            uploaded_by=actor,
            modified_at=each.modified_at,
        )
        for each in files_below(source)
    ]
    Folder.objects.bulk_create([top, *made], batch_size=2000)
    File.objects.bulk_create(files, batch_size=2000)
    Drive.objects.filter(pk=to.drive.pk).update(used_size=F("used_size") + held.size)
    return top


def require_outside(entry: Entry, folder: Folder | None) -> None:
    """Raises IntoItself where `folder` is the folder `entry` or lies in it."""
    if folder is None or folder.drive_id != entry.drive_id:
        return
    if isinstance(entry, Folder) and f"{folder.path}/".startswith(f"{entry.path}/"):
        raise IntoItself


def make_room(entry: Entry, drive: Drive, folder: Folder | None, name: str, on_clash: OnClash) -> str:
    """The name that `entry` gets in the folder, which is free then. Raises NameTaken.

    With REPLACE, a file takes the place of a file: the other's content and versions become versions of it. Folders are
    never replaced.
    """
    if on_clash is OnClash.KEEP_BOTH:
        return free_name(drive, folder, name)
    place = (folder.pk if folder else None, name)
    there = file_in(drive, folder, name)
    if there is None or on_clash is OnClash.REFUSE or isinstance(entry, Folder):
        require_free(drive, place)
        return name
    if place in folder_places(drive, [place]):
        raise NameTaken
    FileVersion.objects.filter(file=there).update(file=entry)
    version = version_of(there)
    version.file = entry
    keep_versions([version])
    drop_surplus([entry.pk])
    there.delete()
    Drive.objects.filter(pk=drive.pk).update(used_size=F("used_size") - there.size)
    return name


def settle(entry: Entry, drive: Drive, folder: Folder | None, name: str) -> None:
    """Put `entry` at a free place, out of the trash if it was there. Raises BadName where a path grows too long."""
    target = clean_path(path_of(folder, name), field="file_name")
    if isinstance(entry, Folder):
        require_short_paths(entry, target)
        reroot(entry, target, drive)
        Folder.objects.filter(pk=entry.pk).update(parent=folder, name=name, trashed_at=None, updated_at=Now())
        entry.refresh_from_db()
    else:
        entry.drive, entry.folder, entry.name = drive, folder, name
        entry.trashed_at, entry.updated_at = None, timezone.now()
        entry.save(update_fields=["drive", "folder", "name", "trashed_at", "updated_at"])


def carry(entry: Entry, drive: Drive) -> None:
    """Let the sums, and the files below a folder, go along into another drive; `settle` moves the row itself.

    What went into the trash on its own stays in the trash of the old drive. Raises QuotaExceeded.
    """
    if isinstance(entry, Folder):
        size, inside = size_below(entry).size, with_below(entry)
        Folder.objects.filter(parent__in=inside, trashed_at__isnull=False).update(parent=None)
        File.objects.filter(folder__in=inside, trashed_at__isnull=False).update(folder=None)
    else:
        size = entry.size
    require_room(drive=drive, size=size)
    if isinstance(entry, Folder):
        files_below(entry).update(drive=drive)
    Drive.objects.filter(pk=entry.drive_id).update(used_size=F("used_size") - size)
    Drive.objects.filter(pk=drive.pk).update(used_size=F("used_size") + size)
