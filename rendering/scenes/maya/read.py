"""Opens a Maya scene and lets the reader of its format report to one collector."""

import mmap
from pathlib import Path
from typing import Any

from rendering.scenes.errors import SceneError
from rendering.scenes.maya import ascii as ma
from rendering.scenes.maya import binary as mb
from rendering.scenes.maya.facts import Facts


def read_scene(path: Path) -> dict[str, Any]:
    """What the scene at `path` is and names, in the fields of docs/engines.md.

    The format is told by the content, not by the name. Raises SceneError (not_a_scene, scene_truncated,
    scene_damaged, scene_too_large) and OSError.
    """
    if path.stat().st_size == 0:
        raise SceneError("not_a_scene", "the file is empty")
    facts = Facts()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if ma.is_ascii(content):
            ma.read(content, facts)
        elif mb.is_binary(content):
            mb.read(content, facts)
        else:
            raise SceneError("not_a_scene", "the file is neither a Maya ASCII nor a Maya binary scene")
    return facts.report()
