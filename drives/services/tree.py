"""Folders and files of a drive.

Whoever changes the tree or its sums holds the drive's row (`lock_tree`) for the length of a short transaction;
so names are compared with what is there, and the unique constraints are only the last line of defence.
"""

import mimetypes
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Func, IntegerField, Max, Q, Sum, Value
from django.db.models.functions import Concat, Length, Now, Substr
from django.utils import timezone

from accounts.models import User
from common.errors import NotVisible
from drives.errors import NameTaken
from drives.models import Blob, Drive, File, FileQuerySet, Folder, FolderQuerySet
from drives.paths import check_path_size, clean_name, clean_path, join, split, with_ancestors
from drives.permissions import require_edit


def lock_tree(drive: Drive) -> None:
    """Changes of the tree happen one at a time per drive. Rows that merely point to the drive need not wait."""
    Drive.objects.select_for_update(of=("self",), no_key=True).get(pk=drive.pk)


Place = tuple[UUID | None, str]
"""A name in a folder (by id; None is the root)."""


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


def require_free(drive: Drive, place: Place) -> None:
    """Raises NameTaken where a living folder or file has this place. Call under `lock_tree`."""
    if place in folder_places(drive, [place]) or place in file_places(drive, [place]):
        raise NameTaken


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
    folder = Folder.objects.filter(drive=drive, path=path).first()
    if folder is None:
        raise NotVisible
    return folder


def file_at(drive: Drive, path: str) -> File | None:
    """The living file at a clean path, or None."""
    folder_path, name = split(path)
    return (
        File.objects.in_folder(drive, folder_path).select_related("folder", "blob").filter(name=name).first()
    )


def create_folder(*, drive: Drive, actor: User, parent_path: str, name: str) -> Folder:
    """A new folder. Raises BadName, NotVisible (parent), NameTaken, DriveReadOnly."""
    require_edit(actor, drive)
    parent_path, name = clean_path(parent_path, field="folder_path"), clean_name(name)
    path = clean_path(join(parent_path, name), field="file_name")
    with transaction.atomic():
        lock_tree(drive)
        parent = folder_at(drive, parent_path)
        require_free(drive, (parent.pk if parent else None, name))
        return Folder.objects.create(drive=drive, parent=parent, name=name, path=path)


@dataclass(frozen=True)
class NewFile:
    """A file to put into a drive; `folder` None is the root."""

    folder: Folder | None
    name: str
    blob: Blob
    mime_type: str = ""


def put_files(*, drive: Drive, actor: User | None, new_files: list[NewFile], reserved: int = 0) -> list[File]:
    """Put files into the drive, in a constant number of statements; a living file of a name gets the new content.

    `reserved` bytes of the drive's reservation are turned into use. Quota is not asked: whoever reserved has room,
    and results always land, also where the folder went into the trash meanwhile (a new one takes its place).
    Returns the files in the order given; of two with the same place the later stays. Raises NameTaken where a
    folder has the place.
    """
    with transaction.atomic():
        lock_tree(drive)
        folders = living_folders(drive, {new.folder for new in new_files if new.folder})
        parents = [folders[new.folder.pk] if new.folder else None for new in new_files]
        places = [
            (parent.pk if parent else None, new.name) for new, parent in zip(new_files, parents, strict=True)
        ]
        if not set(places).isdisjoint(folder_places(drive, places)):
            raise NameTaken
        living = File.objects.filter(at_places("folder", places), drive=drive, trashed_at__isnull=True)
        there = {(file.folder_id, file.name): file for file in living}
        placed: dict[Place, File] = {}
        grown = 0
        for new, parent, place in zip(new_files, parents, places, strict=True):
            file = (
                placed.get(place)
                or there.get(place)
                or File(drive=drive, folder=parent, name=new.name, size=0)
            )
            grown += new.blob.size - file.size
            file.blob, file.size, file.uploaded_by = new.blob, new.blob.size, actor
            guessed = mimetypes.guess_type(new.name)[0] or "application/octet-stream"
            file.mime_type, file.updated_at = (new.mime_type or guessed)[:100], timezone.now()
            placed[place] = file
        File.objects.bulk_create(
            [file for place, file in placed.items() if place not in there], batch_size=2000
        )
        changed = ["blob", "size", "uploaded_by", "mime_type", "updated_at"]
        File.objects.bulk_update(
            [file for place, file in placed.items() if place in there], changed, batch_size=2000
        )
        Drive.objects.filter(pk=drive.pk).update(
            used_size=F("used_size") + grown, reserved_size=F("reserved_size") - reserved
        )
    return [placed[place] for place in places]


