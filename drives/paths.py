"""Paths at the door: one spelling for each place, nothing that climbs or confuses."""

import posixpath
import re
import unicodedata

from drives.errors import BadName

MAX_NAME_BYTES = 255
# Slashes, control characters (Cc), surrogates (Cs).
FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Devices of Windows, whatever the ending: a drive that holds one cannot be mounted or downloaded there whole.
DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"}
DEVICES |= {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
MAX_PATH_LENGTH = 1024
# A key of a PostgreSQL B-tree holds 2,704 bytes: the path with an id and, in the trash, a prefix; or with a name.
MAX_PATH_BYTES = 2400


def clean_name(name: str, *, field: str = "file_name") -> str:
    """`name` in Unicode normal form C. Raises BadName for what no file system should be given.

    Refused: empty, `.`, `..`, `/`, backslash, NUL and other control characters, surrogates, spaces at the ends, a
    dot at the end, devices of Windows (`CON`, `nul.txt`), more than 255 bytes of UTF-8.
    """
    clean = unicodedata.normalize("NFC", name)
    if not clean or clean != clean.strip() or clean.endswith(".") or FORBIDDEN.search(clean):
        raise BadName(field=field)
    if clean.partition(".")[0].rstrip().lower() in DEVICES:
        raise BadName(field=field)
    if len(clean.encode()) > MAX_NAME_BYTES:
        raise BadName(field=field)
    return clean


def clean_path(path: str, *, field: str = "path") -> str:
    """An absolute path inside a drive, `/a/b`, root `/`; doubled and missing slashes are forgiven, `..` is not."""
    names = [clean_name(name, field=field) for name in path.split("/") if name]
    clean = "/" + "/".join(names)
    check_path_size(len(clean), len(clean.encode()), field=field)
    return clean


def check_path_size(length: int, size: int, *, field: str = "path") -> None:
    """Raises BadName for a path of too many characters (`length`) or bytes of UTF-8 (`size`)."""
    if length > MAX_PATH_LENGTH or size > MAX_PATH_BYTES:
        raise BadName(field=field)


def join(folder: str, name: str) -> str:
    """The path of `name` in `folder`, both clean."""
    return f"{folder.rstrip('/')}/{name}"


def split(path: str) -> tuple[str, str]:
    """A clean path as (folder path, name)."""
    folder, name = posixpath.split(path)
    return folder, name


def with_ancestors(paths: set[str]) -> list[str]:
    """The paths and every folder above them, without the root, parents first."""
    found: set[str] = set()
    for path in paths:
        while path != "/" and path not in found:
            found.add(path)
            path = posixpath.dirname(path)
    return sorted(found, key=lambda item: (item.count("/"), item))
