"""The files that are uploaded. Their contents are new each time, which costs little."""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = 1 << 20


@dataclass
class Corpus:
    """One large file, as many bytes as four files, and many small files, under `folder`; sizes in bytes."""

    folder: Path
    large_size: int
    small_count: int
    small_size: int = 20 * 1024
    quarters: list[Path] = field(default_factory=list)
    small: list[Path] = field(default_factory=list)

    @property
    def large(self) -> Path:
        return self.folder / "large" / "scene.bin"

    def create(self) -> None:
        for name in ("large", "quarters", "small"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        fill(self.large, self.large_size)
        self.quarters = [self.folder / "quarters" / f"part{number}.bin" for number in range(4)]
        for path in self.quarters:
            fill(path, self.large_size // 4)
        self.small = [self.folder / "small" / f"texture{number:05}.bin" for number in range(self.small_count)]
        for path in self.small:
            fill(path, self.small_size)

    def renew(self) -> None:
        """Nobody has seen these contents before."""
        for path in [self.large, *self.quarters, *self.small]:
            with path.open("r+b") as file:
                file.write(secrets.token_bytes(32))


def fill(path: Path, size: int) -> None:
    if path.exists() and path.stat().st_size == size:
        return
    with path.open("wb") as file:
        for start in range(0, size, BLOCK):
            file.write(os.urandom(min(BLOCK, size - start)))
