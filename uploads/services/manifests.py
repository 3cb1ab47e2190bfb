"""What a client announces, checked before anything is created."""

from collections.abc import Iterable
from typing import NamedTuple

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from drives.paths import clean_name, clean_path, join
from uploads.errors import FileTypeNotAllowed, ManifestInvalid


class ManifestFile(NamedTuple):
    """A file as the client announces it, with the column names of TaskFile; `md5` is empty where unknown."""

    local_path: str
    target_folder_path: str
    file_name: str
    file_size: int
    md5: str = ""
    mime_type: str = ""

    @property
    def virtual_path(self) -> str:
        """Where the file shall be in the drive."""
        return join(self.target_folder_path, self.file_name)


def check_manifest(
    files: list[ManifestFile], total_files: int | None, total_size: int | None, size: int
) -> None:
    """Raises ManifestInvalid: empty, too many, totals that differ from the list."""
    if not files:
        raise ManifestInvalid(_("The manifest holds no files."), field="upload_manifest.files")
    if len(files) > settings.UPLOAD_MAX_FILES:
        raise ManifestInvalid(
            _("The manifest holds too many files."),
            field="upload_manifest.files",
            limit=settings.UPLOAD_MAX_FILES,
        )
    if total_files is not None and total_files != len(files):
        raise ManifestInvalid(_("total_files differs from the list."), field="upload_manifest.total_files")
    if total_size is not None and total_size != size:
        raise ManifestInvalid(_("total_size differs from the list."), field="upload_manifest.total_size")


def require_type(name: str, *, field: str) -> None:
    """Raises FileTypeNotAllowed for a file whose ending is refused, or is not among those that are accepted."""
    extension = "." + name.rpartition(".")[2].lower() if "." in name else ""
    accepted, refused = settings.UPLOAD_ACCEPTED_TYPES, settings.UPLOAD_REFUSED_TYPES
    if extension in refused or (accepted and extension not in accepted):
        raise FileTypeNotAllowed(field=field, extension=extension)


def clean_files(files: Iterable[ManifestFile]) -> list[ManifestFile]:
    """The files, in their order, with clean places and digests in lower case.

    Raises BadName, FileTypeNotAllowed; ManifestInvalid: two at one place.
    """
    folders: dict[str, str] = {}
    places: set[str] = set()
    found = []
    for position, file in enumerate(files):
        where = f"upload_manifest.files.{position}"
        if file.target_folder_path not in folders:
            clean = clean_path(file.target_folder_path, field=f"{where}.target_folder_path")
            folders[file.target_folder_path] = clean
        file = file._replace(
            target_folder_path=folders[file.target_folder_path],
            file_name=clean_name(file.file_name, field=f"{where}.file_name"),
            md5=file.md5.lower(),
        )
        require_type(file.file_name, field=f"{where}.file_name")
        place = file.virtual_path
        if place in places:
            raise ManifestInvalid(_("Two files have the same place."), field=f"{where}.file_name")
        places.add(place)
        found.append(file)
    return found
