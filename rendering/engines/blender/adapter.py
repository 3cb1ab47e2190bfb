"""Blender: the bpy module in an environment of its own, or a `blender` binary (setting BLENDER_BINARY)."""

import functools
import json
import re
import subprocess
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from rendering.engines.base import Failure, Line, RenderSpec

SCRIPTS = Path(__file__).resolve().parent
EXIT_SCENE = 2
# What does not look exactly so was printed by somebody else, and is log.
PROGRESS = re.compile(r"openjd_progress: (\d+(?:\.\d+)?)")
FRAME = re.compile(r"yuntu_frame: (-?\d+) (/.+)")
# uncompressed, gzip (before 3.0), zstd (since)
MAGIC = (b"BLENDER", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
FORMATS = {
    "PNG": "PNG",
    "JPEG": "JPEG",
    "JPG": "JPEG",
    "EXR": "OPEN_EXR",
    "OPEN_EXR": "OPEN_EXR",
    "TIFF": "TIFF",
}


class BlenderEngine:
    name = "blender"
    suffixes: tuple[str, ...] = (".blend",)

    @functools.cached_property
    def python(self) -> Path:
        return Path(settings.ENGINES_DIR) / "blender" / "bin" / "python"

    def version(self) -> str | None:
        if settings.BLENDER_BINARY:
            return self.binary_version()
        environment = self.python.parent.parent
        if not (environment / ".installed").exists():
            return None
        found = sorted(environment.glob("lib/python*/site-packages/bpy-*.dist-info"))
        return found[-1].name.removeprefix("bpy-").removesuffix(".dist-info") if found else None

    @functools.cache  # noqa: B019  (one engine lives as long as the process)
    def binary_version(self) -> str | None:
        try:
            command = [settings.BLENDER_BINARY, "--version"]
            answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        words = answer.stdout.split()
        return words[1] if words[:1] == ["Blender"] else None

    def looks_like_scene(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def command(self, script: str, *arguments: str) -> list[str]:
        path = str(SCRIPTS / script)
        if settings.BLENDER_BINARY:
            binary = [
                settings.BLENDER_BINARY,
                "-b",
                "--factory-startup",
                "-noaudio",
                "--python-exit-code",
                "3",
            ]
            return [*binary, "-P", path, "--", *arguments]
        return [str(self.python), "-u", path, *arguments]

    def inspect_command(self, scene: Path, report: Path) -> list[str]:
        return self.command("inspect_scene.py", str(scene), str(report))

    def render_command(self, spec: RenderSpec, work_folder: Path) -> list[str]:
        body = {
            "scene": str(spec.scene),
            "frames": spec.frames,
            "output_pattern": str(spec.output_folder / "####"),
            "width": spec.width,
            "height": spec.height,
            "format": FORMATS.get(spec.output_format.upper()) if spec.output_format else None,
            "camera": spec.camera or None,
            "renderer": spec.renderer or None,
            "allow_missing": spec.allow_missing,
            "remap": spec.remap,
            "samples": spec.options.get("samples"),
        }
        path = work_folder / "spec.json"
        path.write_text(json.dumps({key: value for key, value in body.items() if value is not None}), "utf-8")
        return self.command("render_frames.py", str(path))

    def read_line(self, line: str) -> Line | None:
        if progress := PROGRESS.fullmatch(line):
            return Line(progress=min(float(progress[1]), 100))
        if frame := FRAME.fullmatch(line):
            return Line(frame=(int(frame[1]), Path(frame[2])))
        name, _colon, rest = line.partition(": ")
        if name == "openjd_status":
            return Line(status=rest)
        if name == "yuntu_error":
            code, _space, message = rest.partition(" ")
            return Line(error=(code, message))
        return None

    def failure(self, exit_code: int, error: tuple[str, str] | None) -> Failure:
        if error is not None:
            code, message = error
            if code.startswith("missing_"):
                message = _("Missing: %(paths)s") % {"paths": listed(message)}
            return Failure(code, message or code, is_permanent=exit_code == EXIT_SCENE)
        if exit_code in (-9, 137):
            return Failure("killed", _("Blender was killed, most likely for lack of memory."))
        if exit_code < 0:
            return Failure("crashed", _("Blender crashed (signal %(number)s).") % {"number": -exit_code})
        return Failure("engine_failed", _("Blender ended with code %(number)s.") % {"number": exit_code})


def listed(text: str) -> str:
    """The paths of a JSON list, for people."""
    try:
        return ", ".join(map(str, json.loads(text)))
    except ValueError:
        return text