def living_folders(drive: Drive, folders: set[Folder]) -> dict[UUID, Folder]:
    """The folders as they stand, by the id they were known by; one in the trash is made again at its place."""
    found = Folder.objects.living().in_bulk([folder.pk for folder in folders])
    gone = {folder.pk: folder.place for folder in folders if folder.pk not in found}
    if gone:
        made = ensure_folders(drive=drive, paths=gone.values())
        found |= {pk: folder for pk, place in gone.items() if (folder := made[place])}
    return found


def rename_file(*, file: File, actor: User, name: str) -> File:
    """Raises BadName, NameTaken, NotVisible (trashed meanwhile), DriveReadOnly."""
    require_edit(actor, file.drive)
    name = clean_name(name)
    with transaction.atomic():
        lock_tree(file.drive)
        file = require_living(File.objects.select_related("drive", "folder", "blob"), file.pk)
        if name != file.name:
            require_free(file.drive, (file.folder_id, name))
            file.name = name
            file.save(update_fields=["name", "updated_at"])
    return file


def rename_folder(*, folder: Folder, actor: User, name: str) -> Folder:
    """Rename a folder and re-root the paths of all folders below it, in two UPDATEs.

    Raises BadName (also where a path below would grow too long), NameTaken, NotVisible (trashed meanwhile),
    DriveReadOnly.
    """
    require_edit(actor, folder.drive)
    name = clean_name(name)
    with transaction.atomic():
        lock_tree(folder.drive)
        folder = require_living(Folder.objects.select_related("drive"), folder.pk)
        if name != folder.name:
            require_free(folder.drive, (folder.parent_id, name))
            target = clean_path(join(split(folder.path)[0], name), field="file_name")
            require_short_paths(folder, target)
            reroot(folder, target)
            Folder.objects.filter(pk=folder.pk).update(name=name, updated_at=Now())
            folder.refresh_from_db(fields=["name", "path", "updated_at"])
    return folder


def require_living(rows: Any, pk: UUID) -> Any:
    """The row, if it is not in the trash. Raises NotVisible."""
    row = rows.living().filter(pk=pk).first()
    if row is None:
        raise NotVisible
    return row


def below(folder: Folder) -> FolderQuerySet:
    """All folders in a folder, at any depth."""
    return Folder.objects.filter(drive_id=folder.drive_id, path__startswith=folder.path + "/")


def require_short_paths(folder: Folder, target: str) -> None:
    """Raises BadName where a path below `folder` would be too long once it begins with `target`."""
    octets = Func("path", function="OCTET_LENGTH", output_field=IntegerField())
    longest = below(folder).aggregate(length=Max(Length("path")), size=Max(octets))
    if longest["length"]:
        length = longest["length"] + len(target) - len(folder.path)
        size = longest["size"] + len(target.encode()) - len(folder.path.encode())
        check_path_size(length, size, field="file_name")


def reroot(folder: Folder, target: str) -> None:
    """Give the folder and everything below it paths that begin with `target`; files know only their folder."""
    below(folder).update(path=Concat(Value(target), Substr("path", len(folder.path) + 1)))
    Folder.objects.filter(pk=folder.pk).update(path=target)


def trash_file(*, file: File, actor: User) -> None:
    """Put a file into the trash; its place and its share of the quota are free."""
    require_edit(actor, file.drive)
    with transaction.atomic():
        lock_tree(file.drive)
        found = File.objects.living().filter(pk=file.pk).first()
        if found is not None:
            File.objects.filter(pk=file.pk).update(trashed_at=timezone.now())
            Drive.objects.filter(pk=file.drive_id).update(used_size=F("used_size") - found.size)


def trash_folder(*, folder: Folder, actor: User) -> None:
    """Put a folder with everything in it into the trash: a flag on it, a prefix on the paths."""
    require_edit(actor, folder.drive)
    with transaction.atomic():
        lock_tree(folder.drive)
        found = Folder.objects.living().filter(pk=folder.pk).first()
        if found is None:
            return
        inside = File.objects.filter(Q(folder=found) | Q(folder__in=below(found)), trashed_at__isnull=True)
        size = inside.aggregate(total=Sum("size", default=0))["total"]
        reroot(found, f"trash:{found.pk}{found.path}")
        Folder.objects.filter(pk=found.pk).update(trashed_at=timezone.now())
        Drive.objects.filter(pk=found.drive_id).update(used_size=F("used_size") - size)


def listing(drive: Drive, path: str) -> tuple[FolderQuerySet, FileQuerySet]:
    """Folders and files of the folder at a clean path, by name. Raises NotVisible."""
    folder = folder_at(drive, path)
    folders = Folder.objects.living().filter(drive=drive, parent=folder).order_by("name", "pk")
    files = File.objects.filter(drive=drive, folder=folder, trashed_at__isnull=True)
    return folders, files.select_related("folder", "blob").order_by("name", "pk")
