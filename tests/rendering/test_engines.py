import json
import subprocess
from pathlib import Path

import OpenImageIO as oiio  # noqa: N813  (its own documentation calls it so)
import pytest
from pytest_django import Settings

from drives import pictures
from rendering.checks import engines_are_known
from rendering.engines import Line, RenderSpec, engine_for, engine_of_file, is_offered
from rendering.engines.base import fitting_version, pictures_in
from rendering.engines.blender.adapter import BlenderEngine
from rendering.engines.simulated.adapter import SimulatedEngine


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
        ("yuntu_loaded", Line(is_loaded=True)),
        ("yuntu_frame: 7 /out/0007.png", Line(frame=7)),
        ("yuntu_frame: -3 /out/with space.png", Line(frame=-3)),
        ('yuntu_error: missing_texture ["a b"]', Line(error=("missing_texture", '["a b"]'))),
        ("yuntu_error: no_camera", Line(error=("no_camera", ""))),
        ("openjd_fail: no such file", Line(error=("render_failed", "no such file"))),
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
    settings.BLENDER_BINARIES = [str(binary)]

    assert list(blender.versions()) == ["4.2.1", "5.0.1"]
    spec = RenderSpec(scene=Path("/in/a.blend"), frames=[1], output_folder=Path("/out"), version="4.2")
    command = blender.render_command(spec, tmp_path)
    assert (command[0], command[-2:]) == (str(binary), ["--", str(tmp_path / "spec.json")])
    settings.ENGINES_DIR = tmp_path
    command = BlenderEngine().inspect_command(Path("/in/a.blend"), Path("/out.json"))
    assert (command[0], command[-3:]) == (str(binary), ["--", "/in/a.blend", "/out.json"])


@pytest.mark.parametrize("text", ["exit 1", "echo Maya 2025", "sleep 0; exit 3"])
def test_a_binary_that_is_no_blender_is_not_offered(
    blender: BlenderEngine, settings: Settings, tmp_path: Path, text: str
) -> None:
    binary = tmp_path / "blender"
    binary.write_text(f"#!/bin/sh\n{text}\n")
    binary.chmod(0o755)
    settings.BLENDER_BINARIES = [str(binary)]

    assert list(blender.versions()) == ["5.0.1"]


def test_an_engine_that_is_not_installed_has_no_version(
    blender: BlenderEngine, settings: Settings, tmp_path: Path
) -> None:
    settings.ENGINES_DIR = tmp_path
    assert blender.versions() == {}


def test_the_installed_blender_has_a_version(blender: BlenderEngine) -> None:
    assert [version.split(".")[0] for version in blender.versions()] == ["5"]
    assert "CYCLES" in next(iter(blender.versions().values()))


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
    names = [engine_of_file(name) for name in ("scene.ma", "S.MB", "a.0001.ass", "a.ass.gz", "a.fbx", "ma")]
    assert names == ["maya", "maya", "arnold", "arnold", "", ""]
    assert engine_for("blender") is not None
    assert engine_for("") is None


# --- what engines share ---


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("", "2025.3"),
        ("2024", "2024"),
        ("2024.2", "2024"),
        ("2025", "2025.3"),
        ("2025.1", "2025.1"),
        ("2025.2", "2025.3"),
        ("Maya 2025", "2025.3"),
        ("2023", "2024"),
        ("2026", None),
    ],
)
def test_the_version_that_fits(wanted: str, chosen: str | None) -> None:
    assert fitting_version(wanted, ["2025.3", "2024", "2025.1"]) == chosen


def test_nothing_installed_fits_nobody() -> None:
    assert fitting_version("", []) is None
    assert fitting_version("2025", []) is None


