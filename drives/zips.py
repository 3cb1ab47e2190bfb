"""ZIP archives that are generated while they are read: members of known size and CRC-32, uncompressed, ZIP64 where
needed.

Format: PKWARE APPNOTE.TXT 6.3.10, §4.3 to §4.5. Sizes and checksums are known beforehand (`drives.models.Blob`), so
size, ETag and any range of bytes are known before the first byte is read, and a member is only read as far as it is
needed.
"""

import hashlib
import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import BinaryIO, NamedTuple

from django.utils import timezone

from drives.storage import StorageError, blob_storage

BLOCK = 1 << 20
SMALL = 1 << 16
# What does not fit into the fields of the old format is said in those of ZIP64; the old ones are all ones then.
LIMIT_16, LIMIT_32 = FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF
LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END_64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR_64 = struct.Struct("<4sIQI")
END = struct.Struct("<4s4H2IH")
UTF8_NAMES = 0x800
UNIX_FILE = 0o100644 << 16
UNIX_FOLDER = 0o40755 << 16 | 0x10
# Where archives are unpacked on Windows these mean something else.
UNUSUAL = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f]')
Open = Callable[[str, int, int | None], BinaryIO]


class Member(NamedTuple):
    """A file of the archive: its path, size in bytes, CRC-32, and the storage key of its content.

    The path of a folder ends with a slash; it has no content.
    """

    name: str
    size: int
    crc32: int
    modified_at: datetime
    key: str = ""


def plain_path(path: str) -> str:
    """A relative path without `..` and without characters that Windows forbids."""
    parts = [part for part in UNUSUAL.sub("_", path).split("/") if part]
    return "/".join("_" if not part.strip(".") else part for part in parts) or "_"


def member_names(paths: Sequence[str], folders: Iterable[str] = ()) -> list[str]:
    """Paths of files inside an archive: plain, no two alike where case does not count, none that of a folder.

    `folders` are plain paths of those that hold no file.
    """
    places = [path.rpartition("/")[::2] for path in paths]
    # Files outnumber their folders: each folder is looked at once.
    plain_folders = {folder: plain_path(folder) if folder.strip("/") else "" for folder, _name in places}
    used = {folder.casefold() for folder in folders}
    for plain in set(plain_folders.values()):
        folder = plain.casefold()
        while folder and folder not in used:
            used.add(folder)
            folder = folder.rpartition("/")[0]
    above = {folder: f"{plain}/" if plain else "" for folder, plain in plain_folders.items()}
    plain_paths = [above[folder] + plain_path(name) for folder, name in places]
    # Counted on for each name: of many alike, none tries all the numbers of those before it.
    numbers: dict[str, int] = {}
    names = []
    for plain in plain_paths:
        stem, dot, ending = plain.rpartition(".")
        if not stem or "/" in ending or stem.endswith("/"):
            stem, dot, ending = plain, "", ""
        name, alike = plain, plain.casefold()
        while name.casefold() in used:
            numbers[alike] = number = numbers.get(alike, 1) + 1
            name = f"{stem} ({number}){dot}{ending}"
        used.add(name.casefold())
        names.append(name)
    return names


def zip_name(name: str) -> str:
    """The file name of an archive of something called `name`."""
    plain = plain_path(name.replace("/", "_"))
    return plain if plain.lower().endswith(".zip") else f"{plain}.zip"


def short(number: int) -> int:
    return FULL_32 if number >= LIMIT_32 else number


def extra_64(*numbers: int) -> bytes:
    """The ZIP64 field for those of `numbers` that do not fit into the old ones (§4.5.3)."""
    large = [number for number in numbers if number >= LIMIT_32]
    return struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""


def dos_time(moment: datetime) -> tuple[int, int]:
    # The platform's time zone, whatever is active: else the bytes would depend on the door.
    local = moment.astimezone(timezone.get_default_timezone())
    year = min(max(local.year, 1980), 2107)
    return local.hour << 11 | local.minute << 5 | local.second // 2, (
        (year - 1980) << 9 | local.month << 5 | local.day
    )


def local_header(member: Member) -> bytes:
    name, (time, date) = member.name.encode(), dos_time(member.modified_at)
    # In a local header ZIP64 holds both sizes or none.
    extra = extra_64(member.size, member.size)
    size, version = short(member.size), 45 if extra else 20
    fixed = LOCAL.pack(
        b"PK\3\4", version, UTF8_NAMES, 0, time, date, member.crc32, size, size, len(name), len(extra)
    )
    return fixed + name + extra


