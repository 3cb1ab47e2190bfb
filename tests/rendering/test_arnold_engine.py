"""The Arnold engine against a stand-in `kick`, which takes documented flags only and writes real pictures."""

import gzip
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_django import Settings

from drives import pictures
from rendering.engines.arnold.adapter import ArnoldEngine
from rendering.engines.base import RenderSpec
from rendering.engines.failures import Failure
from rendering.node.render import failure_of
from rendering.runner import Limits, run
from tests.standins.installed import install_arnold

engine = ArnoldEngine()
SCENE = """### exported by a test
options
{
 AA_samples 3
 outputs "RGBA RGBA filter driver.RGBA"
 xres 96
 yres 54
 camera "persp"
 frame 7
}

persp_camera
{
 name persp
 matrix
1 0 0 0
}

image
{
 name wood
 filename "C:/proj/wood.<udim>.tx"
}

driver_exr
{
 name driver
}

include "//share/set.ass"
"""


@pytest.fixture(autouse=True)
def arnold(tmp_path: Path, settings: Settings) -> Path:
    settings.ARNOLD_LOCATIONS = [str(install_arnold(tmp_path / "opt"))]
    return tmp_path / "opt" / "arnold"


@pytest.fixture
def spec(tmp_path: Path) -> RenderSpec:
    """Three frames, a file each."""
    for name in ("input", "output", "work"):
        (tmp_path / name).mkdir()
    for number in (1, 2, 3):
        (tmp_path / "input" / f"shot.{number:04d}.ass").write_text(SCENE)
    scene = tmp_path / "input" / "shot.0001.ass"
    return RenderSpec(
        scene=scene, frames=[1, 3], output_folder=tmp_path / "output", project=tmp_path / "input"
    )


def render(spec: RenderSpec) -> tuple[Failure | None, list[str], dict[int, list[Path]]]:
    """Why it failed, its lines, its pictures."""
    work, lines = spec.output_folder.parent / "work", list[str]()
    outcome = run(
        engine.render_command(spec, work),
        cwd=work,
        variables=engine.environment(spec, work),
        token=f"arnold-{os.getpid()}",
        on_line=lines.append,
        limits=Limits(wall=60, idle=30),
    )
    errors = [found.error for line in lines if (found := engine.read_line(line)) and found.error]
    failure = failure_of(outcome, engine, errors[-1] if errors else None) if outcome.exit_code else None
    return failure, lines, engine.outputs(spec)


def test_the_version_is_what_the_program_says(arnold: Path, settings: Settings) -> None:
    assert engine.versions() == {"7.3.2.0": ["arnold"]}
    (arnold / "bin" / "kick").write_text("#!/bin/sh\necho Maya\n")
    assert engine.versions() == {}
    settings.ARNOLD_LOCATIONS = []
    assert engine.versions() == {}


def test_a_file_for_each_frame(spec: RenderSpec) -> None:
    failure, lines, outputs = render(replace(spec, width=64, height=36, camera="persp", threads=2))

    assert failure is None, lines
    assert {number: [path.name for path in found] for number, found in outputs.items()} == {
        1: ["shot.0001.exr"], 3: ["shot.0003.exr"],
    }  # fmt: skip
    pictures.check(outputs[3][0], width=64, height=36)
    assert outputs[1][0].read_bytes() != outputs[3][0].read_bytes()
    assert "openjd_progress: 50.0" in lines and "openjd_progress: 100.0" in lines


@pytest.mark.parametrize("name", ["still.ass", "shot.0002.ass"])
def test_one_file_serves_any_single_frame(spec: RenderSpec, name: str) -> None:
    scene = spec.scene.with_name(name)
    scene.write_text(SCENE)
    failure, lines, outputs = render(replace(spec, scene=scene, frames=[12], output_format="PNG"))
    assert failure is None, lines
    assert [path.suffix for path in outputs[12]] == [".png"]


def test_one_file_is_one_frame(spec: RenderSpec) -> None:
    scene = spec.scene.with_name("still.ass")
    scene.write_text(SCENE)
    failure, _lines, _outputs = render(replace(spec, scene=scene))
    assert failure is not None and (failure.code, failure.is_permanent) == ("bad_request", True)


def test_a_file_that_is_missing_among_several(spec: RenderSpec) -> None:
    failure, _lines, outputs = render(replace(spec, frames=[1, 4]))
    assert failure is not None and failure.is_permanent and "shot.0004.ass" in failure.message
    assert outputs == {}


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [("licence", "licence_unavailable"), ("crash", "crashed"), ("texture", "missing_texture")],
)
def test_failures(spec: RenderSpec, behaviour: str, code: str) -> None:
    spec.scene.write_text(f"# standin behave {behaviour}\n{SCENE}")
    failure, lines, _outputs = render(spec)
    assert failure is not None and failure.code == code, lines


# --- reading scenes without Arnold ---


def read(content: bytes, folder: Path) -> tuple[int, str, Path]:
    scene, report = folder / "scene.ass", folder / "report.json"
    scene.write_bytes(content)
    done = subprocess.run(engine.inspect_command(scene, report), capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout, report


@pytest.mark.parametrize("content", [SCENE.encode(), gzip.compress(SCENE.encode())])
def test_what_a_scene_is(tmp_path: Path, content: bytes) -> None:
    code, words, report = read(content, tmp_path)
    assert code == 0, words
    data = json.loads(report.read_text())
    assert (data["frame_start"], data["width"], data["height"]) == (7, 96, 54)
    assert (data["cameras"], data["active_camera"], data["output_format"]) == (["persp"], "persp", "EXR")
    assert [(asset["path"], asset["kind"]) for asset in data["assets"]] == [
        ("//share/set.ass", "other"), ("C:/proj/wood.<UDIM>.tx", "udim"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [b"", b"hello world\n", b"options\n{\n xres much\n}\n", b"\x1f\x8bbroken", b"options\n{\n\0\n}\n"],
)
def test_what_is_no_scene(tmp_path: Path, content: bytes) -> None:
    code, words, report = read(content, tmp_path)
    assert (code, report.exists()) == (2, False)
    assert words.startswith("yuntu_error: not_a_scene ")
