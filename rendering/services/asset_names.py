"""What a file name in a scene means: where in the drive the file may be, and which files the name stands for.

Scenes come from other machines. Blender writes a name relative to the scene as `//…`; everything else is absolute.
Maya writes names relative to a project, absolute ones, and absolute ones in which a double slash marks where the
project begins (`D:/show//sourceimages/wood.png`).
"""

import functools
import posixpath
import re
import unicodedata
from dataclasses import dataclass

from drives.paths import FORBIDDEN, MAX_NAME_BYTES, MAX_PATH_LENGTH, join

# Folders in which Maya looks for relative names, as its default projects lay them out.
RULES = ("sourceimages", "scenes", "assets", "cache/alembic", "cache/nCache", "cache", "data", "sound")
VARIABLE = re.compile(r"^(?:\$\{\w+\}|\$\w+|%\w+%)/?")
DRIVE_LETTER = re.compile(r"^[A-Za-z]:")
UDIM = re.compile(r"<udim>", re.IGNORECASE)
UV_TILE = re.compile(r"<(?:uvtile|tile)>", re.IGNORECASE)
TILE_NUMBER = re.compile(r"(?<!\d)1\d{3}(?!\d)")
TILE_PAIR = re.compile(r"u\d+_v\d+", re.IGNORECASE)
FRAME = re.compile(r"<f(?:rame)?(?:num)?\d*>|\$F\d*|%0?\d*d|#+", re.IGNORECASE)
NUMBERS = re.compile(r"[#\d]+")
# What takes the place of the number in a name.
DIGITS, TILE, PAIR = r"\d+", r"\d{4}", r"u\d+_v\d+"
CACHE_PARTS = r"(?:Frame\d+(?:Tick\d+)?)?\.(?:xml|mc|mcx)"


@dataclass(frozen=True)
class Project:
    """Where Maya looks: the folder of the project, and the folders in it that its rules name."""

    root: str
    rules: tuple[str, ...] = RULES


@dataclass(frozen=True)
class Naming:
    """How a scene in `folder` names files. Without a project, as Blender does."""

    folder: str
    project: Project | None = None

    def relative(self, named: str) -> str | None:
        """The part of a name that is relative to the scene (Blender) or to the project (Maya), or None."""
        if self.project is None:
            return named[2:] if named.startswith("//") else None
        if is_absolute(named):
            head, mark, rest = DRIVE_LETTER.sub("", named).lstrip("/").rpartition("//")
            return rest if head and mark else None
        return named

    def own_place(self, named: str) -> str | None:
        """Where the program finds the file without help, if the files are laid out as in the drive.

        None for a name from another machine, and for a path that climbs above the drive's root.
        """
        relative = self.relative(slashed(named))
        if relative is None:
            return None
        place = posixpath.normpath(join(self.project.root if self.project else self.folder, relative)[1:])
        names = place.split("/")
        is_safe = len(place) < MAX_PATH_LENGTH and not any(
            name in (".", "..") or FORBIDDEN.search(name) or len(name.encode()) > MAX_NAME_BYTES
            for name in names
        )
        return f"/{place}" if is_safe else None

    def is_relative(self, named: str) -> bool:
        """Whether the name is independent of the machine it comes from."""
        path = slashed(named)
        return self.relative(path) is not None and (self.project is None or not is_absolute(path))

    def folders(self, named: str) -> tuple[str, ...]:
        """Folders in which the file may be, the most likely one first.

        A relative name is looked for where the program would look. An absolute name is from another machine: the
        longest ending of it counts that exists below the scene's folder, the project or the root, tried in this
        order.
        """
        path = unicodedata.normalize("NFC", slashed(named))
        relative = self.relative(path)
        return folders_of(
            self, None if relative is None else posixpath.dirname(relative), posixpath.dirname(path)
        )

    def place_for(self, named: str) -> str:
        """Where a client should put the file so that it is found."""
        own = self.own_place(named)
        if own is not None:
            return own
        folder = self.folders(named)[0] if self.is_relative(named) else self.folder
        return join(folder, base_name(named))


