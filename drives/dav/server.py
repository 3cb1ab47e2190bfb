# ruff: noqa: N802  (wsgidav finds its methods by the names of HTTP's)
"""The methods of WebDAV that change files, in our own words; the rest is wsgidav's."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import transaction
from wsgidav import util
from wsgidav.dav_error import (
    HTTP_BAD_GATEWAY,
    HTTP_BAD_REQUEST,
    HTTP_CONFLICT,
    HTTP_CREATED,
    HTTP_FORBIDDEN,
    HTTP_METHOD_NOT_ALLOWED,
    HTTP_NO_CONTENT,
    HTTP_NOT_FOUND,
    HTTP_PRECONDITION_FAILED,
    HTTP_REQUEST_ENTITY_TOO_LARGE,
    DAVError,
)
from wsgidav.request_server import RequestServer

from drives.dav.errors import translated
from drives.dav.resources import DriveList, FileResource, FolderResource, Resource, as_time
from drives.errors import QuotaExceeded
from drives.models import Drive
from drives.paths import clean_name
from drives.permissions import Right, require
from drives.services.blobs import Declared, Hasher, keep_chunks
from drives.services.drives import require_room
from drives.services.moving import Destination, Entry, copy, move
from drives.services.places import OnClash, lock_tree
from drives.services.trash import trash
from drives.services.tree import create_folder, put_content

Environ = dict[str, Any]
MAX_LOCK_BODY = 4096
"""Bytes of a request for a lock: whom it is said to belong to is kept, and read with all locks of the drive."""
MD5_UP_TO = 5 * 2**20
"""Bytes of a body whose MD5 is computed at once; of larger ones it is later, as of uploads in parts (late_md5)."""


class DavServer(RequestServer):
    """`environ["yuntu.destination"]` is the path of the Destination header below the mount, or empty.

    `environ["yuntu.body"]` is what a PUT brings, in pieces (`common.bodies.pieces`).
    """

    def require_conditions(self, found: Resource, environ: Environ) -> None:
        """Raises DAVError where the headers of the request ask for another state than the present one."""
        self._evaluate_if_headers(found, environ)

    def find(self, path: str, environ: Environ) -> Resource | None:
        found: Resource | None = self._davProvider.get_resource_inst(path, environ)
        return found

    def find_with_folder(self, path: str, environ: Environ) -> tuple[Resource | None, FolderResource]:
        """What lies at `path`, and the folder that it lies in, or would. Raises DAVError."""
        found, folder = self._davProvider.look(path, environ)
        if isinstance(folder, DriveList):
            raise DAVError(HTTP_FORBIDDEN)
        if not isinstance(folder, FolderResource):
            raise DAVError(HTTP_CONFLICT)
        return found, folder

    def do_LOCK(self, environ: Environ, start_response: Any) -> Any:
        """Who may not write may not keep others from it either."""
        found = self.find(environ["PATH_INFO"], environ)
        if int(environ["CONTENT_LENGTH"]) > MAX_LOCK_BODY:
            raise DAVError(HTTP_REQUEST_ENTITY_TOO_LARGE)
        if found is None:
            # What is not there wsgidav makes before it asks for locks.
            _nothing, folder = self.find_with_folder(environ["PATH_INFO"], environ)
            folder.require_write()
            self._evaluate_if_headers(None, environ)
            self._check_write_permission(folder, "0", environ)
            self._davProvider.lock_manager.storage.require_room(str(folder.drive.pk))
        elif not isinstance(found, DriveList):
            found.require_write()
        return super().do_LOCK(environ, start_response)

    def do_DELETE(self, environ: Environ, start_response: Any) -> Any:
        """wsgidav asks for locks of the folder it lies in alone; here also for its own and those below."""
        found = self.find(environ["PATH_INFO"], environ)
        if found is None or isinstance(found, DriveList):
            raise DAVError(HTTP_FORBIDDEN if found else HTTP_NOT_FOUND)
        found.require_write()
        self._check_write_permission(found, "infinity", environ)
        answer = super().do_DELETE(environ, start_response)
        if self.find(environ["PATH_INFO"], environ) is None:
            self.forget_locks(found)
        return answer

    def forget_locks(self, gone: FolderResource | FileResource) -> None:
        """What comes to this place next is not locked."""
        self._davProvider.lock_manager.remove_all_locks_from_url(gone.get_ref_url(), recursive=True)

    def do_PUT(self, environ: Environ, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        found, folder = self.find_with_folder(path, environ)
        if isinstance(found, DriveList | FolderResource):
            raise DAVError(HTTP_METHOD_NOT_ALLOWED)
        if "HTTP_CONTENT_RANGE" in environ or "HTTP_CONTENT_ENCODING" in environ:
            raise DAVError(HTTP_BAD_REQUEST)
        told = environ.get("HTTP_X_OC_MTIME")
        modified_at = as_time(told) if told else None
        if told and modified_at is None:
            raise DAVError(HTTP_BAD_REQUEST)
        self._evaluate_if_headers(found, environ)
        self._check_write_permission(found or folder, "0", environ)
        with translated():
            name = clean_name(util.get_uri_name(path))
            require(folder.user, Right.WRITE, folder.drive)
            held = found.file.size if found else 0
            declared = declared_size(environ)
            # As the drive was a moment ago; what counts is asked when the bytes are there.
            room = room_for(folder.drive, held)
            if room is not None and declared > room:
                raise QuotaExceeded(required=declared, available=room, scope="drive")
            if settings.OWNER_STORAGE_LIMIT is not None:
                with transaction.atomic():
                    require_room(drive=folder.drive, size=declared - held)
            hasher = Hasher(with_md5=declared <= MD5_UP_TO, declared=checksum_of(environ))
            kept = keep_chunks(content(environ, room), hasher)
            # Somebody may have locked it while the bytes came.
            self._check_write_permission(found or folder, "0", environ)
            file = put_content(
                drive=folder.drive,
                actor=folder.user,
                folder_path=folder.place,
                name=name,
                kept=kept,
                modified_at=modified_at,
            )
        headers = [("ETag", f'"{kept.blob.sha256}"'), ("OC-FileId", file.pk.hex)]
        if told:
            headers.append(("X-OC-Mtime", "accepted"))
        status = HTTP_NO_CONTENT if found else HTTP_CREATED
        return util.send_status_response(environ, start_response, status, add_headers=headers)

    def _copy_or_move(self, environ: Environ, start_response: Any, is_move: bool) -> Any:
        """One call of a service. What is in the way goes into the trash, or becomes a version of the file."""
        source_path, target_path = environ["PATH_INFO"], environ["yuntu.destination"]
        source = self.find(source_path, environ)
        if source is None:
            raise DAVError(HTTP_NOT_FOUND)
        if not environ.get("HTTP_DESTINATION"):
            raise DAVError(HTTP_BAD_REQUEST)
        if not target_path:
            raise DAVError(HTTP_BAD_GATEWAY)
        entry_of(source)
        there, folder = self.find_with_folder(target_path, environ)
        overwrite, depth = environ.get("HTTP_OVERWRITE", "T"), environ.get("HTTP_DEPTH", "infinity")
        if overwrite not in ("T", "F") or depth not in ("0", "infinity"):
            raise DAVError(HTTP_BAD_REQUEST)
        self._evaluate_if_headers(source, environ)
        if is_move:
            self._check_write_permission(source, "infinity", environ)
            _source, left = self.find_with_folder(source_path, environ)
            self._check_write_permission(left, "0", environ)
        self._check_write_permission(there or folder, "infinity" if there else "0", environ)
        if there and overwrite == "F":
            raise DAVError(HTTP_PRECONDITION_FAILED)
        if there:
            entry_of(there)
            first, second = source.get_ref_url().rstrip("/") + "/", there.get_ref_url().rstrip("/") + "/"
            if first.startswith(second) or second.startswith(first):
                # Onto itself, into itself, or gone with what it would take the place of.
                raise DAVError(HTTP_FORBIDDEN)
        with translated():
            name = clean_name(util.get_uri_name(target_path))
            if isinstance(source, FolderResource) and not is_move and depth == "0":
                self.replace_by_folder(there, folder, name)
            else:
                self.transfer(source, there, folder, name, is_move)
        if is_move:
            self.forget_locks(source)
        status = HTTP_NO_CONTENT if there else HTTP_CREATED
        return util.send_status_response(environ, start_response, status)

    def transfer(
        self, source: Resource, there: Resource | None, folder: FolderResource, name: str, is_move: bool
    ) -> None:
        """Raises DomainError."""
        entry = entry_of(source)
        on_clash = OnClash.REPLACE if there else OnClash.REFUSE
        to = Destination(folder.drive, folder.place, on_clash, name)
        both_files = isinstance(source, FileResource) and isinstance(there, FileResource)
        with transaction.atomic():
            lock_tree(entry.drive, folder.drive)
            if there and not both_files:
                trash(entry=entry_of(there), actor=folder.user)
            (move if is_move else copy)(entry=entry, actor=folder.user, to=to)

    def replace_by_folder(self, there: Resource | None, folder: FolderResource, name: str) -> None:
        """A copy of a folder without what is in it. Raises DomainError."""
        with transaction.atomic():
            lock_tree(folder.drive)
            if there:
                trash(entry=entry_of(there), actor=folder.user)
            create_folder(drive=folder.drive, actor=folder.user, parent_path=folder.place, name=name)


def entry_of(found: Resource) -> Entry:
    """The row of a file or folder, with its drive. Raises DAVError for a drive itself and the list of them."""
    entry: Entry | None = None
    if isinstance(found, FileResource):
        entry = found.file
    elif isinstance(found, FolderResource):
        entry = found.folder
    if entry is None or isinstance(found, DriveList):
        raise DAVError(HTTP_FORBIDDEN)
    entry.drive = found.drive
    return entry


def checksum_of(environ: Environ) -> Declared | None:
    """What clients of ownCloud declare (`SHA1:…`); None for nothing, or an algorithm that is not ours."""
    algorithm, _colon, value = environ.get("HTTP_OC_CHECKSUM", "").strip().lower().partition(":")
    return Declared(algorithm, value) if algorithm in ("md5", "sha1", "sha256") else None


def declared_size(environ: Environ) -> int:
    """Bytes that a client says it sends; 0 where it does not. Raises DAVError."""
    told = environ.get("CONTENT_LENGTH") or environ.get("HTTP_X_EXPECTED_ENTITY_LENGTH") or "0"
    if not re.fullmatch("[0-9]{1,19}", told):
        raise DAVError(HTTP_BAD_REQUEST)
    return int(told)


def room_for(drive: Drive, held: int) -> int | None:
    """Bytes that may take the place of `held`; None where there is no limit."""
    available = drive.available_size
    return None if available is None else available + held


def content(environ: Environ, room: int | None) -> Iterator[memoryview]:
    """The body in pieces, each good until the next one is asked for.

    Raises QuotaExceeded beyond `room`, DAVError where it breaks off.
    """
    size, declared = 0, environ.get("CONTENT_LENGTH")
    try:
        for piece in environ["yuntu.body"]:
            size += len(piece)
            if room is not None and size > room:
                raise QuotaExceeded(required=size, available=room, scope="drive")
            yield piece
    except OSError as error:
        raise DAVError(HTTP_BAD_REQUEST, "The connection broke.") from error
    if declared and size != int(declared):
        raise DAVError(HTTP_BAD_REQUEST, "The connection broke.")
