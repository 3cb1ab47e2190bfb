"""The interface that the platform asks of an engine. Writing one: docs/engines.md."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rendering.engines import failures
from rendering.engines.failures import Failure

EXIT_SCENE = 2
"""Exit code of our scripts: the scene or the request is at fault, so trying again does not help."""
PICTURE_SUFFIXES = {
    ".bmp", ".cin", ".dpx", ".exr", ".hdr", ".iff", ".jpeg", ".jpg", ".png", ".sgi", ".tga", ".tif", ".tiff",
}  # fmt: skip
# What does not look exactly so was printed by somebody else, and is log.
PROGRESS = re.compile(r"openjd_progress: (\d+(?:\.\d+)?)")
FRAME = re.compile(r"yuntu_frame: (-?\d+) /.+")
# "0007", "shot.0007", "shot_-3"
FRAME_NUMBER = re.compile(r"(?:^|[._])(-?\d+)$")


@dataclass(frozen=True)
class RenderSpec:
    """One run of the program: which frames of which scene, and how.

    Paths are local; what is empty is left to the scene. `project` is the folder that holds all files of the job;
    `version` and `renderer` are as the artist named them; `layer` is a render layer (view layer). `remap` maps the
    names of files in the scene to their places here.
    """

    scene: Path
    frames: list[int]
    output_folder: Path
    project: Path | None = None
    version: str = ""
    width: int | None = None
    height: int | None = None
    output_format: str = ""
    renderer: str = ""
    camera: str = ""
    layer: str = ""
    threads: int | None = None
    allow_missing: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    remap: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """The meaning of a line of output: at most one of these is set.

    `progress` is in per cent of the run, `frame` the number of a frame that is complete, `error` a code and details.
    `is_loaded`: the scene is open and its first frame begins.
    """

    progress: float | None = None
    status: str = ""
    frame: int | None = None
    error: tuple[str, str] | None = None
    is_loaded: bool = False


class Engine(ABC):
    """An adapter: which versions are installed, the commands that inspect and render, how a run ended.

    The programs speak to the runner through lines (`read_line`) and their exit code. There is one instance per
    process.
    """

    name: str
    suffixes: tuple[str, ...]
    inspects_anywhere = False
    """Scenes are inspected without the program, so machines that lack it can do so as well."""
    opens_newer_scenes = True
    """A release may open scenes of later releases, and says so where it cannot."""
    tells_frames = True
    """Its program reports each frame as soon as that one is complete."""
    is_simulated = False
    """It renders nothing. Such an engine is never derived from a file: it must be named."""

    @abstractmethod
    def versions(self) -> dict[str, list[str]]:
        """Versions installed on this machine, each with the renderers it offers; the latest is the last."""

    @abstractmethod
    def inspect_command(self, scene: Path, report: Path) -> list[str]:
        """The command that writes what it finds in `scene` to `report` (JSON, docs/engines.md)."""

    def companions(self, scene_name: str) -> list[dict[str, Any]]:
        """Files that belong to a scene by name alone, in the form of its report: such as one file for each frame."""
        return []

    @abstractmethod
    def render_command(self, spec: RenderSpec, work_folder: Path) -> list[str]:
        """The command that renders `spec`; further files that it needs may be written to `work_folder`."""

    def looks_like_scene(self, head: bytes) -> bool:
        """Whether a file that begins with `head` can be a scene of this engine."""
        return True

    def environment(self, spec: RenderSpec, work_folder: Path) -> dict[str, str]:
        """Variables that `render_command` needs in addition to the few that the runner sets."""
        return {}

    def version_for(self, wanted: str) -> str | None:
        """The installed version that serves a job which wants this one (`fitting_version`)."""
        return fitting_version(wanted, self.versions())

    def outputs(self, spec: RenderSpec) -> dict[int, list[Path]]:
        """The pictures that a run left, by frame; several where it rendered layers, cameras or AOVs separately.

        The caller still has to open them: a program that was ended leaves incomplete files.
        """
        return pictures_in(spec.output_folder, spec.frames)

    def read_line(self, line: str) -> Line | None:
        """The meaning of a line of output, or None for one that is only log."""
        return read_line(line)

    def failure(self, exit_code: int, error: tuple[str, str] | None) -> Failure:
        """The meaning of an exit code other than 0, and of the error line if there was one."""
        if error is not None:
            return failures.named(*error, is_permanent=exit_code == EXIT_SCENE)
        return failures.of_exit(exit_code)


def read_line(line: str) -> Line | None:
    """The lines that every engine may print: those of Open Job Description, and ours for frames and errors.

    https://github.com/OpenJobDescription/openjd-specifications/wiki/How-Jobs-Are-Run (stdout messages).
    """
    if progress := PROGRESS.fullmatch(line):
        return Line(progress=min(float(progress[1]), 100))
    if frame := FRAME.fullmatch(line):
        return Line(frame=int(frame[1]))
    if line == "yuntu_loaded":
        return Line(is_loaded=True)
    name, _colon, rest = line.partition(": ")
    if name == "openjd_status":
        return Line(status=rest)
    if name == "openjd_fail":
        return Line(error=("render_failed", rest))
    if name == "yuntu_error":
        code, _space, message = rest.partition(" ")
        return Line(error=(code, message))
    return None


def pictures_in(folder: Path, frames: Iterable[int]) -> dict[int, list[Path]]:
    """Pictures below `folder` by the number at the end of their names, for `frames` only, in order of name.

    Links are left out, since a scene may make its program write anything. So are names with a leading dot, which are
    files not yet complete.
    """
    wanted = set(frames)
    found: dict[int, list[Path]] = {}
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            number = FRAME_NUMBER.search(path.stem)
            is_whole = (
                path.suffix.lower() in PICTURE_SUFFIXES and not name.startswith(".") and not path.is_symlink()
            )
            if is_whole and number and int(number[1]) in wanted:
                found.setdefault(int(number[1]), []).append(path)
    return found


def fitting_version(wanted: str, installed: Iterable[str]) -> str | None:
    """The best of `installed` for somebody who wants `version`; the latest where none is wanted.

    An exact match; else the latest of the same release ("2024" is served by 2024.2, and "2024.2" by 2024); else the
    next later release, since programs read the scenes of earlier ones; else none.
    """
    have = sorted(installed, key=numbers_of)
    if wanted in have:
        return wanted
    want = numbers_of(wanted)
    if not want:
        return have[-1] if have else None

    def is_same_release(version: str) -> bool:
        return all(a == b for a, b in zip(numbers_of(version), want, strict=False))

    same = [version for version in have if is_same_release(version)]
    later = [version for version in have if numbers_of(version) > want]
    return same[-1] if same else next(iter(later), None)


def numbers_of(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
