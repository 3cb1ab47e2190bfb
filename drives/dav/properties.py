"""PROPFIND (RFC 4918 §9.1): what is told of folders and files, and the answer in which it is told."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID
from xml.etree.ElementTree import Element, tostring
from xml.sax.saxutils import escape, quoteattr

from django.utils.http import http_date
from wsgidav.dav_error import (
    HTTP_BAD_REQUEST,
    HTTP_FORBIDDEN,
    HTTP_INSUFFICIENT_STORAGE,
    DAVError,
    PRECONDITION_CODE_PropfindFiniteDepth,
)
from wsgidav.lock_man.lock_manager import normalize_lock_root

from common.compiled import Compiled
from common.ids import new_id
from drives.dav.resources import MOUNT, DriveList, FileResource, FolderResource, Resource
from drives.models import Drive, File, Folder

OWNCLOUD = "{http://owncloud.org/ns}"
PAGE = 1000
IN_MEMORY = 4 * 2**20
MAX_ANSWER = 2**30
"""Bytes: what a folder of a million files takes, and less than one who asks for many names of nothing would get."""
SAFE = "/!*'(),$-_|."
"""Nautilus chokes on brackets that are quoted."""
LOCK_KINDS = "".join(
    f"<D:lockentry><D:lockscope><D:{scope}/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>"
    for scope in ("exclusive", "shared")
)
FOLDERS = Compiled(
    lambda drive, parent, after: (
        Folder.objects.living()
        .filter(drive=drive, parent=parent, trashed_at__isnull=True, name__gt=after)
        .order_by("name")
        .values_list("name", "created_at", "updated_at")[:PAGE]
    ),
    drive=new_id(),
    parent=new_id(),
    after="after",
)
FILES = Compiled(
    lambda drive, folder, after: (
        File.objects.filter(drive=drive, folder=folder, trashed_at__isnull=True, name__gt=after)
        .order_by("name")
        .values_list(
            "name", "created_at", "modified_at", "size", "mime_type", "blob_id", "blob__sha256", "blob__md5"
        )[:PAGE]
    ),
    drive=new_id(),
    folder=new_id(),
    after="after",
)


class Entry(NamedTuple):
    """What is known of a folder or a file; a folder has no size. `path` is below the mount."""

    path: str
    name: str
    drive: Drive | None
    created_at: datetime | None = None
    modified_at: datetime | None = None
    size: int | None = None
    mime_type: str = ""
    blob_id: UUID | None = None
    sha256: str | None = None
    md5: str = ""

    @property
    def is_folder(self) -> bool:
        return self.size is None


def when(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def etag(entry: Entry) -> str | None:
    return None if entry.blob_id is None else f'"{entry.sha256 or entry.blob_id.hex}"'


def number(value: int | None) -> str | None:
    return None if value is None else str(value)


def room(entry: Entry) -> str | None:
    return number(entry.drive.available_size) if entry.drive and entry.is_folder else None


PROPERTIES: dict[str, Callable[[Entry], str | None]] = {
    "{DAV:}resourcetype": lambda entry: "<D:collection/>" if entry.is_folder else "",
    "{DAV:}displayname": lambda entry: escape(entry.name),
    "{DAV:}creationdate": lambda entry: when(entry.created_at),
    "{DAV:}getlastmodified": lambda entry: (
        http_date(entry.modified_at.timestamp()) if entry.modified_at else None
    ),
    "{DAV:}getcontentlength": lambda entry: number(entry.size),
    "{DAV:}getcontenttype": lambda entry: None if entry.is_folder else escape(entry.mime_type),
    "{DAV:}getetag": etag,
}
"""Their values as XML, by name; None where an entry has none. These are told to who asks for all."""
ON_DEMAND: dict[str, Callable[[Entry], str | None]] = {
    "{DAV:}quota-used-bytes": lambda entry: (
        str(entry.drive.used_size) if entry.drive and entry.is_folder else None
    ),
    "{DAV:}quota-available-bytes": room,
    "{DAV:}supportedlock": lambda entry: LOCK_KINDS if entry.drive else "",
    f"{OWNCLOUD}checksums": lambda entry: (
        f"<oc:checksum>MD5:{entry.md5}</oc:checksum>" if entry.md5 else None
    ),
}
LOCKS = "{DAV:}lockdiscovery"


@dataclass(frozen=True)
class Question:
    """What a request asks for; `names` are those of properties, and with `names_only` their values are not told."""

    names: tuple[str, ...] = tuple(PROPERTIES)
    names_only: bool = False
    is_for_all: bool = True


def question(root: Element | None) -> Question:
    """Raises DAVError where the body is none of PROPFIND's."""
    if root is None:
        return Question()
    asked = {child.tag: child for child in root}
    kinds = asked.keys() & {"{DAV:}prop", "{DAV:}allprop", "{DAV:}propname"}
    if root.tag != "{DAV:}propfind" or len(kinds) != 1:
        raise DAVError(HTTP_BAD_REQUEST)
    if "{DAV:}prop" in kinds:
        return Question(tuple(dict.fromkeys(child.tag for child in asked["{DAV:}prop"])), is_for_all=False)
    if "{DAV:}propname" in kinds:
        return Question((*PROPERTIES, *ON_DEMAND, LOCKS), names_only=True)
    included = (child.tag for child in asked.get("{DAV:}include", ()))
    return Question(tuple(dict.fromkeys((*PROPERTIES, *included))))


