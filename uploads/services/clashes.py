"""Files of a manifest whose names are taken where they shall go."""

from collections.abc import Iterable, Iterator

from drives.errors import NameTaken
from drives.models import Drive
from drives.paths import clean_path
from drives.services.places import (
    OnClash,
    Place,
    file_places,
    folder_places,
    living_places,
    other_names,
)
from uploads.models import TaskFile

MOST_TOLD = 1000
"""Most paths that a refusal names."""


def settle_clashes(drive: Drive, rows: list[TaskFile], on_clash: OnClash) -> None:
    """Refuse the rows whose places are taken, or give them free names; they know their folders, the drive is held.

    With REPLACE nothing is done: what a file holds becomes a version when the new content lands, as it does where
    somebody takes the place only after this. Raises NameTaken with `paths`, BadName (a path grew too long).
    """
    if on_clash is OnClash.REPLACE:
        return
    places = [place_of(row) for row in rows]
    taken = {*file_places(drive, places), *folder_places(drive, places)}
    clashing = [row for row, place in zip(rows, places, strict=True) if place in taken]
    if not clashing:
        return
    if on_clash is OnClash.REFUSE:
        raise NameTaken(paths=[row.virtual_path for row in clashing[:MOST_TOLD]])
    rename(clashing, {*places, *living_places(drive, {row.folder_id for row in clashing})})


def rename(rows: Iterable[TaskFile], taken: set[Place]) -> None:
    """Give each row the first variation of its name that is not among `taken`."""
    # Long names that differ at their ends have the same variations: each goes on where the last one was.
    variations: dict[Place, Iterator[str]] = {}
    for row in rows:
        place = (row.folder_id, next(other_names(row.file_name)))
        names = variations.setdefault(place, other_names(row.file_name))
        free = next(name for name in names if (row.folder_id, name) not in taken)
        row.file_name = free
        clean_path(row.virtual_path, field=f"upload_manifest.files.{row.position}.file_name")
        taken.add(place_of(row))


def place_of(row: TaskFile) -> Place:
    return row.folder_id, row.file_name
