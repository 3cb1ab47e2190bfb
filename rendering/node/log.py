"""The output of an attempt's program: all of it in a file, its end in memory."""

from collections import deque
from pathlib import Path

TAIL_LINES = 200
MAX_TAIL_SIZE = 50_000  # characters, as the file's
MAX_SIZE = 64 << 20  # the program says how much it prints, the disk is ours
END_SIZE = 1 << 18


class AttemptLog:
    """The log of an attempt, a file at `path` while it runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: deque[str] = deque(maxlen=TAIL_LINES)
        self.room = MAX_SIZE
        self.file = path.open("w", encoding="utf-8")

    def write(self, line: str) -> None:
        self.lines.append(line)
        if self.room > 0:
            self.room -= self.file.write(line + "\n")

    def tail(self) -> str:
        """Its last lines."""
        return "\n".join(self.lines)[-MAX_TAIL_SIZE:]

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def end_of(path: Path) -> str:
    """The last lines of a log that somebody else began."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - END_SIZE, 0))
        lines = file.read().decode("utf-8", "replace").replace("\0", "\ufffd").splitlines()
    return "\n".join(lines[-TAIL_LINES:])[-MAX_TAIL_SIZE:]
