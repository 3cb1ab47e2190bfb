"""Names of files that a scene brings from another machine, and the local folders that stand for theirs."""

import json
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

PROJECT_FILE = "workspace.mel"


def folder_map(remap: Mapping[str, str], work_folder: Path) -> dict[str, str]:
    """The folders that the scene names, longest first, each with the local folder that stands for it.

    Maya maps folders, not files. Where the files of a folder lie together under their own names, that place is used.
    Otherwise a folder of links is made: one for every file beside them (tiles and sequences are named by one of their
    files), and one under each name that the scene spells differently.
    """
    named: dict[str, dict[str, Path]] = {}
    for name, path in remap.items():
        folder, _slash, base = name.replace("\\", "/").rpartition("/")
        # What is named relative to the project leads there by itself.
        if folder and (folder.startswith(("/", "$")) or re.match(r"[A-Za-z]:", folder)):
            named.setdefault(folder, {})[base] = Path(path)
    found = {}
    for number, (folder, files) in enumerate(sorted(named.items())):
        places = {path.parent for path in files.values()}
        if len(places) == 1 and all(path.name == base for base, path in files.items()):
            found[folder] = str(places.pop())
        else:
            found[folder] = str(linked(work_folder / "mapped" / str(number), files))
    return dict(sorted(found.items(), key=lambda item: (-len(item[0]), item[0])))


def linked(folder: Path, files: Mapping[str, Path]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for place in sorted({path.parent for path in files.values()}):
        for neighbour in sorted(place.iterdir()):
            if neighbour.is_file() and not (folder / neighbour.name).exists():
                (folder / neighbour.name).symlink_to(neighbour)
    for base, path in files.items():
        link = folder / base
        if path.exists() and (not link.exists() or link.resolve() != path.resolve()):
            link.unlink(missing_ok=True)
            link.symlink_to(path)
    return folder


def setup_script(folders: Mapping[str, str]) -> str:
    """A userSetup.mel that maps folders before the scene is opened.

    `dirmap` stands in Maya's Tech Docs (Commands/dirmap); that userSetup.mel runs first, in its help (Scripting).
    """
    if not folders:
        return ""
    lines = [f"dirmap -m {quoted(named)} {quoted(here)};" for named, here in folders.items()]
    return "\n".join(["dirmap -en true;", *lines, ""])


def quoted(text: str) -> str:
    """A string of MEL. The names are a stranger's: nothing in one may end it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(letter for letter in escaped if letter.isprintable()) + '"'


def arnold_path_map(folders: Mapping[str, str]) -> str:
    """The same for what Arnold opens itself (procedurals, volumes): the file that ARNOLD_PATHMAP names.

    https://arnoldsupport.com/tag/path-mapping/
    """
    return json.dumps({"linux": dict(folders)}, ensure_ascii=False)


def project_of(scene: Path, root: Path) -> Path:
    """The Maya project of a scene below `root`: the nearest folder above it with a workspace.mel, else the one whose
    folder `scenes` it lies in, else its own.
    """
    above = [folder for folder in scene.parents if folder == root or root in folder.parents]
    for folder in above:
        if (folder / PROJECT_FILE).is_file():
            return folder
    return next(
        (folder.parent for folder in above if folder.name.lower() == "scenes" and folder != root),
        scene.parent,
    )


def is_plain_name(text: str) -> bool:
    """Whether a name from a request may stand in a command: of a camera, a layer, with their namespaces."""
    return bool(re.fullmatch(r"[\w:|]+", text)) and posixpath.basename(text) == text
