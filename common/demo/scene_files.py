"""Where on this machine the files lie that a scene names."""

import posixpath
import re
from pathlib import Path
from typing import Any

from common.demo.client import LocalFile


def local_files_of(asset: dict[str, Any], scene: Path) -> list[LocalFile]:
    """The local files of a missing asset, each with its place in the drive; empty where there are none.

    Looked for where the scene says, and beside the scene. Tiles (UDIM) and numbered sequences are expanded.
    """
    named = asset["path"].replace("\\", "/")
    base = posixpath.basename(named)
    owner = scene.parent / posixpath.relpath(posixpath.dirname(asset["named_by"]), f"/projects/{scene.stem}")
    places = [owner / named[2:]] if named.startswith("//") else [Path(named), owner / base]
    pattern = name_pattern(asset["kind"], base)
    folder = posixpath.dirname(asset["expected_path"])
    for place in places:
        if place.parent.is_dir():
            found = sorted(
                path for path in place.parent.iterdir() if pattern.fullmatch(path.name) and path.is_file()
            )
            if found:
                return [LocalFile(path.resolve(), folder) for path in found]
    return []


def name_pattern(kind: str, base: str) -> re.Pattern[str]:
    if kind == "udim":
        return re.compile(re.escape(base).replace(re.escape("<UDIM>"), r"\d{4}"))
    digits = list(re.finditer(r"\d+", base)) if kind == "sequence" else []
    if digits:
        start, end = digits[-1].span()
        return re.compile(re.escape(base[:start]) + r"\d+" + re.escape(base[end:]))
    return re.compile(re.escape(base))
