"""What a WebDAV path means: the user's drives, their folders and files."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from django.utils.http import parse_http_date_safe
from wsgidav.dav_error import (
    HTTP_FORBIDDEN,
    DAVError,
    PRECONDITION_CODE_ProtectedProperty,
)
from wsgidav.dav_provider import DAVCollection, DAVNonCollection, DAVProvider

from accounts.models import User
from common.compiled import Compiled
from common.ids import new_id
from drives.dav.errors import translated
from drives.dav.locks import RedisLocks, SharedLocks
from drives.errors import BadName
from drives.models import Drive, File, Folder
from drives.paths import FORBIDDEN, clean_path, join, split
from drives.permissions import Right, require
from drives.services.blobs import keep_chunks
from drives.services.places import file_in
from drives.services.trash import trash
from drives.services.tree import create_folder, put_content, set_modified

MOUNT = "/dav"
MICROSOFT = "{urn:schemas-microsoft-com:}"
IGNORED = {f"{MICROSOFT}Win32{name}" for name in ("CreationTime", "LastAccessTime", "FileAttributes")}
VISIBLE = Compiled(
    lambda user: Drive.objects.visible_to(User(pk=user)).order_by("created_at", "pk"), user=new_id()
)
FOLDERS_AT = Compiled(
    lambda drive, path, above: Folder.objects.filter(drive=drive, path__in=[path, above]),
    drive=new_id(),
    path="path",
    above="above",
)
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

    def get_member_names(self) -> list[str]:
        raise NotImplementedError  # wsgidav insists on it; drives.dav.properties lists folders

    def get_content_length(self) -> int:
        raise NotImplementedError  # and on this, where drives.dav.views serves files


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

    def get_last_modified(self) -> float:
        return (self.folder or self.drive).updated_at.timestamp()

    def support_etag(self) -> bool:
        return False

    def create_collection(self, name: str) -> None:
        with translated():
            create_folder(drive=self.drive, actor=self.user, parent_path=self.place, name=name)

    def create_empty_resource(self, name: str) -> "FileResource":
        """What a lock of something that is not there makes first."""
        with translated():
            require(self.user, Right.WRITE, self.drive)
            kept = keep_chunks([])
            file = put_content(
                drive=self.drive, actor=self.user, folder_path=self.place, name=name, kept=kept
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

    def get_last_modified(self) -> float:
        return self.file.modified_at.timestamp()

    def get_etag(self) -> str:
        return self.file.blob.sha256 or self.file.blob_id.hex

    def support_etag(self) -> bool:
        return True

    def support_ranges(self) -> bool:
        return True

    def get_content(self) -> None:
        raise NotImplementedError

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
        self.set_lock_manager(SharedLocks(RedisLocks(), MOUNT))

    def get_resource_inst(self, path: str, environ: dict[str, Any]) -> Resource | None:
        """What lies at `path` for the user, in at most three queries; None where nothing does."""
        return self.look(path, environ)[0]

    def look(
        self, path: str, environ: dict[str, Any]
    ) -> tuple[Resource | None, DriveList | FolderResource | None]:
        """What lies at `path` for the user, and the folder that it lies in, or would; in at most three queries."""
        if "yuntu.drives" not in environ:
            environ["yuntu.drives"] = named(VISIBLE.rows(user=environ["yuntu.user"].pk))
        name, _slash, rest = path.strip("/").partition("/")
        top = DriveList("/", environ)
        if not name:
            return top, None
        drives: dict[str, Drive] = environ["yuntu.drives"]
        drive = drives.get(name) or next((row for row in drives.values() if str(row.pk) == name), None)
        if drive is None:
            return None, None if rest else top
        if not rest:
            return FolderResource(f"/{name}", environ, drive), top
        return self.look_into(drive, f"/{name}", rest, environ)

    def look_into(
        self, drive: Drive, base: str, path: str, environ: dict[str, Any]
    ) -> tuple[Resource | None, FolderResource | None]:
        above, _slash, last = path.rpartition("/")
        try:
            above = clean_path(above)
        except BadName:
            return None, None
        try:
            place = clean_path(join(above, last))
        except BadName:
            place = ""
        rows = {row.path: row for row in FOLDERS_AT.rows(drive=drive.pk, path=place, above=above)}
        inside: Folder | None = rows.get(above)
        if inside is None and above != "/":
            return None, None
        folder = FolderResource(f"{base}{above}".rstrip("/"), environ, drive, inside)
        if place in rows:
            return FolderResource(f"{base}{place}", environ, drive, rows[place]), folder
        file = file_in(drive, inside, split(place)[1]) if place else None
        if file is None:
            return None, folder
        file.folder = inside
        return FileResource(f"{base}{place}", environ, drive, place, file), folder

    def is_readonly(self) -> bool:
        return False
