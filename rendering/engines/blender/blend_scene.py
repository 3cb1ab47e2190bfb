"""What the scripts that run inside Blender share: arguments, failures, opening a scene, the files it names.

Runs in Blender's own Python and imports nothing of the platform. docs/engines.md holds the protocol.
"""

import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from glob import escape
from pathlib import Path
from typing import Any, NoReturn

import bpy

FAULT_OF_INPUT = 2  # exit codes: the scene or the request cannot be rendered as it is,
FAULT_OF_ENGINE = 3  # Blender or the machine failed; the same input may succeed elsewhere

MAGICS = (b"BLENDER", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # plain, gzip (to 2.93), Zstandard (from 3.0)
IMAGE_KINDS = {"FILE": "image", "SEQUENCE": "sequence", "MOVIE": "movie", "TILED": "udim"}
KINDS = {
    "Library": "library",
    "VectorFont": "font",
    "Sound": "sound",
    "Volume": "volume",
    "CacheFile": "cache",
    "Object": "simulation_cache",  # of modifiers and particle systems; named even where nothing was baked
    "Scene": "strip",  # of the sequencer
}
TEXTURE_KINDS = {"image", "sequence", "movie", "udim"}
OPTIONAL_KINDS = {"sound", "simulation_cache", "strip"}  # a still can be right without them


class SceneError(Exception):
    """A failure that the platform tells apart by `code`; `exit_code` says whose fault it is."""

    def __init__(self, code: str, message: str, exit_code: int = FAULT_OF_INPUT) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code


def say(line: str) -> None:
    """Write one whole line of the protocol at once; Blender's own threads write to the same pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(main: Callable[[list[str]], None]) -> NoReturn:
    """Call `main` with the script's arguments and end the process; a failure becomes the last line."""
    exit_code = 0
    try:
        # The blender binary hands scripts its whole command line; theirs follows "--".
        main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:])
    except SceneError as error:
        exit_code = error.exit_code
        say(f"yuntu_error: {error.code} {one_line(error)}")
    except MemoryError:
        exit_code = FAULT_OF_ENGINE
        say("yuntu_error: out_of_memory Blender ran out of memory")
    except Exception as error:
        traceback.print_exc()
        exit_code = FAULT_OF_ENGINE
        say(f"yuntu_error: engine_fault {type(error).__name__}: {one_line(error)}")
    # Blender's own way out prints after our last line and can crash after the work is done.
    shutil.rmtree(bpy.app.tempdir, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def one_line(error: object) -> str:
    return " ".join(str(error).split())


def open_scene(path: Path) -> Any:
    """Open the .blend at `path` and return its active scene.

    Scripts and Python drivers in the file stay off: it is a stranger's. Raises SceneError not_a_scene or
    scene_too_new; a file of an older Blender is converted in memory.
    """
    try:
        with path.open("rb") as file:
            header = file.read(17)
    except OSError as error:
        raise SceneError("not_a_scene", f"{path.name}: {error.strerror}") from error
    if not header.startswith(MAGICS):
        raise SceneError("not_a_scene", f"{path.name} is not a Blender scene")
    try:
        bpy.ops.wm.open_mainfile(filepath=str(path.absolute()), load_ui=False, use_scripts=False)
    except RuntimeError as error:
        # Blender 5 changed the header, so that an older one cannot tell a newer scene from noise.
        has_new_header = header.startswith(b"BLENDER17-") and bpy.app.version < (5, 0, 0)
        if has_new_header or "newer version" in str(error):
            message = f"needs a newer Blender than {bpy.app.version_string}"
            raise SceneError("scene_too_new", message) from error
        reason = one_line(error).rsplit(": ", 1)[-1]  # what precedes it names folders of this machine
        raise SceneError("not_a_scene", f"{path.name} cannot be read: {reason}") from error
    if tuple(bpy.data.version[:2]) > bpy.app.version[:2]:
        saved = ".".join(map(str, bpy.data.version[:2]))
        raise SceneError("scene_too_new", f"saved by Blender {saved}, this is {bpy.app.version_string}")
    return bpy.context.scene


def named_files() -> list[tuple[Any, str]]:
    """Every (datablock, path as it is named there) that is external and not packed, in a stable order."""
    found: list[tuple[Any, str]] = []
    visit_paths(lambda owner, path: found.append((owner, path)))
    return sorted(found, key=lambda item: (item[1], item[0].bl_rna.identifier, item[0].name_full))


def visit_paths(visit: Callable[[Any, str], str | None]) -> None:
    """Call `visit(datablock, path)` for each external path; a string that it returns replaces the path."""
    if hasattr(bpy.data, "file_path_foreach"):
        bpy.data.file_path_foreach(
            lambda owner, path, _: visit(owner, path) if is_input(owner, path) else None,
            flags={"SKIP_PACKED", "SKIP_WEAK_REFERENCES"},
        )
        return
    for owner in owners_before_5():
        if is_input(owner, owner.filepath) and (new := visit(owner, owner.filepath)):
            owner.filepath = new


def owners_before_5() -> Iterator[Any]:
    """Datablocks with a path, for Blenders that cannot list them: without modifiers' caches and strips."""
    data = bpy.data
    for blocks in (data.images, data.libraries, data.fonts, data.sounds, data.movieclips, data.volumes):
        yield from (owner for owner in blocks if not getattr(owner, "packed_file", None))
    yield from data.cache_files


def is_input(owner: Any, path: str) -> bool:
    """False for what a render does not read: the built-in font, render results, texts kept on a disk."""
    if isinstance(owner, bpy.types.Image):
        return owner.source in IMAGE_KINDS and bool(path)
    if isinstance(owner, bpy.types.Library):
        # Archives are packed into this file, from Blender 5.0 on.
        return not getattr(owner, "is_archive", False) and bundled_library(path) is None
    return path not in ("", "<builtin>") and not isinstance(owner, bpy.types.Text)


def bundled_library(path: str) -> str | None:
    """Where this Blender keeps the library named `path`, if it is one that Blenders bring along, else None.

    Scenes name brushes and hair nodes by the folder where the artist's Blender was installed.
    """
    _, bundled, rest = path.replace("\\", "/").rpartition("/datafiles/assets/")
    if not bundled:
        return None
    ours = Path(bpy.utils.system_resource("DATAFILES")) / "assets" / rest
    return str(ours) if ours.exists() else None


def kind_of(owner: Any) -> str:
    """The kind of file that `owner` names, in the words of docs/engines.md."""
    if isinstance(owner, bpy.types.Image):
        return IMAGE_KINDS[owner.source]
    if isinstance(owner, bpy.types.MovieClip):
        return "sequence" if owner.source == "SEQUENCE" else "movie"
    return KINDS.get(owner.bl_rna.identifier, "other")


def users_of(owners: list[Any]) -> dict[Any, list[str]]:
    """Names of the datablocks that use each owner; a library's are those linked from it."""
    used_by = bpy.data.user_map(subset=owners)
    users = {owner: sorted(user.name for user in used_by[owner]) for owner in owners}
    for owner in owners:
        if isinstance(owner, bpy.types.Library):
            users[owner] = sorted(linked.name for linked in owner.users_id)
        elif not isinstance(owner, (bpy.types.Image, bpy.types.VectorFont)) and not users.get(owner):
            users[owner] = [owner.name]  # objects, node trees and the like are in use themselves
    return users


def is_missing(owner: Any, path: str) -> bool:
    """True where no file on this machine answers to `path`; of a sequence one frame is enough."""
    if path.startswith("//"):
        base = owner.library.filepath if owner.library else bpy.data.filepath
        file = Path(bpy.path.abspath(base)).parent / path[2:].replace("\\", "/")
    else:
        file = Path(path)
    kind = kind_of(owner)
    if kind == "udim" and "<UDIM>" in file.name:
        tiles = (file.name.replace("<UDIM>", str(tile.number)) for tile in owner.tiles)
        return not all(file.with_name(name).exists() for name in tiles)
    if kind == "udim":
        return not any(file.parent.glob(escape(file.name).replace("<UVTILE>", "u*_v*")))
    if kind == "sequence":
        return not any(file.parent.glob(re.sub(r"[0-9]+(?=[^0-9]*$)", "[0-9]*", escape(file.name))))
    return not file.exists()
