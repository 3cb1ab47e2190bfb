"""Files of a manifest whose names are taken at their destination."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

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
from uploads.services.manifests import ManifestFile

MOST_TOLD = 1000
"""The most paths that a refusal names."""


def settle_clashes(
    drive: Drive, files: Sequence[ManifestFile], homes: Mapping[str, UUID | None], on_clash: OnClash
) -> Sequence[ManifestFile]:
    """The files with names that are free, as `on_clash` wants it; `homes` are their folders' ids, the drive is held.

    With REPLACE nothing is done: what a file holds becomes a version when the new content lands, as it does where
    somebody takes the place only after this. Raises NameTaken with `paths`, BadName (a path grew too long).
    """
    if on_clash is OnClash.REPLACE:
        return files
    places = [(homes[file.target_folder_path], file.file_name) for file in files]
    occupied = {*file_places(drive, places), *folder_places(drive, places)}
    clashing = {position: place for position, place in enumerate(places) if place in occupied}
    if not clashing:
        return files
    if on_clash is OnClash.REFUSE:
        raise NameTaken(paths=[files[position].virtual_path for position in list(clashing)[:MOST_TOLD]])
    taken = {*places, *living_places(drive, {folder_id for folder_id, _name in clashing.values()})}
    renamed = dict(zip(clashing, free_names(clashing.values(), taken), strict=True))
    return [
        rename(file, renamed[position], position) if position in renamed else file
        for position, file in enumerate(files)
    ]


def free_names(places: Iterable[Place], taken: set[Place]) -> Iterator[str]:
    """For each place the first variation of its name that is not among `taken`, which it is then."""
    # Long names that differ at their ends have the same variations: each goes on where the last one was.
    variations: dict[Place, Iterator[str]] = {}
    for folder_id, name in places:
        names = variations.setdefault((folder_id, next(other_names(name))), other_names(name))
        free = next(other for other in names if (folder_id, other) not in taken)
        taken.add((folder_id, free))
        yield free


def rename(file: ManifestFile, name: str, position: int) -> ManifestFile:
    """Raises BadName where its path grew too long."""
    file = file._replace(file_name=name)
    clean_path(file.virtual_path, field=f"upload_manifest.files.{position}.file_name")
    return file
