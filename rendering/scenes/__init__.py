"""Readers of scene files that need no application: what a scene is, and which files it names.

They import nothing of the platform, so that they start fast in a process of their own: a stranger's file is read
there, under limits of time and memory. docs/engines.md holds their protocol.
"""

import sys
from pathlib import Path

MAYA_READER = Path(__file__).resolve().parent / "maya" / "__main__.py"


def maya_command(scene: Path, report: Path) -> list[str]:
    """The command that reads a `.ma` or `.mb` scene and writes what it finds to `report` (JSON)."""
    return [sys.executable, "-I", str(MAYA_READER), str(scene), str(report)]


__all__ = ["maya_command"]
