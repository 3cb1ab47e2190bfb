"""Say what an Arnold scene is and which files it needs: read_ass.py SCENE.ass OUT.json

Arnold Scene Source is text, maybe packed by gzip: nodes, each a type, a brace, a parameter a line, a brace. Only the
few parameters that a farm asks for are read. Needs only Python.
"""

import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterator
from typing import Any

MAX_SIZE = 1 << 32  # bytes of text; a stranger's gzip may say much with little
MAX_ASSETS = 20_000
BEGIN = re.compile(r"([A-Za-z_]\w*)\s*\{?")
WANTED = {"camera", "filename", "frame", "name", "xres", "yres"}
FILES = {"alembic": "cache", "image": "image", "procedural": "other", "usd": "cache", "volume": "volume"}


class NotAScene(Exception):
    pass


def lines_of(path: str) -> Iterator[str]:
    """Raises NotAScene for what is no text, or too much of it."""
    with open(path, "rb") as file:  # noqa: PTH123
        stream: Any = gzip.open(file) if file.read(2) == b"\x1f\x8b" else file  # noqa: SIM115
        file.seek(0)
        total = 0
        while line := stream.readline(1 << 20):
            total += len(line)
            if total > MAX_SIZE or b"\0" in line:
                raise NotAScene("the file is not an Arnold scene as text")
            yield line.decode("utf-8", "replace").strip()


def nodes_of(path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each node's type and the parameters that are wanted; a file that is included comes as a node, too."""
    node = ""
    values: dict[str, str] = {}
    for line in lines_of(path):
        if node and line == "}":
            yield node, values
            node = ""
        elif node:
            key, _space, value = line.partition(" ")
            if key in WANTED:
                values.setdefault(key, value.strip().strip('"'))
        elif begin := BEGIN.fullmatch(line):
            node, values = begin[1], {}
        elif line.startswith("include "):
            yield "procedural", {"filename": line.removeprefix("include ").strip().strip('"')}


def describe(path: str) -> dict[str, Any]:
    """Raises NotAScene, OSError, EOFError, ValueError, zlib.error."""
    options: dict[str, str] = {}
    cameras: list[str] = []
    formats: list[str] = []
    assets: dict[tuple[str, str], dict[str, Any]] = {}
    is_empty = True
    for node, values in nodes_of(path):
        is_empty = False
        if node == "options":
            options = values
        elif node.endswith("_camera") and "name" in values:
            cameras.append(values["name"])
        elif node.startswith("driver_"):
            formats.append(node.removeprefix("driver_").upper())
        elif node in FILES and values.get("filename") and len(assets) < MAX_ASSETS:
            add_asset(assets, values["filename"], FILES[node], values.get("name", ""))
    if is_empty:
        raise NotAScene("the file holds no node of Arnold")
    frame = int(float(options.get("frame", 1)))
    return {
        "scene": "", "renderer": "arnold", "frame_start": frame, "frame_end": frame, "frame_step": 1,
        "width": int(options.get("xres", 320)), "height": int(options.get("yres", 240)), "fps": None,
        "cameras": sorted(cameras), "active_camera": options.get("camera"),
        "output_format": formats[0] if formats else "EXR", "assets": [assets[key] for key in sorted(assets)],
    }  # fmt: skip


def add_asset(assets: dict[tuple[str, str], dict[str, Any]], path: str, kind: str, user: str) -> None:
    if "<udim>" in path.lower():
        kind, path = "udim", re.sub("<udim>", "<UDIM>", path, flags=re.IGNORECASE)
    new = {"path": path, "kind": kind, "packed": False, "users": [], "required": True}
    asset = assets.setdefault((path, kind), new)
    if user and user not in asset["users"]:
        asset["users"].append(user)


def main(path: str, out: str) -> int:
    try:
        report = describe(path)
    except (NotAScene, OSError, EOFError, ValueError, zlib.error) as error:
        reason = str(error) if isinstance(error, NotAScene) else "the file is broken"
        print(f"yuntu_error: not_a_scene {reason}")  # noqa: T201
        return 2
    with open(out, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(report, file, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
