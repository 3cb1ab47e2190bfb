"""What a client announces, judged before anything is made."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from drives.paths import clean_name, clean_path
from uploads.errors import FileTypeNotAllowed, ManifestInvalid
from uploads.models import TaskFile


@dataclass(frozen=True)
class ManifestFile:
    """A file as the client announces it; `file_size` in bytes, `md5` empty where unknown."""

    local_path: str
    target_folder_path: str
    file_name: str
    file_size: int
    md5: str = ""
    mime_type: str = ""


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


def task_files(files: Iterable[ManifestFile]) -> list[TaskFile]:
    """Rows for the files, in their order, with clean places.

    Raises BadName, FileTypeNotAllowed; ManifestInvalid: two at one place.
    """
    folders: dict[str, str] = {}
    places: set[str] = set()
    rows = []
    for position, file in enumerate(files):
        where = f"upload_manifest.files.{position}"
        if file.target_folder_path not in folders:
            clean = clean_path(file.target_folder_path, field=f"{where}.target_folder_path")
            folders[file.target_folder_path] = clean
        row = TaskFile(
            position=position,
            local_path=file.local_path,
            target_folder_path=folders[file.target_folder_path],
            file_name=clean_name(file.file_name, field=f"{where}.file_name"),
            file_size=file.file_size,
            md5=file.md5.lower(),
            mime_type=file.mime_type,
        )
        require_type(row.file_name, field=f"{where}.file_name")
        if row.virtual_path in places:
            raise ManifestInvalid(_("Two files have the same place."), field=f"{where}.file_name")
        places.add(row.virtual_path)
        rows.append(row)
    return rows