@functools.lru_cache(maxsize=4096)
def folders_of(naming: Naming, relative: str | None, directory: str) -> tuple[str, ...]:
    """The folders for names in one directory: thousands of textures share a few."""
    project = naming.project
    found: list[str] = []
    if relative is not None:
        bases = [naming.folder]
        if project:
            bases = [project.root, naming.folder, *(join(project.root, rule) for rule in project.rules)]
        found += [posixpath.normpath(join(base, relative)) for base in bases]
    if relative is None or project:
        roots = [naming.folder, project.root, "/"] if project else [naming.folder, "/"]
        found += [join(root, ending) if ending else root for ending in endings(directory) for root in roots]
    return tuple(dict.fromkeys(found))


def slashed(named: str) -> str:
    return named.replace("\\", "/")


def base_name(named: str) -> str:
    """The last part of a name, in the form that names in drives have."""
    return posixpath.basename(unicodedata.normalize("NFC", slashed(named)).rstrip("/")) or "unnamed"


def is_absolute(path: str) -> bool:
    return path.startswith(("/", "$", "%")) or DRIVE_LETTER.match(path) is not None


def endings(directory: str) -> list[str]:
    """The endings of a folder on another machine, longest first, the empty one last; without drive letter and
    variables.
    """
    directory = VARIABLE.sub("", DRIVE_LETTER.sub("", directory))
    parts = [part for part in directory.split("/") if part not in ("", ".", "..")]
    return ["/".join(parts[start:]) for start in range(len(parts) + 1)]


def project_root(scene_folder: str) -> str:
    """The project of a scene by the convention of Maya's users: the folder above the nearest `scenes`."""
    parts = scene_folder.split("/")
    for index in range(len(parts) - 1, 0, -1):
        if parts[index].lower() == "scenes":
            return "/".join(parts[:index]) or "/"
    return scene_folder


@dataclass(frozen=True)
class Pattern:
    """The file names that a name stands for: `before`, a number that matches `number`, `after`.

    A plain name is all `before`. `token` is what the scene writes in place of the number.
    """

    before: str
    number: str = ""
    token: str = ""
    after: str = ""

    @property
    def name(self) -> str:
        """As a scene writes it."""
        return self.before + self.token + self.after

    @property
    def key(self) -> str | None:
        """What `key_of` gives for all of its names; None where they differ in that."""
        middle = {"": "", DIGITS: "#", TILE: "#", PAIR: "u#_v#"}.get(self.number)
        return None if middle is None else key_of(self.before + middle + self.after)

    def split(self, name: str) -> tuple[str, str, str] | None:
        """`name` in its three parts, compared without regard to case; None where it does not match."""
        start, end = len(self.before), len(name) - len(self.after)
        before, number, after = name[:start], name[start:end], name[end:]
        is_like = (
            start <= end
            and before.lower() == self.before.lower()
            and after.lower() == self.after.lower()
            and re.fullmatch(self.number, number, re.IGNORECASE)
        )
        return (before, number, after) if is_like else None


def key_of(name: str) -> str:
    """A name in lower case and without its numbers."""
    return NUMBERS.sub("#", name.lower())


def pattern_of(kind: str, name: str) -> Pattern:
    """The names that `name` stands for, for an asset of this kind."""
    if kind == "frame_cache":
        return Pattern(name.removesuffix(".xml"), CACHE_PARTS, ".xml")
    found, number = None, DIGITS
    if kind == "sequence":
        found = FRAME.search(name) or last(re.compile(DIGITS), name)
    elif kind == "udim":
        found, number = UDIM.search(name) or last(TILE_NUMBER, name), TILE
        if found is None:
            found, number = UV_TILE.search(name) or last(TILE_PAIR, name), PAIR
    if found is None:
        return Pattern(name)
    return Pattern(name[: found.start()], number, found[0], name[found.end() :])


def last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = list(pattern.finditer(text))
    return found[-1] if found else None
