"""What the platform wants of an engine."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class RenderSpec:
    """One process run: which frames of which scene, and how. Paths are local; `None` leaves what the scene says.

    `remap` maps files as the scene names them to where they lie on the node.
    """

    scene: Path
    frames: list[int]
    output_folder: Path
    width: int | None = None
    height: int | None = None
    output_format: str = ""
    renderer: str = ""
    camera: str = ""
    allow_missing: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    remap: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """What a line of output means: at most one of these is set. `progress` is in per cent of the run."""

    progress: float | None = None
    status: str = ""
    frame: tuple[int, Path] | None = None
    error: tuple[str, str] | None = None


@dataclass(frozen=True)
class Failure:
    """Why a run failed: a stable code, words for the artist, and whether trying again can help."""

    code: str
    message: str
    is_permanent: bool = False


class Engine(Protocol):
    name: str
    suffixes: tuple[str, ...]

    def version(self) -> str | None:
        """The version installed on this machine, or None."""

    def looks_like_scene(self, head: bytes) -> bool:
        """Whether a file that begins with `head` can be a scene of this engine."""

    def inspect_command(self, scene: Path, report: Path) -> list[str]:
        """The command that writes what it finds in `scene` to `report` (JSON, docs/engines.md)."""

    def render_command(self, spec: RenderSpec, work_folder: Path) -> list[str]:
        """The command that renders `spec`; files it needs besides may be written to `work_folder`."""

    def read_line(self, line: str) -> Line | None:
        """The meaning of a line of output, or None for one that is only log."""

    def failure(self, exit_code: int, error: tuple[str, str] | None) -> Failure:
        """The meaning of an exit code other than 0, and of the error line if there was one."""
