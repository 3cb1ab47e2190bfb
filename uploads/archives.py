"""ZIP archives that are made as they are read: stored members of known size and CRC-32, ZIP64 where it takes that.

Format: PKWARE APPNOTE.TXT 6.3.10, §4.3 to §4.5. Sizes and checksums are known beforehand (`drives.models.Blob`), so
nothing is buffered and the length of the whole is told before the first byte.
"""

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from django.utils import timezone

BLOCK = 1 << 20
# What does not fit into the fields of the old format is said in those of ZIP64; the old ones are all ones then.
LIMIT_16, LIMIT_32 = FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF
LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END_64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR_64 = struct.Struct("<4sIQI")
END = struct.Struct("<4s4H2IH")
UTF8_NAMES = 0x800
UNIX_FILE = 0o100644 << 16
# Where archives are unpacked on Windows these mean something else.
UNUSUAL = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f]')


@dataclass(frozen=True)
class Member:
    """A file of the archive: its path, size in bytes, CRC-32, and how to open its content."""

    name: str
    size: int
    crc32: int
    modified_at: datetime
    open: Callable[[], AbstractContextManager[BinaryIO]]


def member_names(paths: list[str]) -> list[str]:
    """Paths inside an archive: relative, without climbing, without characters that Windows forbids, no two alike."""
    used: set[str] = set()
    names = []
    for path in paths:
        parts = [UNUSUAL.sub("_", part) for part in path.split("/") if part]
        plain = "/".join("_" if set(part) == {"."} else part for part in parts) or "_"
        stem, dot, ending = plain.rpartition(".")
        if not stem or "/" in ending or stem.endswith("/"):
            stem, dot, ending = plain, "", ""
        name, number = plain, 2
        while name.casefold() in used:
            name, number = f"{stem} ({number}){dot}{ending}", number + 1
        used.add(name.casefold())
        names.append(name)
    return names


def short(number: int) -> int:
    return FULL_32 if number >= LIMIT_32 else number


def extra_64(*numbers: int) -> bytes:
    """The ZIP64 field for those of `numbers` that do not fit into the old ones (§4.5.3)."""
    large = [number for number in numbers if number >= LIMIT_32]
    return struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""


def dos_time(moment: datetime) -> tuple[int, int]:
    local = timezone.localtime(moment)
    date = (max(local.year, 1980) - 1980) << 9 | local.month << 5 | local.day
    return local.hour << 11 | local.minute << 5 | local.second // 2, date


def local_header(member: Member) -> bytes:
    name, (time, date) = member.name.encode(), dos_time(member.modified_at)
    # In a local header ZIP64 holds both sizes or none.
    extra = extra_64(member.size, member.size)
    size = short(member.size)
    fixed = LOCAL.pack(
        b"PK\3\4",
        45 if extra else 20,
        UTF8_NAMES,
        0,
        time,
        date,
        member.crc32,
        size,
        size,
        len(name),
        len(extra),
    )
    return fixed + name + extra


def central_header(member: Member, offset: int) -> bytes:
    name, (time, date) = member.name.encode(), dos_time(member.modified_at)
    extra = extra_64(member.size, member.size, offset)
    size, version = short(member.size), 45 if extra else 20
    fixed = CENTRAL.pack(
        b"PK\1\2", 3 << 8 | version, version, UTF8_NAMES, 0, time, date, member.crc32, size, size, len(name),
        len(extra), 0, 0, 0, UNIX_FILE, short(offset),
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


class Archive:
    """A ZIP of `members`; `size` is its length in bytes, `chunks()` its content."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members
        self.directory = bytearray()
        offset = 0
        for member in members:
            self.directory += central_header(member, offset)
            offset += len(local_header(member)) + member.size
        self.end = end_records(len(members), len(self.directory), offset)
        self.size = offset + len(self.directory) + len(self.end)

    def chunks(self) -> Iterator[bytes]:
        for member in self.members:
            yield local_header(member)
            with member.open() as file:
                while block := file.read(BLOCK):
                    yield block
        yield bytes(self.directory)
        yield self.end
