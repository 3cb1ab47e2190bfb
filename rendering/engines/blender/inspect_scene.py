"""Say what a Blender scene is and which files it needs: inspect_scene.py SCENE OUT.json

Runs nothing that the scene brings along and writes one JSON object; docs/engines.md lists its fields. A file
that cannot be opened ends with a last line `yuntu_error: CODE message` and exit code 2.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # the blender binary does not add it

import blend_scene
import bpy


def main(arguments: list[str]) -> None:
    if len(arguments) != 2:
        raise blend_scene.SceneError("bad_request", "usage: inspect_scene.py SCENE OUT.json")
    path, out = map(Path, arguments)
    report = describe(blend_scene.open_scene(path))
    out.write_text(json.dumps(report, ensure_ascii=False, indent=1), encoding="utf-8")


def describe(scene: Any) -> dict[str, Any]:
    """The facts of the open file and its active scene; sizes in pixels after the resolution percentage."""
    render = scene.render
    return {
        "blender_version": list(bpy.data.version),
        "engine_version": list(bpy.app.version),
        "scene": scene.name,
        "renderer": render.engine,
        "frame_start": scene.frame_start,
        "frame_end": scene.frame_end,
        "frame_step": scene.frame_step,
        "width": render.resolution_x * render.resolution_percentage // 100,
        "height": render.resolution_y * render.resolution_percentage // 100,
        "fps": round(render.fps / render.fps_base, 6),
        "cameras": sorted(item.name for item in scene.objects if item.type == "CAMERA"),
        "active_camera": scene.camera.name if scene.camera else None,
        "output_format": render.image_settings.file_format,
        "assets": assets(),
    }


def assets() -> list[dict[str, Any]]:
    """The external files that this file names itself, not those of its libraries: one a path and kind."""
    named = [(owner, path) for owner, path in blend_scene.named_files() if is_own(owner)]
    users = blend_scene.users_of([owner for owner, _ in named])
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for owner, path in named:
        kind = blend_scene.kind_of(owner)
        asset = found.setdefault((path, kind), {"path": path, "kind": kind, "packed": False, "users": []})
        asset["users"] = sorted({*asset["users"], *users.get(owner, [])})
    for asset in found.values():
        asset["required"] = bool(asset["users"]) and asset["kind"] not in blend_scene.OPTIONAL_KINDS
    return list(found.values())


def is_own(owner: Any) -> bool:
    if isinstance(owner, bpy.types.Library):
        return owner.parent is None
    return owner.library is None


if __name__ == "__main__":
    blend_scene.run(main)
