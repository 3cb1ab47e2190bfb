"""Blender: the bpy module in an environment of its own, and `blender` binaries (setting BLENDER_BINARIES)."""

import functools
import json
import subprocess
from pathlib import Path

from django.conf import settings

from rendering.engines.base import Engine, RenderSpec, numbers_of

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


@functools.cache
def version_of(binary: str) -> str | None:
    """What `blender --version` says; asked once."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    words = answer.stdout.split()
    return words[1] if words[:1] == ["Blender"] else None


def version_of_module(environment: Path) -> str | None:
    """The version of bpy in an environment that was installed to its end."""
    if not (environment / ".installed").exists():
        return None
    found = sorted(environment.glob("lib/python*/site-packages/bpy-*.dist-info"))
    return found[-1].name.removeprefix("bpy-").removesuffix(".dist-info") if found else None


class BlenderEngine(Engine):
    name = "blender"
    suffixes = (".blend",)

    @functools.cached_property
    def python(self) -> Path:
        return Path(settings.ENGINES_DIR) / "blender" / "bin" / "python"

    def programs(self) -> dict[str, str]:
        """Versions and what runs their scripts: the Python of the module, or a binary."""
        found: dict[str, str] = {}
        if module := version_of_module(self.python.parent.parent):
            found[module] = str(self.python)
        for binary in settings.BLENDER_BINARIES:
            if version := version_of(binary):
                found[version] = binary
        return dict(sorted(found.items(), key=lambda item: numbers_of(item[0])))

    def versions(self) -> dict[str, list[str]]:
        return dict.fromkeys(self.programs(), RENDERERS)

    def looks_like_scene(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def command(self, script: str, *arguments: str, wanted: str = "") -> list[str]:
        """A script of ours in the Blender that serves a version, else in the latest."""
        version = self.version_for(wanted) or self.version_for("")
        program = self.programs()[version] if version else str(self.python)
        path = str(SCRIPTS / script)
        if program == str(self.python):
            return [program, "-u", path, *arguments]
        options = ["-b", "--factory-startup", "-noaudio", "--python-exit-code", "3"]
        return [program, *options, "-P", path, "--", *arguments]

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
        return self.command("render_frames.py", str(path), wanted=spec.version)


def renderer_named(text: str) -> str:
    """Blender's own name of a renderer: people say Cycles, EEVEE or Workbench."""
    name = text.strip().upper()
    return f"BLENDER_{name}" if name in ("EEVEE", "WORKBENCH", "EEVEE_NEXT") else name
