"""What an artist decides about names in a scene: where the file is in the drive, or that it is not needed."""

import posixpath
from dataclasses import dataclass

from drives.paths import join
from rendering.services.asset_names import slashed


@dataclass(frozen=True)
class Choice:
    """`path` is None for a file that is not needed; `key` is the name or folder for which the choice was made."""

    key: str
    path: str | None


class Choices:
    """Choices by name, or, where a key ends with a slash, for all names below a folder of the artist's machine.

    A choice for the name itself takes precedence over one for a folder, a deeper folder over one above it. Folders
    are compared without regard to case and kind of slash.
    """

    def __init__(self, choices: dict[str, str | None]) -> None:
        self.names = choices
        self.folders = {slashed(key).lower(): key for key in choices if is_folder(key)}

    def of(self, named: str) -> Choice | None:
        """The choice for a name, or None where there is none."""
        if named in self.names:
            return Choice(named, self.names[named])
        if not self.folders:
            return None
        path = slashed(named)
        end = len(path)
        while (end := path.rfind("/", 0, end)) >= 0:
            if key := self.folders.get(path[: end + 1].lower()):
                target = self.names[key]
                return Choice(key, target and posixpath.normpath(join(target, path[end + 1 :].lstrip("/"))))
        return None


def is_folder(key: str) -> bool:
    return key.endswith(("/", "\\"))
