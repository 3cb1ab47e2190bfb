"""Arnold: its program `kick` on scenes of its own (.ass).

Flags: `kick --help`; https://help.autodesk.com/view/ARNOL/ENU/ (Arnold User Guide).
"""

import functools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

from rendering.engines.base import Engine, RenderSpec
from rendering.engines.driven.log_lines import PROGRESS, error_lines
from rendering.engines.driven.plan import Command, write_plan
from rendering.engines.environment import passed_on
from rendering.engines.maya import paths
from rendering.engines.maya.installation import expanded

READER = Path(__file__).resolve().with_name("read_ass.py")
FORMATS = {"PNG": "png", "JPEG": "jpg", "JPG": "jpg", "EXR": "exr", "OPEN_EXR": "exr", "TIFF": "tif"}
FRAME_IN_NAME = re.compile(r"(\d+)(?=\.ass(?:\.gz)?$)")


@functools.cache
def version_of(program: Path, modified_at: float) -> str | None:
    """What `kick -av` says: "Arnold 7.3.2.0 [...] linux ...". Asked once for every file."""
    try:
        answer = subprocess.run([program, "-av"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"Arnold (\d+(?:\.\d+)+)", answer.stdout)
    return found[1] if found else None


class ArnoldEngine(Engine):
    name = "arnold"
    suffixes = (".ass", ".ass.gz")
    inspects_anywhere = True

    def programs(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in expanded(settings.ARNOLD_LOCATIONS):
            program = folder / "bin" / "kick"
            if program.is_file() and (version := version_of(program, program.stat().st_mtime)):
                found.setdefault(version, program)
        return found

    def versions(self) -> dict[str, list[str]]:
        return {version: ["arnold"] for version in sorted(self.programs())}

    def looks_like_scene(self, head: bytes) -> bool:
        # Text, which may begin with anything, or gzip.
        return head.startswith(b"\x1f\x8b") or b"\0" not in head

    def inspect_command(self, scene: Path, report: Path) -> list[str]:
        return [sys.executable, "-S", "-E", str(READER), str(scene), str(report)]

    def companions(self, scene_name: str) -> list[dict[str, Any]]:
        if not FRAME_IN_NAME.search(scene_name):
            return []
        return [
            {"path": f"//{scene_name}", "kind": "sequence", "packed": False, "users": [], "required": True}
        ]

    def render_command(self, spec: RenderSpec, work_folder: Path) -> list[str]:
        programs = self.programs()
        version = self.version_for(spec.version) or self.version_for("")
        commands, refusal = [], None
        if version is None:
            refusal = ("engine_fault", "no Arnold is installed on this machine")
        else:
            scenes = {number: scene_of(spec.scene, number) for number in spec.frames}
            if len(spec.frames) == 1 and not scenes[spec.frames[0]].is_file():
                scenes = {spec.frames[0]: spec.scene}
            if lost := sorted({scene.name for scene in scenes.values() if not scene.is_file()}):
                refusal = ("missing_other", json.dumps(lost, ensure_ascii=False))
            elif len(scenes) > len(set(scenes.values())):
                refusal = ("bad_request", f"{spec.scene.name} holds one frame")
            elif spec.camera and not paths.is_plain_name(spec.camera):
                refusal = ("no_camera", spec.camera)
            else:
                commands = [
                    Command(command_line(spec, programs[version], scene, number), [number])
                    for number, scene in scenes.items()
                ]
        return write_plan(
            work_folder,
            commands=commands,
            output_folder=spec.output_folder,
            progress=PROGRESS,
            errors=error_lines(allow_missing=spec.allow_missing),
            refusal=refusal,
        )

    def environment(self, spec: RenderSpec, work_folder: Path) -> dict[str, str]:
        path_map = work_folder / "arnold_pathmap.json"
        path_map.write_text(paths.arnold_path_map(paths.folder_map(spec.remap, work_folder)), "utf-8")
        return {**passed_on(), "ARNOLD_FORCE_ABORT_ON_LICENSE_FAIL": "1", "ARNOLD_PATHMAP": str(path_map)}


def scene_of(scene: Path, number: int) -> Path:
    """The file that holds a frame: the scene's neighbour with that number in its name, or the scene itself."""
    match = FRAME_IN_NAME.search(scene.name)
    if match is None:
        return scene
    return scene.with_name(
        f"{scene.name[: match.start()]}{number:0{len(match[1])}d}{scene.name[match.end() :]}"
    )


def command_line(spec: RenderSpec, program: Path, scene: Path, number: int) -> list[str]:
    file_format = FORMATS.get(spec.output_format.upper(), "exr")
    stem = (
        FRAME_IN_NAME.sub("", spec.scene.name).removesuffix(".gz").removesuffix(".ass").rstrip("._")
        or "frame"
    )
    output = spec.output_folder / f"{stem}.{'-' if number < 0 else ''}{abs(number):04d}.{file_format}"
    wishes = ["-i", str(scene), "-o", str(output), "-of", file_format, "-dw", "-dp", "-nokeypress", "-v", "5"]
    if spec.width and spec.height:
        wishes += ["-r", str(spec.width), str(spec.height)]
    if spec.camera:
        wishes += ["-c", spec.camera]
    if spec.threads:
        wishes += ["-t", str(spec.threads)]
    return [str(program), "-nostdin", *wishes, "-set", "options.abort_on_license_fail", "on"]
