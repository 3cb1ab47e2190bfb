import json
from pathlib import Path

import pytest
from pytest_django import Settings

from rendering.engines import Line, RenderSpec, engine_for, engine_of_file
from rendering.engines.blender.adapter import BlenderEngine


@pytest.fixture
def blender() -> BlenderEngine:
    return BlenderEngine()


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("openjd_progress: 43.7", Line(progress=43.7)),
        ("openjd_progress: 100", Line(progress=100)),
        ("openjd_progress: 250.0", Line(progress=100)),
        ("openjd_status: loading: the scene", Line(status="loading: the scene")),
        ("yuntu_frame: 7 /out/0007.png", Line(frame=(7, Path("/out/0007.png")))),
        ("yuntu_frame: -3 /out/with space.png", Line(frame=(-3, Path("/out/with space.png")))),
        ('yuntu_error: missing_texture ["a b"]', Line(error=("missing_texture", '["a b"]'))),
        ("yuntu_error: no_camera", Line(error=("no_camera", ""))),
    ],
)
def test_lines_with_a_meaning(blender: BlenderEngine, line: str, meaning: Line) -> None:
    assert blender.read_line(line) == meaning


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Fra:1 Mem:10.00M",
        "openjd_progress: nan",
        "openjd_progress: much",
        "openjd_progress: -4",
        "yuntu_frame: seven /out/7.png",
        "yuntu_frame: 7 out/7.png",
        "yuntu_frame: 7",
        "  openjd_progress: 3",
    ],
)
def test_other_lines_are_log(blender: BlenderEngine, line: str) -> None:
    assert blender.read_line(line) is None


@pytest.mark.parametrize(
    ("exit_code", "error", "code", "is_permanent"),
    [
        (2, ("no_camera", "the scene has no active camera"), "no_camera", True),
        (3, ("render_failed", "frame 1"), "render_failed", False),
        (1, None, "engine_failed", False),
        (-11, None, "crashed", False),
        (-9, None, "killed", False),
        (137, None, "killed", False),
    ],
)
def test_exit_codes(
    blender: BlenderEngine, exit_code: int, error: tuple[str, str] | None, code: str, is_permanent: bool
) -> None:
    failure = blender.failure(exit_code, error)

    assert (failure.code, failure.is_permanent) == (code, is_permanent)
    assert failure.message


def test_missing_files_are_named_in_words(blender: BlenderEngine) -> None:
    failure = blender.failure(2, ("missing_texture", '["//a.png", "//木.png"]'))

    assert failure.is_permanent
    assert "//a.png, //木.png" in failure.message


def test_the_command_says_only_what_was_asked_for(blender: BlenderEngine, tmp_path: Path) -> None:
    spec = RenderSpec(scene=Path("/in/a.blend"), frames=[1, 2], output_folder=Path("/out"))

    command = blender.render_command(spec, tmp_path)

    assert command[0].endswith("/blender/bin/python")
    assert Path(command[-2]).name == "render_frames.py"
    assert json.loads(Path(command[-1]).read_text()) == {
        "scene": "/in/a.blend",
        "frames": [1, 2],
        "output_pattern": "/out/####",
        "allow_missing": False,
        "remap": {},
    }


def test_the_command_says_all_that_was_asked_for(blender: BlenderEngine, tmp_path: Path) -> None:
    spec = RenderSpec(
        scene=Path("/in/a.blend"),
        frames=[3],
        output_folder=Path("/out"),
        width=640,
        height=360,
        output_format="exr",
        camera="close",
        allow_missing=True,
        options={"samples": 8},
        remap={"C:/wood.png": "/in/wood.png"},
    )

    body = json.loads(Path(blender.render_command(spec, tmp_path)[-1]).read_text())

    assert body["width"], body["height"] == (640, 360)
    assert (body["format"], body["camera"], body["samples"]) == ("OPEN_EXR", "close", 8)
    assert (body["allow_missing"], body["remap"]) == (True, {"C:/wood.png": "/in/wood.png"})


def test_a_blender_binary_gets_the_same_script(
    blender: BlenderEngine, settings: Settings, tmp_path: Path
) -> None:
    binary = tmp_path / "blender"
    binary.write_text("#!/bin/sh\necho Blender 4.2.1\n")
    binary.chmod(0o755)
    settings.BLENDER_BINARY = str(binary)

    assert blender.version() == "4.2.1"
    command = blender.inspect_command(Path("/in/a.blend"), Path("/out.json"))
    assert (command[0], command[-3:]) == (str(binary), ["--", "/in/a.blend", "/out.json"])


@pytest.mark.parametrize("text", ["exit 1", "echo Maya 2025", "sleep 0; exit 3"])
def test_a_binary_that_is_no_blender_is_not_offered(
    blender: BlenderEngine, settings: Settings, tmp_path: Path, text: str
) -> None:
    binary = tmp_path / "blender"
    binary.write_text(f"#!/bin/sh\n{text}\n")
    binary.chmod(0o755)
    settings.BLENDER_BINARY = str(binary)

    assert blender.version() is None


def test_an_engine_that_is_not_installed_has_no_version(
    blender: BlenderEngine, settings: Settings, tmp_path: Path
) -> None:
    settings.ENGINES_DIR = tmp_path
    assert blender.version() is None


def test_the_installed_blender_has_a_version(blender: BlenderEngine) -> None:
    assert (blender.version() or "").startswith("5.")


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"BLENDER-v405RENDH", True),
        (b"\x28\xb5\x2f\xfd....", True),
        (b"\x1f\x8b\x08", True),
        (b"//Maya ASCII 2023", False),
        (b"", False),
    ],
)
def test_the_first_bytes_of_a_scene(blender: BlenderEngine, head: bytes, answer: bool) -> None:
    assert blender.looks_like_scene(head) is answer


def test_engines_by_name_and_by_file_ending() -> None:
    assert engine_of_file("a/B.BLEND") == "blender"
    assert engine_of_file("scene.ma") == ""
    assert engine_for("blender") is not None
    assert engine_for("") is None
