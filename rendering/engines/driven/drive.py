"""Run the commands of a renderer and say in our lines what it says in its own: drive.py PLAN.json

PLAN is what `plan.py` writes. All output of the commands is passed on; a failure is the last line, and the exit code
says whose it is (2 the scene's, 3 the program's, 128 + n a signal, otherwise the program's own). Needs only Python:
`python -S -E drive.py`.
"""

# ruff: noqa: PTH118, PTH123  (pathlib takes longer to import than all the rest)

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

TYPE_CHECKING = False  # of typing, which takes longer to import, too
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

FAULT_OF_SCENE, FAULT_OF_ENGINE = 2, 3
REPORT_INTERVAL = 0.2  # seconds between two lines of progress
MAX_DETAIL = 400
BLOCK, MAX_LINE = 1 << 16, 1 << 20  # bytes
NO_GROUPS = re.compile("").match("")
FRAME_NUMBER = re.compile(r"(?:^|[._])(-?\d+)\.\w+$")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


class Rules:
    """The meaning of a program's lines. Of several errors the one that stands first in the list of rules counts."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.progress = [re.compile(pattern) for pattern in plan["progress"]]
        self.errors = [
            (
                rule["text"],
                re.compile(rule["pattern"]) if rule["pattern"] else None,
                rule["code"],
                rule["when"],
            )
            for rule in plan["errors"]
        ]

    def percent(self, line: str) -> float | None:
        """Per cent of a picture; patterns have one group for it, or two, of how many are done of how many."""
        if "%" not in line and "/" not in line and "percent" not in line and "done" not in line:
            return None
        for pattern in self.progress:
            if match := pattern.search(line):
                first, *rest = map(float, match.groups())
                return 100 * first / max(1, rest[0]) if rest else first
        return None

    def error(self, line: str) -> tuple[int, str] | None:
        """The place of the rule and the details of a line that is an error: what its group caught, or all of it."""
        # A scene may print a hundred thousand lines: most hold none of the texts, which costs next to nothing.
        for place, (text, pattern, _code, _when) in enumerate(self.errors):
            if text in line and (match := pattern.search(line) if pattern else NO_GROUPS):
                return place, (match[1] if match.re.groups else line).strip()[:MAX_DETAIL]
        return None


class Reporter:
    """Progress over all pictures of a plan; it never decreases."""

    def __init__(self, pictures: int) -> None:
        self.pictures = max(1, pictures)
        self.begun = 0  # pictures of commands that are over
        self.inside = 0  # pictures of this command that are over
        self.last = 0.0  # per cent of the picture
        self.reached, self.told_at = 0.0, float("-inf")

    def picture(self, percent: float, of_command: int) -> None:
        """Renderers count each picture anew: a value below the last one belongs to the next picture."""
        if percent < self.last:
            self.inside = min(self.inside + 1, of_command - 1)
        self.last = percent
        self.tell(100 * (self.begun + self.inside + min(percent, 100) / 100) / self.pictures)

    def end_command(self, pictures: int) -> None:
        self.begun += pictures
        self.inside, self.last, self.told_at = 0, 0.0, float("-inf")
        self.tell(100 * self.begun / self.pictures)

    def tell(self, percent: float) -> None:
        now = time.monotonic()
        if percent > self.reached and now - self.told_at >= REPORT_INTERVAL:
            self.reached, self.told_at = percent, now
            say(f"openjd_progress: {percent:.1f}")


def fail(code: str, detail: str, exit_code: int) -> NoReturn:
    say(f"yuntu_error: {code} {' '.join(detail.split())}")
    sys.stdout.flush()
    # Without waiting: a renderer that is a script leaves children, and the runner ends them all.
    os._exit(exit_code)


def exit_code_for(code: str, plan: dict[str, Any]) -> int:
    return FAULT_OF_SCENE if code in plan["scene_faults"] else FAULT_OF_ENGINE


def run(command: dict[str, Any], plan: dict[str, Any], rules: Rules, reporter: Reporter) -> None:
    """Run one command to its end. Does not return where it fails."""
    frames = command["frames"]
    shown = f"frames {frames[0]} to {frames[-1]}" if frames[1:] else f"frame {frames[0]}"
    say(f"openjd_status: {shown}")
    sys.stdout.flush()
    try:
        process = subprocess.Popen(
            command["argv"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        fail("engine_fault", f"{command['argv'][0]}: {error.strerror}", FAULT_OF_ENGINE)
    assert process.stdout is not None  # noqa: S101
    worst: tuple[int, str] | None = None
    for line in lines_of(process.stdout.fileno()):
        say(line)
        if (percent := rules.percent(line)) is not None:
            reporter.picture(percent, len(frames))
        if found := rules.error(line):
            place, detail = found
            code, when = rules.errors[place][2:]
            if when == "now":
                process.kill()
                fail(code, detail, exit_code_for(code, plan))
            if worst is None or place < worst[0]:
                worst = found
    exit_code = process.wait()
    written = pictures_in(plan["output_folder"])
    lost = [str(number) for number in frames if number not in written]
    if worst and (exit_code or lost or rules.errors[worst[0]][3] == "end"):
        code = rules.errors[worst[0]][2]
        fail(code, worst[1], exit_code_for(code, plan))
    if exit_code:
        sys.stdout.flush()
        os._exit(exit_code if exit_code > 0 else 128 - exit_code)
    if lost:
        fail("frame_not_written", ", ".join(lost), FAULT_OF_ENGINE)
    for number in frames:
        say(f"yuntu_frame: {number} {written[number]}")
    reporter.end_command(len(frames))


def lines_of(descriptor: int) -> Iterator[str]:
    """Lines as they come, ended by newlines or returns; what was said about a block of them is out with it."""
    rest = b""
    while block := os.read(descriptor, BLOCK):
        *lines, rest = (rest + block).replace(b"\r", b"\n").split(b"\n")
        if len(rest) > MAX_LINE:
            lines, rest = [*lines, rest], b""
        yield from (line.decode("utf-8", "replace") for line in lines if line)
        sys.stdout.flush()
    if rest:
        yield rest.decode("utf-8", "replace")


def pictures_in(folder: str) -> dict[int, str]:
    """One of the files of each frame below `folder`, by number."""
    found = {}
    for root, _folders, names in os.walk(folder):
        for name in names:
            if number := FRAME_NUMBER.search(name):
                found[int(number[1])] = os.path.join(root, name)
    return found


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    if refusal := plan.get("refusal"):
        fail(refusal["code"], refusal["detail"], exit_code_for(refusal["code"], plan))
    rules = Rules(plan)
    reporter = Reporter(sum(len(command["frames"]) for command in plan["commands"]))
    for command in plan["commands"]:
        run(command, plan, rules, reporter)


if __name__ == "__main__":
    main(sys.argv[1])
