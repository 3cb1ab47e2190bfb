"""Where things are in a drive, and who holds it while they move.

Whoever changes the tree or its sums holds the drive's row (`lock_tree`) for the length of a short transaction;
so names are compared with what is there, and the unique constraints are only the last line of defence.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import (
    Count,
    Func,
    IntegerField,
    Max,
    OuterRef,
    Q,
    Subquery,
    Sum,
    TextChoices,
    Value,
)
from django.db.models.functions import Concat, Length, Substr
from django.utils.translation import gettext_lazy as _

from common.compiled import Compiled
from common.errors import NotVisible
from common.ids import new_id
from drives.errors import NameTaken
from drives.models import Drive, File, FileQuerySet, Folder, FolderQuerySet
from drives.paths import MAX_NAME_BYTES, check_path_size, join, split, with_ancestors
from drives.services.drives import lock_owners


class OnClash(TextChoices):
    """What happens where the name is taken."""

    REFUSE = "refuse", _("Refuse")
    REPLACE = "replace", _("Replace the file")
    KEEP_BOTH = "keep_both", _("Keep both")


# Asked whenever a file comes by WebDAV, or goes.
LOCKED = Compiled(
    lambda drive: (
        Drive.objects.select_for_update(of=("self",), no_key=True).filter(pk=drive).values_list("pk")
    ),
    drive=new_id(),
)
FOLDER_AT = Compiled(
    lambda drive, path: Folder.objects.filter(drive=drive, path=path), drive=new_id(), path="path"
)
FILE_AT = Compiled(
    lambda drive, folder_path, name: (
        File.objects.in_folder(drive, folder_path or "/").filter(name=name).select_related("folder", "blob")
    ),
    drive=new_id(),
    folder_path="folder_path",
    name="name",
)
FILE_IN = Compiled(
    lambda drive, folder, name: File.objects.filter(
        drive=drive, folder=folder, name=name, trashed_at__isnull=True
    ).select_related("blob"),
    drive=new_id(),
    folder=new_id(),
    name="name",
)
Place = tuple[UUID | None, str]
"""A name in a folder (by id; None is the root)."""
MAX_ENDING_BYTES = 64


def lock_tree(*drives: Drive) -> None:
    """Changes of the tree happen one at a time per drive. Rows that merely point to the drive need not wait.

    Where OWNER_STORAGE_LIMIT is set, room is asked for in all drives of the owner, who is locked before them.
    """
    if settings.OWNER_STORAGE_LIMIT is not None:
        lock_owners(drives)
    for pk in sorted({drive.pk for drive in drives}):
        LOCKED.rows(drive=pk)


def at_places(parent: str, places: Collection[Place]) -> Q:
    """Rows at the places, and maybe some more of these names in these folders; `parent` names the column."""
    folders, names = {folder_id for folder_id, _name in places}, {name for _folder_id, name in places}
    inside = Q(**{f"{parent}__in": folders - {None}})
    return (inside | Q(**{f"{parent}__isnull": True}) if None in folders else inside) & Q(name__in=names)


def folder_places(drive: Drive, places: Collection[Place]) -> Iterable[Place]:
    """Places of living folders among `places` and near them."""
    rows = Folder.objects.living().filter(at_places("parent", places), drive=drive)
    return rows.values_list("parent_id", "name")


def file_places(drive: Drive, places: Collection[Place]) -> Iterable[Place]:
    """Places of living files among `places` and near them."""
    rows = File.objects.filter(at_places("folder", places), drive=drive, trashed_at__isnull=True)
    return rows.values_list("folder_id", "name")


def living_places(drive: Drive, folders: Collection[UUID | None]) -> Iterator[Place]:
    """Places of all living files and folders directly in the folders (None is the root)."""
    for rows, parent in (
        (Folder.objects.living(), "parent"),
        (File.objects.filter(trashed_at=None), "folder"),
    ):
        inside = Q(**{f"{parent}__in": [pk for pk in folders if pk]})
        if None in folders:
            inside |= Q(**{f"{parent}__isnull": True})
        yield from rows.filter(inside, drive=drive).values_list(parent, "name")


def file_in(drive: Drive, folder: Folder | None, name: str) -> File | None:
    """The living file of this name in a living folder (None is the root) with its content, or None."""
    found: File | None = FILE_IN.first(drive=drive.pk, folder=folder.pk if folder else None, name=name)
    return found


def require_free(drive: Drive, place: Place) -> None:
    """Raises NameTaken where a living folder or file has this place. Call under `lock_tree`."""
    if place in folder_places(drive, [place]) or place in file_places(drive, [place]):
        raise NameTaken


def parted(name: str) -> tuple[str, str]:
    """What may grow of a name, and its ending with the dot; a long text behind a dot is no ending."""
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if stem and len(ending.encode()) <= MAX_ENDING_BYTES else (name, "")


def other_names(name: str) -> Iterator[str]:
    """`a.txt` as `a (1).txt`, `a (2).txt`, … for who wants to keep both; the ending stays, and 255 bytes suffice."""
    stem, ending = parted(name)
    for number in count(1):
        tail = f" ({number}){ending}"
        yield stem.encode()[: MAX_NAME_BYTES - len(tail.encode())].decode(errors="ignore").rstrip() + tail


def free_name(drive: Drive, folder: Folder | None, name: str) -> str:
    """`name`, or the first variation of it that is free in the folder. Call under `lock_tree`."""
    folders = Folder.objects.living().filter(drive=drive, parent=folder).values_list("name", flat=True)
    files = File.objects.filter(drive=drive, folder=folder, trashed_at__isnull=True)
    # So much of a name is in all its variations, whatever its characters take.
    near = Q(name=name) | Q(name__startswith=parted(name)[0][:40].rstrip())
    taken = {*folders.filter(near), *files.filter(near).values_list("name", flat=True)}
    return name if name not in taken else next(other for other in other_names(name) if other not in taken)


def ensure_folders(*, drive: Drive, paths: Iterable[str]) -> dict[str, Folder | None]:
    """The folders at `paths` (clean), made where missing, by path; the root maps to None.

    One statement when all are there, else a constant number per level of depth. Racing callers end with the same
    rows. Raises NameTaken where a file is in the way.
    """
    wanted = with_ancestors(set(paths))
    found = folders_at(drive, wanted)
    if len(found) > len(wanted):
        return found
    with transaction.atomic():
        lock_tree(drive)
        # Others may have made, renamed or trashed some of them before the lock was ours.
        found = folders_at(drive, wanted)
        levels: dict[int, list[Folder]] = {}
        for path in wanted:
            if path not in found:
                parent_path, name = split(path)
                found[path] = folder = Folder(drive=drive, parent=found[parent_path], name=name, path=path)
                levels.setdefault(path.count("/"), []).append(folder)
        for _depth, level in sorted(levels.items()):
            places = {(folder.parent_id, folder.name) for folder in level}
            if not places.isdisjoint(file_places(drive, places)):
                raise NameTaken
            Folder.objects.bulk_create(level, batch_size=2000)
    return found


def folders_at(drive: Drive, paths: list[str]) -> dict[str, Folder | None]:
    """The living folders among `paths`, by path; the root maps to None."""
    rows = Folder.objects.filter(drive=drive, path__in=paths)
    return {"/": None, **{folder.path: folder for folder in rows}}


def folder_at(drive: Drive, path: str) -> Folder | None:
    """The living folder at `path`; None is the root. Raises NotVisible."""
    if path == "/":
        return None
    folder: Folder | None = FOLDER_AT.first(drive=drive.pk, path=path)
    if folder is None:
        raise NotVisible
    return folder


def file_at(drive: Drive, path: str) -> File | None:
    """The living file at a clean path with its folder and content, or None."""
    folder_path, name = split(path)
    place = None if folder_path == "/" else folder_path
    found: File | None = FILE_AT.first(drive=drive.pk, folder_path=place, name=name)
    return found


def living_folders(drive: Drive, folders: set[Folder]) -> dict[UUID, Folder]:
    """The folders as they stand, by the id they were known by; one in the trash is made again at its place.

    One that has gone into another drive, too.
    """
    found = Folder.objects.living().filter(drive=drive).in_bulk([folder.pk for folder in folders])
    gone = {folder.pk: folder.place for folder in folders if folder.pk not in found}
    if gone:
        made = ensure_folders(drive=drive, paths=gone.values())
        found |= {pk: folder for pk, place in gone.items() if (folder := made[place])}
    return found


def is_living(entry: File | Folder) -> bool:
    """Whether it and all above it are not in the trash; a file brings its folder joined."""
    if isinstance(entry, Folder):
        return entry.path.startswith("/")
    return entry.trashed_at is None and entry.folder_path.startswith("/")


def require_living(rows: Any, entry: File | Folder) -> Any:
    """The row, if it is not in the trash and in the drive that `entry` was found in. Raises NotVisible."""
    row = rows.living().filter(pk=entry.pk, drive=entry.drive_id).first()
    if row is None:
        raise NotVisible
    return row


def path_of(folder: Folder | None, name: str) -> str:
    """The path of a name in a folder; None is the root."""
    return join(folder.path if folder else "/", name)


def below(folder: Folder) -> FolderQuerySet:
    """All folders in a folder, at any depth, without those that went into the trash on their own."""
    return Folder.objects.filter(drive_id=folder.drive_id, path__startswith=folder.path + "/")


def with_below(folder: Folder) -> FolderQuerySet:
    """The folder and all folders in it, as in `below`."""
    return Folder.objects.filter(
        Q(pk=folder.pk) | Q(drive_id=folder.drive_id, path__startswith=folder.path + "/")
    )


def files_below(folder: Folder) -> FileQuerySet:
    """All files in a folder, at any depth, without those that went into the trash on their own."""
    # One set of folders, not a folder or a set: for an `or` around a subquery all files are read.
    return File.objects.filter(folder__in=with_below(folder), trashed_at__isnull=True)


@dataclass(frozen=True)
class FolderSize:
    """What lies in a folder at any depth; size in bytes."""

    size: int
    file_count: int
    folder_count: int


def size_below(folder: Folder) -> FolderSize:
    """Sums over `files_below` and `below`. Each folder is looked up in the index by itself, since for one set of
    many folders the database reads all files there are."""
    files = File.objects.filter(folder=OuterRef("pk"), trashed_at__isnull=True).order_by().values("folder")
    sums = with_below(folder).annotate(
        held=Subquery(files.annotate(held=Sum("size")).values("held")),
        files_held=Subquery(files.annotate(held=Count("*")).values("held")),
    )
    found = sums.aggregate(
        size=Sum("held", default=0), file_count=Sum("files_held", default=0), folder_count=Count("*") - 1
    )
    return FolderSize(**found)


def require_short_paths(folder: Folder, target: str) -> None:
    """Raises BadName where a path below `folder` would be too long once it begins with `target`."""
    octets = Func("path", function="OCTET_LENGTH", output_field=IntegerField())
    longest = below(folder).aggregate(length=Max(Length("path")), size=Max(octets))
    if longest["length"]:
        length = longest["length"] + len(target) - len(folder.path)
        size = longest["size"] + len(target.encode()) - len(folder.path.encode())
        check_path_size(length, size, field="file_name")


def reroot(folder: Folder, target: str, drive: Drive | None = None) -> None:
    """Give the folder and everything below it paths that begin with `target`, and `drive` where it changes.

    Files know only their folder.
    """
    changes: dict[str, Any] = {"drive": drive} if drive else {}
    below(folder).update(path=Concat(Value(target), Substr("path", len(folder.path) + 1)), **changes)
    Folder.objects.filter(pk=folder.pk).update(path=target, **changes)
