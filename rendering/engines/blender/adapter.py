"""Blender: the bpy module in an environment of its own, or a `blender` binary (setting BLENDER_BINARY)."""

import functools
import json
import subprocess
from pathlib import Path

from django.conf import settings

from rendering.engines.base import Engine, RenderSpec

SCRIPTS = Path(__file__).resolve().parent
# uncompressed, gzip (before 3.0), zstd (since)
MAGIC = (b"BLENDER", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
RENDERERS = ["CYCLES", "BLENDER_EEVEE", "BLENDER_WORKBENCH"]
FORMATS = {
    "PNG": "PNG",
    "JPEG": "JPEG",
    "JPG": "JPEG",
    "EXR": "OPEN_EXR",
    "OPEN_EXR": "OPEN_EXR",
    "TIFF": "TIFF",
}


class BlenderEngine(Engine):
    name = "blender"
    suffixes = (".blend",)

    @functools.cached_property
    def python(self) -> Path:
        return Path(settings.ENGINES_DIR) / "blender" / "bin" / "python"

    def versions(self) -> dict[str, list[str]]:
        version = self.installed_version()
        return {version: RENDERERS} if version else {}

    def installed_version(self) -> str | None:
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
            "layer": spec.layer or None,
            "renderer": renderer_named(spec.renderer) or None,
            "threads": spec.threads,
            "allow_missing": spec.allow_missing,
            "remap": spec.remap,
            "samples": spec.options.get("samples"),
        }
        path = work_folder / "spec.json"
        path.write_text(json.dumps({key: value for key, value in body.items() if value is not None}), "utf-8")
        return self.command("render_frames.py", str(path))


def renderer_named(text: str) -> str:
    """Blender's own name of a renderer: people say Cycles, EEVEE or Workbench."""
    name = text.strip().upper()
    return f"BLENDER_{name}" if name in ("EEVEE", "WORKBENCH", "EEVEE_NEXT") else name
