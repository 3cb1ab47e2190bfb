"""An engine that renders nothing, for demonstrations and benchmarks: pictures, file names and API say so."""

import sys
from pathlib import Path

from rendering.engines.base import Engine, RenderSpec

SCRIPT = Path(__file__).resolve().with_name("simulate.py")
VERSION = "1.0"
SECONDS = 1.0


class SimulatedEngine(Engine):
    """Takes a file of any kind; the option `seconds` says how long a frame takes, 0 for benchmarks."""

    name = "simulated"
    suffixes = ("",)
    inspects_anywhere = True
    is_simulated = True

    def versions(self) -> dict[str, list[str]]:
        return {VERSION: ["simulated"]}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-S", "-E", str(SCRIPT), *arguments]

    def inspect_command(self, scene: Path, report: Path) -> list[str]:
        return self.command("--inspect", str(report))

    def render_command(self, spec: RenderSpec, work_folder: Path) -> list[str]:
        size = (str(spec.width or 0), str(spec.height or 0))
        seconds = str(spec.options.get("seconds", SECONDS))
        return self.command(str(spec.output_folder), *size, seconds, spec.scene.name, *map(str, spec.frames))
