"""Folders made, files put in, folders looked into."""

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from common import origin
from common.compiled import planned_cursor
from common.errors import NotVisible
from common.models import as_written
from common.postgresql.arrays import array_of
from drives.errors import DriveReadOnly, NameTaken, QuotaExceeded
from drives.models import Blob, Drive, File, Folder
from drives.paths import clean_name, clean_path, join
from drives.permissions import Right, require
from drives.services.blobs import Kept, blob_of, the_one_that_stays
from drives.services.drives import require_room
from drives.services.operations import Action, record
from drives.services.places import (
    Place,
    file_in,
    folder_at,
    living_folders,
    lock_tree,
    path_of,
    require_free,
    require_living,
)
from drives.services.versions import drop_surplus


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


def type_of(name: str, told: str = "") -> str:
    """The media type that a client told, or else the one that the ending of the name stands for."""
    return (told or mimetypes.guess_type(name)[0] or "application/octet-stream")[:100]


class PutFile(NamedTuple):
    """What became of a file that was to be put into a drive."""

    file_id: UUID
    created_at: datetime
    is_replaced: bool
    refusal: str | None


# The function is in drives/migrations/0029_folders_of_the_drive.py.
PUT_FILES = """
    SELECT number, file_id, file_created_at, is_replaced, refusal FROM drives_put_files(
        %s, %s, %s, %s, false, %s, %s::uuid[], %s::text[], %s::uuid[], %s::bigint[], %s::text[], %s::timestamptz[]
    )
"""


def put_files(
    *, drive: Drive, actor: User | None, new_files: list[NewFile], logged: bool = True
) -> list[File]:
    """Put files into the drive, in a constant number of statements; a living file of a name gets the new content.

    What it held before is kept as a version. Quota is not asked: results always land, also where the folder went
    into the trash meanwhile (a new one takes its place). Returns the files in the order given; of two with the same
    place the later stays. `logged` is false where the caller writes down an operation of its own. Raises NameTaken
    where a folder has the place.
    """
    if not new_files:
        return []
    now = timezone.now()
    parents = [new.folder for new in new_files]
    places = [place_of(new) for new in new_files]
    caller = [drive.pk, actor.pk if actor else None, origin.current.get().device[:200], now, logged]

    def put(numbers: list[int]) -> dict[int, PutFile]:
        chosen = [new_files[number] for number in numbers]
        folders = [parents[number] for number in numbers]
        columns: tuple[list[Any], ...] = (
            [folder.pk if folder else None for folder in folders],
            [new.name for new in chosen],
            [new.blob.pk for new in chosen],
            [new.blob.size for new in chosen],
            [type_of(new.name, new.mime_type) for new in chosen],
            [new.modified_at or now for new in chosen],
        )
        with planned_cursor() as cursor:
            cursor.execute(PUT_FILES, [*caller, *map(array_of, columns)])
            return {numbers[number - 1]: PutFile(*row) for number, *row in cursor.fetchall()}

    with transaction.atomic():
        if settings.OWNER_STORAGE_LIMIT is not None:
            lock_tree(drive)  # the function holds the drive, but not its owner
        found = put([*range(len(new_files))])
        if homeless := [number for number, row in found.items() if row.refusal == "homeless"]:
            living = living_folders(drive, {folder for n in homeless if (folder := parents[n])})
            for number in homeless:
                folder = parents[number]
                parents[number] = living[folder.pk] if folder else None
            found |= put(homeless)
        if any(row.refusal for row in found.values()):
            raise NameTaken
        drop_surplus([row.file_id for row in found.values() if row.is_replaced])
    placed: dict[Place, File] = {}
    for number, row in found.items():
        new = new_files[number]
        placed[places[number]] = as_written(
            File(
                id=row.file_id,
                created_at=row.created_at,
                updated_at=now,
                drive=drive,
                folder=parents[number],
                name=new.name,
                blob=new.blob,
                size=new.blob.size,
                mime_type=type_of(new.name, new.mime_type),
                uploaded_by=actor,
                modified_at=new.modified_at or now,
            )
        )
    return [placed[place] for place in places]


def place_of(new: NewFile) -> Place:
    return new.folder.pk if new.folder else None, new.name


# The function is in drives/migrations/0019_put_content.py.
PUT_CONTENT = """
    SELECT outcome, available, blob_id, folder_id, file_id, file_created_at, is_replaced FROM drives_put_content(
        %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
    )
"""


def put_content(
    *,
    drive: Drive,
    actor: User,
    folder_path: str,
    name: str,
    kept: Kept,
    modified_at: datetime | None = None,
) -> File:
    """Put a file that nobody reserved room for into a folder; what a file of that name held becomes a version.

    One statement, where no OWNER_STORAGE_LIMIT is set. Raises BadName, NotVisible (folder), NameTaken, QuotaExceeded,
    DriveReadOnly.
    """
    require(actor, Right.WRITE, drive)
    name = clean_name(name)
    folder_path = clean_path(folder_path)
    clean_path(join(folder_path, name), field="file_name")
    if settings.OWNER_STORAGE_LIMIT is not None:
        # Before the drive is held: who has written the same content down at this moment may be waiting for it.
        kept = Kept(blob_of(kept), is_new=False)
    now, blob = timezone.now(), kept.blob
    modified_at, mime_type = modified_at or now, type_of(name)
    sent = (
        drive.pk,
        actor.pk,
        origin.current.get().device[:200],
        now,
        folder_path,
        name,
        mime_type,
        modified_at,
    )
    content = (blob.pk, kept.is_new, blob.size, blob.sha256, blob.md5, blob.crc32, blob.storage_key)
    with room_of_owner_held(drive, folder_path, name, blob.size), planned_cursor() as cursor:
        cursor.execute(PUT_CONTENT, [*sent, *content])
        outcome, available, blob_id, folder_id, file_id, created_at, is_replaced = cursor.fetchone()
    blob = the_one_that_stays(blob, blob_id)
    match outcome:
        case "no_room":
            raise QuotaExceeded(required=blob.size, available=available, scope="drive")
        case "not_found":
            raise NotVisible
        case "read_only":
            raise DriveReadOnly
        case "name_taken" | "homeless":
            raise NameTaken
    if is_replaced:
        drop_surplus([file_id])
    return as_written(
        File(
            id=file_id,
            created_at=created_at,
            updated_at=now,
            drive=drive,
            folder_id=folder_id,
            name=name,
            blob=blob,
            size=blob.size,
            mime_type=mime_type,
            uploaded_by=actor,
            modified_at=modified_at,
        )
    )


@contextmanager
def room_of_owner_held(drive: Drive, folder_path: str, name: str, size: int) -> Iterator[None]:
    """Where OWNER_STORAGE_LIMIT is set, a transaction in which all drives of the owner together have room.

    Raises QuotaExceeded, NotVisible (folder).
    """
    if settings.OWNER_STORAGE_LIMIT is None:
        yield
        return
    with transaction.atomic():
        lock_tree(drive)
        there = file_in(drive, folder_at(drive, folder_path), name)
        require_room(drive=drive, size=size - (there.size if there else 0))
        yield


def set_modified(*, file: File, actor: User, modified_at: datetime) -> None:
    """Say when the content of a file last changed where it came from. Raises DriveReadOnly, NotVisible (trashed)."""
    require(actor, Right.WRITE, file.drive)
    with transaction.atomic():
        lock_tree(file.drive)
        require_living(File.objects.all(), file)
        File.objects.filter(pk=file.pk).update(modified_at=modified_at)
