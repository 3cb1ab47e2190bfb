"""Stand-ins for Blender: the adapter is the real one, the program is a few lines of Python."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rendering.engines import ENGINES, RenderSpec
from rendering.engines.blender.adapter import BlenderEngine

# What a program finds prepared: its spec, its output folder, and how to write a picture and to say so.
PRELUDE = """
import json, sys, time, pathlib
spec = json.load(open(sys.argv[1])) if sys.argv[1:] else {}
out = pathlib.Path(spec.get("output_pattern", "x")).parent
picture = bytes.fromhex(PICTURE)
def done(name="0001.png", content=picture, number=None):
    path = out / name
    path.write_bytes(content)
    print(f"yuntu_frame: {spec['frames'][0] if number is None else number} {path}", flush=True)
"""


class StandIn(BlenderEngine):
    """Runs `program` where Blender would render and `inspector` where it would look."""

    def __init__(self, *, program: str = "", inspector: str = "", picture: bytes = b"") -> None:
        self.program, self.inspector, self.picture = program, inspector, picture
        self.inspections = 0

    def versions(self) -> dict[str, list[str]]:
        return {"5.0.1": ["CYCLES"]}

    def inspect_command(self, scene: Path, report: Path) -> list[str]:
        self.inspections += 1
        return [sys.executable, "-u", "-c", self.inspector, str(scene), str(report)]

    def render_command(self, spec: RenderSpec, work_folder: Path) -> list[str]:
        real = super().render_command(spec, work_folder)
        prelude = PRELUDE.replace("PICTURE", repr(self.picture.hex()))
        return [sys.executable, "-u", "-c", prelude + self.program, real[-1]]


def says(data: dict[str, Any]) -> str:
    """An inspector that finds `data`."""
    return f"import sys; open(sys.argv[2], 'w').write({json.dumps(data)!r})"


def stand_in(monkeypatch: pytest.MonkeyPatch, **programs: Any) -> StandIn:
    engine = StandIn(**programs)
    monkeypatch.setitem(ENGINES, "blender", engine)
    return engine
