"""What a WebDAV path means: the user's drives, their folders and files."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from django.utils.http import parse_http_date_safe
from wsgidav.dav_error import (
    HTTP_FORBIDDEN,
    HTTP_NOT_FOUND,
    DAVError,
    PRECONDITION_CODE_ProtectedProperty,
)
from wsgidav.dav_provider import DAVCollection, DAVNonCollection, DAVProvider
from wsgidav.util import get_uri_name

from accounts.models import User
from drives.dav.errors import translated
from drives.dav.locks import RedisLocks, SharedLocks
from drives.errors import BadName
from drives.models import Drive, File, Folder
from drives.paths import FORBIDDEN, clean_path, join
from drives.permissions import Right, require
from drives.services.blobs import store_chunks
from drives.services.places import file_at
from drives.services.trash import trash
from drives.services.tree import create_folder, put_content, set_modified

MOUNT = "/dav"
LOCK_PROPERTIES = {"{DAV:}lockdiscovery", "{DAV:}supportedlock"}
MICROSOFT = "{urn:schemas-microsoft-com:}"
IGNORED = {f"{MICROSOFT}Win32{name}" for name in ("CreationTime", "LastAccessTime", "FileAttributes")}
MODIFIED = {"{DAV:}getlastmodified", "{DAV:}lastmodified", f"{MICROSOFT}Win32LastModifiedTime"}


def as_time(text: str) -> datetime | None:
    """An HTTP date, or seconds since 1970, as clients write them; None for anything else."""
    seconds = parse_http_date_safe(text)
    try:
        return datetime.fromtimestamp(float(text) if seconds is None else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def named(drives: Iterable[Drive]) -> dict[str, Drive]:
    """Drives by the name of their folder: their own, made fit for a path; the later of two gets a bit of its id."""
    found: dict[str, Drive] = {}
    for drive in drives:
        name = FORBIDDEN.sub("_", drive.name).strip(" .") or drive.pk.hex
        found[name if name not in found else f"{name} ({drive.pk.hex[-8:]})"] = drive
    return found


class OfDrive:
    """What folders and files share; mixed into the classes of wsgidav."""

    environ: dict[str, Any]
    drive: Drive
    place: str
    """The path inside the drive."""

    @property
    def user(self) -> User:
        user: User = self.environ["yuntu.user"]
        return user

    def require_write(self) -> None:
        with translated():
            require(self.user, Right.WRITE, self.drive)

    def get_ref_url(self) -> str:
        """What locks are kept by: the same for everybody, whatever their drives are called."""
        return quote(f"/{self.drive.pk}{self.place}")

    def get_property_names(self, *, is_allprop: bool) -> list[str]:
        """Without those that would ask Redis for each of many; who asks for them by name gets them."""
        names: list[str] = super().get_property_names(is_allprop=is_allprop)  # type: ignore[misc]
        return [name for name in names if name not in LOCK_PROPERTIES]

    def get_property_value(self, name: str) -> Any:
        value = super().get_property_value(name)  # type: ignore[misc]
        if value is None:
            raise DAVError(HTTP_NOT_FOUND)
        return f'"{value}"' if name == "{DAV:}getetag" else value

    def set_property_value(self, name: str, value: Any, dry_run: bool = False) -> None:
        self.require_write()
        modified_at = as_time(value.text or "") if value is not None and name in MODIFIED else None
        if modified_at is not None:
            if not dry_run:
                self.modify(modified_at)
        elif name not in IGNORED:
            raise DAVError(HTTP_FORBIDDEN, err_condition=PRECONDITION_CODE_ProtectedProperty)

    def modify(self, modified_at: datetime) -> None:
        """Folders have no time of their own: what is in them has."""


class DriveList(DAVCollection):
    """The drives that the user may read."""

    def get_member_list(self) -> list["FolderResource"]:
        drives: dict[str, Drive] = self.environ["yuntu.drives"]
        return [FolderResource(f"/{name}", self.environ, drive) for name, drive in drives.items()]

    def get_member_names(self) -> list[str]:
        return list(self.environ["yuntu.drives"])

    def support_etag(self) -> bool:
        return False

    def create_empty_resource(self, name: str) -> None:
        raise DAVError(HTTP_FORBIDDEN)

    def create_collection(self, name: str) -> None:
        raise DAVError(HTTP_FORBIDDEN)

    def handle_delete(self) -> None:
        raise DAVError(HTTP_FORBIDDEN)

    def set_property_value(self, name: str, value: Any, dry_run: bool = False) -> None:
        raise DAVError(HTTP_FORBIDDEN)

    def prevent_locking(self) -> bool:
        return True


class FolderResource(OfDrive, DAVCollection):
    """A folder, or (`folder` None) a drive."""

    def __init__(self, path: str, environ: dict[str, Any], drive: Drive, folder: Folder | None = None):
        super().__init__(path, environ)
        self.drive, self.folder = drive, folder
        self.place = folder.path if folder else "/"

    def get_member_list(self) -> list["FolderResource | FileResource"]:
        folders = Folder.objects.living().filter(drive=self.drive, parent=self.folder).order_by("name", "pk")
        files = File.objects.filter(drive=self.drive, folder=self.folder, trashed_at__isnull=True)
        base = self.path.rstrip("/")
        return [
            *(FolderResource(f"{base}/{row.name}", self.environ, self.drive, row) for row in folders),
            *(
                FileResource(f"{base}/{row.name}", self.environ, self.drive, join(self.place, row.name), row)
                for row in files.select_related("blob").order_by("name", "pk")
            ),
        ]

    def get_member_names(self) -> list[str]:
        return [get_uri_name(member.path) for member in self.get_member_list()]

    def get_creation_date(self) -> float:
        return (self.folder or self.drive).created_at.timestamp()

    def get_last_modified(self) -> float:
        return (self.folder or self.drive).updated_at.timestamp()

    def get_used_bytes(self) -> int:
        return self.drive.used_size

    def get_available_bytes(self) -> int | None:
        return self.drive.available_size

    def support_etag(self) -> bool:
        return False

    def create_collection(self, name: str) -> None:
        with translated():
            create_folder(drive=self.drive, actor=self.user, parent_path=self.place, name=name)

    def create_empty_resource(self, name: str) -> "FileResource":
        """What a lock of something that is not there makes first."""
        with translated():
            require(self.user, Right.WRITE, self.drive)
            blob = store_chunks([])
            file = put_content(
                drive=self.drive, actor=self.user, folder_path=self.place, name=name, blob=blob
            )
        path = f"{self.path.rstrip('/')}/{file.name}"
        return FileResource(path, self.environ, self.drive, join(self.place, file.name), file)

    def handle_delete(self) -> bool:
        if self.folder is None:
            raise DAVError(HTTP_FORBIDDEN)
        with translated():
            self.folder.drive = self.drive
            trash(entry=self.folder, actor=self.user)
        return True


class FileResource(OfDrive, DAVNonCollection):
    """A file."""

    def __init__(self, path: str, environ: dict[str, Any], drive: Drive, place: str, file: File):
        super().__init__(path, environ)
        self.drive, self.place, self.file = drive, place, file

    def get_content_length(self) -> int:
        return self.file.size

    def get_content_type(self) -> str:
        return self.file.mime_type or "application/octet-stream"

    def get_creation_date(self) -> float:
        return self.file.created_at.timestamp()

    def get_last_modified(self) -> float:
        return self.file.modified_at.timestamp()

    def get_etag(self) -> str:
        return self.file.blob.sha256 or self.file.blob_id.hex

    def support_etag(self) -> bool:
        return True

    def support_ranges(self) -> bool:
        return True

    def get_content(self) -> None:
        raise NotImplementedError  # drives.dav.views serves it

    def modify(self, modified_at: datetime) -> None:
        with translated():
            set_modified(file=self.file, actor=self.user, modified_at=modified_at)

    def handle_delete(self) -> bool:
        with translated():
            self.file.drive = self.drive
            trash(entry=self.file, actor=self.user)
        return True


Resource = DriveList | FolderResource | FileResource


class Drives(DAVProvider):
    """`/`: the drives of `environ["yuntu.user"]`; below, by name or id of the drive, folders and files."""

    def __init__(self) -> None:
        super().__init__()
        self.set_mount_path(MOUNT)
        self.set_share_path("")
        self.set_lock_manager(SharedLocks(RedisLocks()))

    def get_resource_inst(self, path: str, environ: dict[str, Any]) -> Resource | None:
        """What lies at `path` for the user, in at most four queries; None where nothing does."""
        if "yuntu.drives" not in environ:
            visible = Drive.objects.visible_to(environ["yuntu.user"])
            environ["yuntu.drives"] = named(visible.distinct().order_by("created_at", "pk"))
        name, _slash, rest = path.strip("/").partition("/")
        if not name:
            return DriveList("/", environ)
        drives: dict[str, Drive] = environ["yuntu.drives"]
        drive = drives.get(name) or next((row for row in drives.values() if str(row.pk) == name), None)
        if drive is None:
            return None
        try:
            place = clean_path(rest)
        except BadName:
            return None
        whole = f"/{name}{place}".rstrip("/")
        if place == "/":
            return FolderResource(whole, environ, drive)
        if folder := Folder.objects.filter(drive=drive, path=place).first():
            return FolderResource(whole, environ, drive, folder)
        file = file_at(drive, place)
        return FileResource(whole, environ, drive, place, file) if file else None

    def is_readonly(self) -> bool:
        return False