def test_pictures_are_known_by_the_number_their_name_ends_with(tmp_path: Path) -> None:
    names = (
        "0001.png", "shot_0002.exr", "layer/cam/shot.0001.tif", "shot.-0003.JPG", "shot.0004.exr", "v01.png",
        "0001.json", ".partial-0001.png", ".hidden/0001.png", "shot0001.png",
    )  # fmt: skip
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "link.0001.png").symlink_to(tmp_path / "0001.png")
    (tmp_path / "linked").symlink_to(tmp_path / "layer")

    found = pictures_in(tmp_path, [1, 2, -3])

    assert found == {
        1: [tmp_path / "0001.png", tmp_path / "layer/cam/shot.0001.tif"],
        2: [tmp_path / "shot_0002.exr"],
        -3: [tmp_path / "shot.-0003.JPG"],
    }


# --- the simulated engine ---


def simulated(spec: RenderSpec) -> tuple[int, list[Line]]:
    """Exit code and meanings of a run of the simulated engine."""
    engine = SimulatedEngine()
    spec.output_folder.mkdir(exist_ok=True)
    run = subprocess.run(
        engine.render_command(spec, spec.output_folder.parent), capture_output=True, text=True, env={}
    )
    return run.returncode, [
        meaning for line in run.stdout.splitlines() if (meaning := engine.read_line(line))
    ]


def test_the_simulated_engine_says_what_it_is(tmp_path: Path) -> None:
    scene = tmp_path / "镜头 010.mb"
    spec = RenderSpec(
        scene=scene,
        frames=[7, 9],
        output_folder=tmp_path / "out",
        width=640,
        height=360,
        options={"seconds": 0.3},
    )

    code, meanings = simulated(spec)

    assert code == 0
    assert SimulatedEngine().outputs(spec) == {
        7: [tmp_path / "out/simulated_0007.png"],
        9: [tmp_path / "out/simulated_0009.png"],
    }
    one, other = (
        pictures.check(path[0], width=640, height=360) for path in SimulatedEngine().outputs(spec).values()
    )
    assert oiio.ImageBufAlgo.compare(one, other, 0.1, 0.1).nfail > 100
    # White letters on a plain ground: of the title a good part of the picture.
    values = one.get_pixels(oiio.FLOAT)
    assert values is not None
    grey = values.min(axis=2)
    assert 0.03 < (grey[: 360 // 3] == 1).mean() < 0.3
    progress = [meaning.progress for meaning in meanings if meaning.progress is not None]
    assert progress == sorted(progress) and progress[-1] == 100 and len(progress) >= 4
    assert [meaning.frame for meaning in meanings if meaning.frame] == [7, 9]
    assert "simulated" in meanings[0].status


@pytest.mark.parametrize("size", [(1, 1), (64, 36), (4096, 2160)])
def test_a_simulated_picture_of_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    spec = RenderSpec(
        scene=tmp_path / "a", frames=[-1], output_folder=tmp_path / "out",
        width=size[0], height=size[1], options={"seconds": 0},
    )  # fmt: skip
    assert simulated(spec)[0] == 0
    pictures.check(tmp_path / "out/simulated_-0001.png", width=size[0], height=size[1])


def test_the_simulated_engine_is_never_chosen_by_itself(settings: Settings) -> None:
    assert engine_of_file("scene.xyz") == engine_of_file("") == ""
    assert engine_for("simulated") is not None
    settings.RENDER_ENGINES = ["blender", "simulated"]
    settings.SIMULATED_ENGINE = False
    assert not is_offered("simulated")
    settings.SIMULATED_ENGINE = True
    assert is_offered("simulated")


def test_settings_that_name_engines_nobody_knows(settings: Settings) -> None:
    assert engines_are_known(None) == []
    settings.RENDER_ENGINES = ["blender", "povray"]
    settings.ARNOLD_LOCATIONS = ["opt/arnold"]
    settings.SIMULATED_ENGINE = True
    settings.EMBEDDED_PROFILE = False
    assert [message.id for message in engines_are_known(None)] == [
        "rendering.E001",
        "rendering.E002",
        "rendering.W001",
    ]
