"""The Mayas on this machine: where they are, which release, and which renderers their `Render` knows."""

import functools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

RELEASE = re.compile(r"maya(\d{4}(?:\.\d+)?)", re.IGNORECASE)
DESCRIPTION = "Renderer.xml"
# `Render -r` also takes `file` (what the scene says) and renderers of films and vectors, which nobody asks a farm for.
OFFERED = ("arnold", "vray", "redshift", "sw", "hw2")


@dataclass(frozen=True)
class Installation:
    """One Maya; `descriptions` are folders besides its own where `Render` looks for renderers."""

    release: str
    folder: Path
    descriptions: tuple[Path, ...]

    @property
    def program(self) -> Path:
        return self.folder / "bin" / "Render"

    @functools.cached_property
    def renderers(self) -> list[str]:
        """`Render -r NAME` reads NAMERenderer.xml of bin/rendererDesc and of MAYA_RENDER_DESC_PATH."""
        found = {
            path.name.removesuffix(DESCRIPTION)
            for folder in (self.folder / "bin" / "rendererDesc", *self.descriptions)
            for path in folder.glob(f"*{DESCRIPTION}")
        }
        return [name for name in OFFERED if name in found]


def installations() -> list[Installation]:
    """The Mayas in the places of MAYA_LOCATIONS (patterns), by release; for each release the first place counts."""
    found: dict[str, Installation] = {}
    for folder in expanded(settings.MAYA_LOCATIONS):
        name = next((match[1] for part in reversed(folder.parts) if (match := RELEASE.match(part))), None)
        if name and os.access(folder / "bin" / "Render", os.X_OK):
            found.setdefault(name, Installation(name, folder, descriptions_for(name)))
    return [found[name] for name in sorted(found)]


def descriptions_for(release: str) -> tuple[Path, ...]:
    """Where plug-ins keep descriptions that they do not copy into Maya."""
    named = (pattern.replace("{version}", release) for pattern in settings.MAYA_RENDERER_DESCRIPTIONS)
    return tuple(expanded(named))


def expanded(patterns: Iterable[str]) -> list[Path]:
    """Folders that answer to absolute glob patterns, each pattern's in order of name."""
    found = []
    for pattern in (pattern for pattern in patterns if pattern.startswith("/")):
        relative = Path(pattern).relative_to("/")
        found += sorted(path for path in Path("/").glob(str(relative)) if path.is_dir())
    return found
