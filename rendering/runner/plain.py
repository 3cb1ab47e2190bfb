"""What programs print, without where things lie on this machine."""

import re
from collections.abc import Mapping
from pathlib import Path


class Places:
    """Folders and files of this machine, and what stands for each in a text that leaves it.

    A name that ends with a slash stands for the root of what others know by paths: "/scene.blend" instead of
    "/var/yuntu/node/7/scene.blend".
    """

    def __init__(self, names: Mapping[Path, str]) -> None:
        # Programs resolve links.
        self.names = {str(form): name for path, name in names.items() for form in (path.resolve(), path)}
        longest_first = sorted(self.names, key=len, reverse=True)
        self.pattern = re.compile(rf"({'|'.join(map(re.escape, longest_first))})(?!\w)(/?)")

    def plain(self, text: str) -> str:
        return self.pattern.sub(self.name_of, text)

    def name_of(self, found: re.Match[str]) -> str:
        name = self.names[found[1]]
        return name if name.endswith("/") else name + found[2]
