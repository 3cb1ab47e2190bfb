"""Folders made, files put in, folders looked into."""

import mimetypes
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from drives.errors import NameTaken
from drives.models import (
    Blob,
    Drive,
    File,
    FileOperation,
    FileVersion,
    Folder,
)
from drives.paths import clean_name, clean_path
from drives.permissions import Right, require
from drives.services.drives import require_room
from drives.services.operations import Action, operation, record
from drives.services.places import (
    Place,
    at_places,
    file_in,
    folder_at,
    folder_places,
    living_folders,
    lock_tree,
    path_of,
    require_free,
    require_living,
)
from drives.services.versions import keep_versions, version_of


def create_folder(*, drive: Drive, actor: User, parent_path: str, name: str) -> Folder:
    """A new folder. Raises BadName, NotVisible (parent), NameTaken, DriveReadOnly."""
    require(actor, Right.WRITE, drive)
    parent_path, name = clean_path(parent_path, field="folder_path"), clean_name(name)
    with transaction.atomic():
        lock_tree(drive)
        parent = folder_at(drive, parent_path)
        path = clean_path(path_of(parent, name), field="file_name")
        require_free(drive, (parent.pk if parent else None, name))
        folder = Folder.objects.create(drive=drive, parent=parent, name=name, path=path)
        record(Action.CREATE, folder, actor=actor)
    return folder


@dataclass(frozen=True)
class NewFile:
    """A file to put into a drive; `folder` None is the root, `modified_at` None the moment it is put there."""

    folder: Folder | None
    name: str
    blob: Blob
    mime_type: str = ""
    modified_at: datetime | None = None


def put_files(
    *, drive: Drive, actor: User | None, new_files: list[NewFile], reserved: int = 0, logged: bool = True
) -> list[File]:
    """Put files into the drive, in a constant number of statements; a living file of a name gets the new content.

    What it held before is kept as a version. `reserved` bytes of the drive's reservation are turned into use. Quota
    is not asked: whoever reserved has room, and results always land, also where the folder went into the trash
    meanwhile (a new one takes its place). Returns the files in the order given; of two with the same place the later
    stays. `logged` is false where the caller writes down an operation of its own. Raises NameTaken where a folder has
    the place.
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
        replaced: dict[Place, FileVersion] = {}
        now, grown = timezone.now(), 0
        for new, parent, place in zip(new_files, parents, places, strict=True):
            file = (
                placed.get(place)
                or there.get(place)
                or File(drive=drive, folder=parent, name=new.name, size=0)
            )
            if place in there and place not in placed and file.blob_id != new.blob.pk:
                replaced[place] = version_of(file)
            grown += new.blob.size - file.size
            file.folder, file.blob, file.size, file.uploaded_by = parent, new.blob, new.blob.size, actor
            guessed = mimetypes.guess_type(new.name)[0] or "application/octet-stream"
            file.mime_type, file.updated_at = (new.mime_type or guessed)[:100], now
            file.modified_at = new.modified_at or now
            placed[place] = file
        File.objects.bulk_create(
            [file for place, file in placed.items() if place not in there], batch_size=2000
        )
        changed = ["blob", "size", "uploaded_by", "mime_type", "modified_at", "updated_at"]
        File.objects.bulk_update(
            [file for place, file in placed.items() if place in there], changed, batch_size=2000
        )
        keep_versions(list(replaced.values()))
        if logged:
            uploads = [operation(Action.UPLOAD, file, actor=actor) for file in placed.values()]
            FileOperation.objects.bulk_create(uploads, batch_size=2000)
        Drive.objects.filter(pk=drive.pk).update(
            used_size=F("used_size") + grown, reserved_size=F("reserved_size") - reserved
        )
    return [placed[place] for place in places]


def put_content(
    *,
    drive: Drive,
    actor: User,
    folder_path: str,
    name: str,
    blob: Blob,
    modified_at: datetime | None = None,
) -> File:
    """Put a file that nobody reserved room for into a folder; what a file of that name held becomes a version.

    Raises BadName, NotVisible (folder), NameTaken, QuotaExceeded, DriveReadOnly.
    """
    require(actor, Right.WRITE, drive)
    name = clean_name(name)
    with transaction.atomic():
        lock_tree(drive)
        folder = folder_at(drive, folder_path)
        clean_path(path_of(folder, name), field="file_name")
        there = file_in(drive, folder, name)
        require_room(drive=drive, size=blob.size - (there.size if there else 0))
        new = NewFile(folder, name, blob, modified_at=modified_at)
        return put_files(drive=drive, actor=actor, new_files=[new])[0]


def set_modified(*, file: File, actor: User, modified_at: datetime) -> None:
    """Say when the content of a file last changed where it came from. Raises DriveReadOnly, NotVisible (trashed)."""
    require(actor, Right.WRITE, file.drive)
    with transaction.atomic():
        lock_tree(file.drive)
        require_living(File.objects.all(), file.pk)
        File.objects.filter(pk=file.pk).update(modified_at=modified_at)