def require_finite(depth: str) -> str:
    """`0` or `1`. Raises DAVError: nobody is told of all there is in one answer, and without a header all is meant."""
    if depth == "infinity":
        raise DAVError(HTTP_FORBIDDEN, err_condition=PRECONDITION_CODE_PropfindFiniteDepth)
    if depth not in ("0", "1"):
        raise DAVError(HTTP_BAD_REQUEST)
    return depth


class Answer:
    """A multistatus document; of many entries it lies on the disk until it is sent."""

    def __init__(self, asked: Question, locks: "Locks") -> None:
        self.asked = asked
        spaces = {name[1:].partition("}")[0] for name in asked.names if name.startswith("{")}
        self.prefixes = {"DAV:": "D", OWNCLOUD[1:-1]: "oc"}
        self.prefixes |= {space: f"N{place}" for place, space in enumerate(spaces - self.prefixes.keys())}
        self.tags = [(name, self.tag(name)) for name in asked.names]
        self.getters: dict[str, Callable[[Entry], str | None]] = {**PROPERTIES, **ON_DEMAND, LOCKS: locks}

    def tag(self, name: str) -> str:
        space, _bracket, local = name.rpartition("}")
        return f"{self.prefixes[space[1:]]}:{local}" if space else local

    def spool(self, entries: Iterable[Entry]) -> "SpooledTemporaryFile[bytes]":
        """The document in a file, to be read from its beginning. Raises DAVError where it grows beyond MAX_ANSWER."""
        file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        declared = "".join(f" xmlns:{prefix}={quoteattr(space)}" for space, prefix in self.prefixes.items())
        file.write(f'<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus{declared}>'.encode())
        for entry in entries:
            file.write(self.response(entry).encode())
            if file.tell() > MAX_ANSWER:
                raise DAVError(HTTP_INSUFFICIENT_STORAGE)
        file.write(b"</D:multistatus>")
        return file

    def response(self, entry: Entry) -> str:
        found, missing = [], []
        for name, tag in self.tags:
            getter = self.getters.get(name)
            value = getter(entry) if getter else None
            if value is None:
                missing.append(f"<{tag}/>")
            elif value and not self.asked.names_only:
                found.append(f"<{tag}>{value}</{tag}>")
            else:
                found.append(f"<{tag}/>")
        parts = [status(found, "200 OK")] if found or not missing else []
        if missing and not self.asked.is_for_all:
            parts.append(status(missing, "404 Not Found"))
        slash = "/" if entry.is_folder and not entry.path.endswith("/") else ""
        href = escape(quote(f"{MOUNT}{entry.path}{slash}", safe=SAFE))
        return f"<D:response><D:href>{href}</D:href>{''.join(parts)}</D:response>"


def status(properties: list[str], told: str) -> str:
    inside = "".join(properties)
    return f"<D:propstat><D:prop>{inside}</D:prop><D:status>HTTP/1.1 {told}</D:status></D:propstat>"


def entries_of(found: Resource, depth: str) -> Iterator[Entry]:
    """What was found and, with depth 1, what is in it."""
    yield entry_of(found)
    if depth == "1" and isinstance(found, DriveList):
        yield from map(entry_of, found.get_member_list())
    elif depth == "1" and isinstance(found, FolderResource):
        yield from entries_in(found)


def entry_of(found: Resource) -> Entry:
    if isinstance(found, FileResource):
        file, blob = found.file, found.file.blob
        return Entry(
            found.path, found.name, found.drive, file.created_at, file.modified_at, file.size,
            file.mime_type or "application/octet-stream", blob.pk, blob.sha256, blob.md5,
        )  # fmt: skip
    if isinstance(found, FolderResource):
        row = found.folder or found.drive
        return Entry(found.path, found.name, found.drive, row.created_at, row.updated_at)
    return Entry("/", "", None)


def entries_in(found: FolderResource) -> Iterator[Entry]:
    """Folders and then files by name, a page at a time: a folder may hold a million."""
    base, drive, pk = found.path.rstrip("/"), found.drive, found.folder.pk if found.folder else None
    for name, *values in pages(lambda after: FOLDERS.rows(drive=drive.pk, parent=pk, after=after)):
        yield Entry(f"{base}/{name}", name, drive, *values)
    for name, *values in pages(lambda after: FILES.rows(drive=drive.pk, folder=pk, after=after)):
        yield Entry(f"{base}/{name}", name, drive, *values)


def pages(page: Callable[[str], list[Any]]) -> Iterator[Any]:
    """Rows, the first column of which is the name that the next page begins after."""
    after = ""
    while rows := page(after):
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1][0]


class Locks:
    """The property `lockdiscovery`; whatever there is to be told of, the locks of a drive are asked for once."""

    def __init__(self, found: Resource) -> None:
        self.found = found

    @cached_property
    def roots(self) -> set[str]:
        drive = getattr(self.found, "drive", None)
        locks = self.found.provider.lock_manager.storage.living(str(drive.pk)) if drive else []
        return {lock["root"] for lock in locks}

    def __call__(self, entry: Entry) -> str:
        if not self.roots:
            return ""
        resource = self.found.provider.get_resource_inst(entry.path, self.found.environ)
        if resource is None or normalize_lock_root(resource.get_ref_url()) not in self.roots:
            return ""
        return "".join(tostring(lock, encoding="unicode") for lock in resource.get_property_value(LOCKS))
