"""Installations of Maya and Arnold that hold nothing but a stand-in, laid out like the real ones."""

import sys
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# The real Render is a script, too: it starts Maya as a child and says how that ended.
RENDER = """#!/bin/sh
MAYA_LOCATION={folder}
export MAYA_LOCATION
PYTHONPATH={repository} {python} -m tests.standins.maya_render "$@"
status=$?
echo "// Maya exited with status $status"
exit $status
"""
KICK = """#!/bin/sh
PYTHONPATH={repository} exec {python} -m tests.standins.kick "$@"
"""


def install_maya(
    place: Path, release: str, renderers: Iterable[str] = ("arnold", "vray", "redshift")
) -> Path:
    """A folder maya2025 or the like below `place`; Maya's own renderers are always there."""
    folder = place / f"maya{release}"
    descriptions = folder / "bin" / "rendererDesc"
    descriptions.mkdir(parents=True)
    for name in ("file", "sw", "hw2", "vr", *renderers):
        (descriptions / f"{name}Renderer.xml").write_text(f'<renderer desc="{name}"/>\n')
    write_program(folder / "bin" / "Render", RENDER, folder)
    return folder


def install_arnold(place: Path) -> Path:
    folder = place / "arnold"
    (folder / "bin").mkdir(parents=True)
    write_program(folder / "bin" / "kick", KICK, folder)
    return folder


def write_program(path: Path, text: str, folder: Path) -> None:
    path.write_text(text.format(folder=folder, repository=REPOSITORY, python=sys.executable))
    path.chmod(0o755)
