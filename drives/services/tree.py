"""Folders and files of a drive."""

import mimetypes
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Sum, Value
from django.db.models.functions import Concat, Now, Substr
from django.utils import timezone

from accounts.models import User
from common.errors import NotVisible
from drives.errors import NameTaken
from drives.models import Blob, Drive, File, Folder
from drives.paths import clean_name, clean_path, join, split, with_ancestors
from drives.permissions import require_edit


def ensure_folders(*, drive: Drive, paths: Iterable[str]) -> dict[str, Folder | None]:
    """The folders at `paths` (clean), made where missing, by path; the root maps to None.

    A constant number of statements per level of depth. Racing callers end with the same rows: the unique
    constraints let one insert win and the other read.
    """
    wanted = with_ancestors(set(paths))
    found: dict[str, Folder | None] = {"/": None}
    found |= {folder.path: folder for folder in Folder.objects.filter(drive=drive, path__in=wanted)}
    levels: dict[int, list[str]] = {}
    for path in wanted:
        if path not in found:
            levels.setdefault(path.count("/"), []).append(path)
    for _depth, level in sorted(levels.items()):
        rows = []
        for path in level:
            parent, name = split(path)
            rows.append(Folder(drive=drive, parent=found[parent], name=name, path=path))
        Folder.objects.bulk_create(rows, ignore_conflicts=True, batch_size=2000)
        found |= {folder.path: folder for folder in Folder.objects.filter(drive=drive, path__in=level)}
    return found


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
    parent = folder_at(drive, clean_path(parent_path))
    name = clean_name(name)
    if File.objects.filter(drive=drive, folder=parent, name=name, trashed_at__isnull=True).exists():
        raise NameTaken
    try:
        with transaction.atomic():
            path = clean_path(join(parent.path if parent else "/", name))
            return Folder.objects.create(drive=drive, parent=parent, name=name, path=path)
    except IntegrityError as error:
        raise NameTaken from error


@dataclass(frozen=True)
class NewFile:
    """A file to put into a drive."""

    folder: Folder | None
    name: str
    blob: Blob
    mime_type: str = ""


def put_files(*, drive: Drive, actor: User | None, new_files: list[NewFile], reserved: int = 0) -> list[File]:
    """Put files into the drive, in a constant number of statements; a living file of a name gets the new content.

    `reserved` bytes of the drive's reservation are turned into use. Quota is not asked: whoever reserved has room,
    and results always land. Returns the files in the order given; of two with the same place the later stays.
    """
    with transaction.atomic():
        # The drive row is the lock of its sums and of the names: two uploads of one name end as one file.
        lock_tree(drive)
        living = File.objects.filter(
            drive=drive, trashed_at__isnull=True, name__in={new.name for new in new_files}
        ).select_related("folder")
        there = {(file.folder_id, file.name): file for file in living}
        placed: dict[Any, File] = {}
        grown = 0
        for new in new_files:
            place = (new.folder.pk if new.folder else None, new.name)
            file = (
                placed.get(place)
                or there.get(place)
                or File(drive=drive, folder=new.folder, name=new.name, size=0)
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
    return [placed[new.folder.pk if new.folder else None, new.name] for new in new_files]


def rename_file(*, file: File, actor: User, name: str) -> File:
    """Raises BadName, NameTaken, DriveReadOnly."""
    require_edit(actor, file.drive)
    try:
        with transaction.atomic():
            File.objects.filter(pk=file.pk).update(name=clean_name(name), updated_at=Now())
    except IntegrityError as error:
        raise NameTaken from error
    file.refresh_from_db()
    return file


def rename_folder(*, folder: Folder, actor: User, name: str) -> Folder:
    """Rename a folder and re-root the paths of all folders below it, in two UPDATEs."""
    require_edit(actor, folder.drive)
    clean = clean_name(name)
    target = clean_path(join(split(folder.path)[0], clean))
    try:
        with transaction.atomic():
            lock_tree(folder.drive)
            folder.refresh_from_db()
            reroot(folder, target)
            Folder.objects.filter(pk=folder.pk).update(name=clean, updated_at=Now())
    except IntegrityError as error:
        raise NameTaken from error
    folder.refresh_from_db()
    return folder


def lock_tree(drive: Drive) -> None:
    """Changes of the tree's shape happen one at a time per drive."""
    Drive.objects.select_for_update(of=("self",)).get(pk=drive.pk)


def reroot(folder: Folder, target: str) -> None:
    """Give the folder and everything below it paths that begin with `target`; files know only their folder."""
    length = len(folder.path)
    below = Folder.objects.filter(drive_id=folder.drive_id, path__startswith=folder.path + "/")
    below.update(path=Concat(Value(target), Substr("path", length + 1)))
    Folder.objects.filter(pk=folder.pk).update(path=target)


def trash_file(*, file: File, actor: User) -> None:
    require_edit(actor, file.drive)
    with transaction.atomic():
        if File.objects.filter(pk=file.pk, trashed_at__isnull=True).update(trashed_at=timezone.now()):
            Drive.objects.filter(pk=file.drive_id).update(used_size=F("used_size") - file.size)


def trash_folder(*, folder: Folder, actor: User) -> None:
    """Put a folder with everything in it into the trash: a flag on it, a prefix on the paths."""
    require_edit(actor, folder.drive)
    with transaction.atomic():
        lock_tree(folder.drive)
        folder.refresh_from_db()
        if folder.trashed_at is not None:
            return
        inside = File.objects.living().filter(drive_id=folder.drive_id)
        subtree = inside.filter(folder__path__startswith=folder.path + "/") | inside.filter(folder=folder)
        size = subtree.aggregate(total=Sum("size"))["total"] or 0
        reroot(folder, f"trash:{folder.pk}{folder.path}")
        Folder.objects.filter(pk=folder.pk).update(trashed_at=timezone.now())
        Drive.objects.filter(pk=folder.drive_id).update(used_size=F("used_size") - size)


def listing(drive: Drive, path: str) -> tuple[list[Folder], Any]:
    """Folders and files of the folder at a clean path, by name. Raises NotVisible."""
    folder = folder_at(drive, path)
    folders = list(Folder.objects.living().filter(drive=drive, parent=folder).order_by("name", "pk"))
    files = File.objects.in_folder(drive, path).select_related("folder").order_by("name", "pk")
    return folders, files
