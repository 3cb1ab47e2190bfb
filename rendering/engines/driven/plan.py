"""Plans for drive.py: commands of a renderer that speaks its own language, and what its lines mean."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rendering.engines import failures

DRIVER = Path(__file__).resolve().with_name("drive.py")


@dataclass(frozen=True)
class Command:
    """One run of a program and the frames it writes."""

    argv: list[str]
    frames: list[int]


@dataclass(frozen=True)
class ErrorLine:
    """A line that tells of a failure: it holds `text`, and answers to `pattern` where there is one.

    `when` it counts: `now` ends the run at once, `end` fails it also when the program ends with 0, `note` explains a
    failure that is found otherwise. Group 1 of the pattern, where it has one, is the detail that people need.
    """

    text: str
    code: str
    when: Literal["now", "end", "note"] = "note"
    pattern: str = ""


def write_plan(
    folder: Path,
    *,
    commands: Sequence[Command],
    output_folder: Path,
    progress: Sequence[str],
    errors: Sequence[ErrorLine],
    refusal: tuple[str, str] | None = None,
) -> list[str]:
    """The command that runs `commands` one after the other; a `refusal` (code, detail) stands for one that cannot."""
    plan = {
        "commands": [asdict(command) for command in commands],
        "output_folder": str(output_folder),
        "progress": progress,
        "errors": [asdict(error) for error in errors],
        "scene_faults": sorted(failures.SCENE_FAULTS),
        "refusal": {"code": refusal[0], "detail": refusal[1]} if refusal else None,
    }
    path = folder / "plan.json"
    path.write_text(json.dumps(plan), "utf-8")
    return [sys.executable, "-S", "-E", str(DRIVER), str(path)]


def runs_of(frames: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Frames as (first, last, step), so that programs which take ranges start as seldom as possible.

    >>> list(runs_of([1, 2, 3, 7, 9, 11]))
    [(1, 3, 1), (7, 11, 2)]
    """
    rest = sorted(set(frames))
    while rest:
        step = rest[1] - rest[0] if rest[1:] else 1
        count = 1
        while rest[count:] and rest[count] - rest[count - 1] == step:
            count += 1
        # Two frames far apart are better two runs: the second may begin a longer one.
        if count == 2 and step > 1 and rest[2:]:
            count, step = 1, 1
        yield rest[0], rest[count - 1], step
        rest = rest[count:]