def local_size(member: Member) -> int:
    """Bytes of the local header."""
    return LOCAL.size + len(member.name.encode()) + (20 if member.size >= LIMIT_32 else 0)


def central_header(member: Member, offset: int) -> bytes:
    name, (time, date) = member.name.encode(), dos_time(member.modified_at)
    extra = b"" if member.size < LIMIT_32 > offset else extra_64(member.size, member.size, offset)
    size, version = short(member.size), 45 if extra else 20
    mode = UNIX_FOLDER if member.name.endswith("/") else UNIX_FILE
    fixed = CENTRAL.pack(
        b"PK\1\2", 3 << 8 | version, version, UTF8_NAMES, 0, time, date, member.crc32, size, size, len(name),
        len(extra), 0, 0, 0, mode, short(offset),
    )  # fmt: skip
    return fixed + name + extra


def end_records(count: int, size: int, offset: int) -> bytes:
    """The end of a central directory of `count` members and `size` bytes that begins at `offset`."""
    found = b""
    if count >= LIMIT_16 or size >= LIMIT_32 or offset >= LIMIT_32:
        found = END_64.pack(
            b"PK\6\6", END_64.size - 12, 3 << 8 | 45, 45, 0, 0, count, count, size, offset
        ) + LOCATOR_64.pack(b"PK\6\7", 0, offset + size, 1)
    shown = FULL_16 if count >= LIMIT_16 else count
    return found + END.pack(b"PK\5\6", 0, 0, shown, shown, short(size), short(offset), 0)


class Zip:
    """A ZIP of `members`: `size` in bytes, `etag` without quotes, `read()` any range of it.

    The ETag is another one whenever a byte is another one: it is made of the directory, which holds names, times,
    sizes and places, and of the storage keys, under which content never changes.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self.starts: list[int] = []
        directory = bytearray()
        offset = 0
        for member in members:
            self.starts.append(offset)
            directory += central_header(member, offset)
            offset += local_size(member) + member.size
        self.directory_start = offset
        directory += end_records(len(members), len(directory), offset)
        self.directory = bytes(directory)
        self.size = offset + len(directory)
        digest = hashlib.sha256(self.directory)
        digest.update("".join(f"\0{member.key}" for member in members).encode())
        self.etag = digest.hexdigest()

    def read(self, start: int = 0, stop: int | None = None, open_blob: Open | None = None) -> Iterator[bytes]:
        """Bytes `start` up to `stop`, in blocks. Raises FileNotFoundError, StorageError for content that is lost."""
        stop = self.size if stop is None else stop
        return in_blocks(self.pieces(start, stop, open_blob or blob_storage().open_blob))

    def pieces(self, start: int, stop: int, open_blob: Open) -> Iterator[bytes]:
        at = max(bisect_right(self.starts, start) - 1, 0)
        while at < len(self.members) and self.starts[at] < stop:
            member, origin = self.members[at], self.starts[at]
            content = origin + local_size(member)
            if start < content:
                yield local_header(member)[max(start - origin, 0) : stop - origin]
            first, last = max(start - content, 0), min(stop - content, member.size)
            if first < last:
                yield from content_of(member, first, last, open_blob)
            at += 1
        if stop > self.directory_start:
            yield self.directory[max(start - self.directory_start, 0) : stop - self.directory_start]


def content_of(member: Member, first: int, last: int, open_blob: Open) -> Iterator[bytes]:
    with open_blob(member.key, first, last) as file:
        left = last - first
        while left:
            block = file.read(min(BLOCK, left))
            if not block:  # the rest would stand in wrong places
                raise StorageError(f"{member.key} is shorter than {member.size} bytes.")
            left -= len(block)
            yield block


def in_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes with small pieces joined: sending each piece costs the server a round of work."""
    waiting = bytearray()
    for piece in pieces:
        if len(piece) < SMALL:
            waiting += piece
        if len(piece) >= SMALL or len(waiting) >= SMALL:
            if waiting:
                yield bytes(waiting)
                waiting.clear()
            if len(piece) >= SMALL:
                yield piece
    if waiting:
        yield bytes(waiting)
