"""The scripts that run inside Blender, run for real: `python scripts/install_blender.py` comes first."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "rendering" / "engines" / "blender"
SCENES = Path(__file__).resolve().parent / "scenes"
TIMEOUT = 150  # seconds for one run


@pytest.fixture(scope="session")
def blender() -> Path:
    """The Python of the engine's environment; the tests fail where it is not installed."""
    engines = Path(os.environ.get("YUNTU_ENGINES") or REPOSITORY / ".engines")
    python = engines / "blender" / "bin" / "python"
    if not python.exists():
        pytest.fail(f"no Blender at {python}: run `python scripts/install_blender.py`", pytrace=False)
    return python


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A copy of the test scenes, so that nothing next to the committed ones is written or found."""
    return Path(shutil.copytree(SCENES, tmp_path / "scenes"))


def run(command: list[str | Path]) -> tuple[int, list[str]]:
    """Exit code and lines of stdout."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    return done.returncode, done.stdout.splitlines()


def inspect(blender: Path, scene: Path, out: Path) -> dict[str, Any]:
    code, lines = run([blender, SCRIPTS / "inspect_scene.py", scene, out])
    assert code == 0, lines
    return json.loads(out.read_text(encoding="utf-8"))


def write_spec(scene: Path, *, frames: list[int], **wishes: Any) -> tuple[Path, Path]:
    """A SPEC next to the scenes and the folder that its frames go to."""
    out = scene.parent.parent / "out"
    spec = scene.parent.parent / "spec.json"
    pattern = str(out / "frame_####")
    spec.write_text(json.dumps({"scene": str(scene), "frames": frames, "output_pattern": pattern, **wishes}))
    return spec, out


def render(blender: Path, scene: Path, *, frames: list[int], **wishes: Any) -> tuple[int, list[str], Path]:
    spec, out = write_spec(scene, frames=frames, **wishes)
    code, lines = run([blender, SCRIPTS / "render_frames.py", spec])
    return code, lines, out


def pixels(path: Path) -> np.ndarray:
    image = OpenImageIO.ImageBuf(str(path))
    assert not image.has_error, image.geterror()
    found = image.get_pixels(OpenImageIO.FLOAT)
    assert found is not None
    return found


def test_inspect_describes_scene(blender: Path, scenes: Path, tmp_path: Path) -> None:
    report = inspect(blender, scenes / "cube.blend", tmp_path / "report.json")
    assert report.pop("blender_version")[:2] == report.pop("engine_version")[:2] == [5, 0]
    assert report == {
        "scene": "Scene",
        "renderer": "CYCLES",
        "frame_start": 1,
        "frame_end": 10,
        "frame_step": 1,
        "width": 64,
        "height": 36,
        "fps": 24.0,
        "cameras": ["camera"],
        "active_camera": "camera",
        "output_format": "PNG",
        "assets": [
            {
                "path": "//textures/checker.png",
                "kind": "image",
                "packed": False,
                "users": ["material of checker.png"],
                "required": True,
            }
        ],
    }


def test_inspect_names_missing_foreign_and_unused_files(blender: Path, scenes: Path, tmp_path: Path) -> None:
    report = inspect(blender, scenes / "missing.blend", tmp_path / "report.json")
    assert [(asset["path"], asset["required"]) for asset in report["assets"]] == [
        ("//textures/absent.png", True),
        ("//textures/unused.png", False),
        ("C:/proj/textures/wood.png", True),  # Blender turns the slashes when it reads the file on Linux
    ]


def test_inspect_names_library_but_not_its_textures(blender: Path, scenes: Path, tmp_path: Path) -> None:
    report = inspect(blender, scenes / "library.blend", tmp_path / "report.json")
    assert [(asset["path"], asset["kind"]) for asset in report["assets"]] == [("//lib/part.blend", "library")]


def test_libraries_of_blender_itself_are_found_here(blender: Path, scenes: Path, tmp_path: Path) -> None:
    report = inspect(blender, scenes / "bundled.blend", tmp_path / "report.json")
    assert [asset["path"] for asset in report["assets"]] == ["//textures/checker.png"]
    code, lines, _ = render(blender, scenes / "bundled.blend", frames=[1])
    assert code == 0, lines


def test_scripts_and_drivers_of_scene_are_not_run(blender: Path, scenes: Path, tmp_path: Path) -> None:
    inspect(blender, scenes / "script.blend", tmp_path / "report.json")
    code, _, _ = render(blender, scenes / "script.blend", frames=[1, 2])
    assert code == 0
    assert list(scenes.glob("OWNED*")) == []


def test_not_a_scene(blender: Path, scenes: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.blend"
    text.write_text("BLEND it well\n")
    truncated = tmp_path / "truncated.blend"
    truncated.write_bytes((scenes / "cube.blend").read_bytes()[:40_000])
    out = tmp_path / "report.json"
    for scene in (text, truncated, tmp_path / "absent.blend"):
        code, lines = run([blender, SCRIPTS / "inspect_scene.py", scene, out])
        assert code == 2
        assert lines[-1].startswith("yuntu_error: not_a_scene ")
        assert str(tmp_path) not in lines[-1]
        assert not out.exists()


def test_scene_of_newer_blender(blender: Path, scenes: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.blend"
    save = "import bpy, sys; bpy.ops.wm.open_mainfile(filepath=sys.argv[1]);"
    save += "bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2], compress=False)"
    run([blender, "-c", save, scenes / "cube.blend", plain])
    content = plain.read_bytes()
    assert content.startswith(b"BLENDER17-01v0500")
    plain.write_bytes(content.replace(b"v0500", b"v0507", 1))
    code, lines = run([blender, SCRIPTS / "inspect_scene.py", plain, tmp_path / "report.json"])
    assert (code, lines[-1]) == (2, "yuntu_error: scene_too_new saved by Blender 5.7, this is 5.0.1")


def test_frames_are_written_and_differ(blender: Path, scenes: Path) -> None:
    code, lines, out = render(blender, scenes / "cube.blend", frames=[1, 5, 10], width=128)
    assert code == 0
    files = [out / f"frame_{number:04d}.png" for number in (1, 5, 10)]
    assert [line for line in lines if line.startswith("yuntu_frame")] == [
        f"yuntu_frame: {number} {file}" for number, file in zip((1, 5, 10), files, strict=True)
    ]
    loaded = lines.index("yuntu_loaded")
    assert lines.index("openjd_status: loading the scene") < loaded < lines.index("openjd_status: frame 1")
    assert sorted(out.iterdir()) == files  # nothing partial is left
    images = [pixels(file) for file in files]
    assert [image.shape[:2] for image in images] == [(72, 128)] * 3  # the other side keeps the proportion
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(images[one] - images[other]).mean() > 0.02


def test_progress_comes_while_frame_is_rendered(blender: Path, scenes: Path) -> None:
    spec, out = write_spec(scenes / "slow.blend", frames=[1], samples=2000)
    command = [blender, SCRIPTS / "render_frames.py", spec]
    arrived: list[tuple[float, float]] = []  # (seconds, per cent)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if match := re.fullmatch(r"openjd_progress: ([0-9.]+)\n", line):
                arrived.append((time.monotonic(), float(match[1])))
                # Of the later ones we may hear when the frame is written already.
                assert float(match[1]) > 50 or not list(out.glob("frame_*"))
    assert process.returncode == 0
    percents = [percent for _, percent in arrived]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert len(percents) >= 5
    assert arrived[-1][0] - arrived[0][0] > 0.5  # seconds: they were not all written at the end


def test_progress_counts_frames(blender: Path, scenes: Path) -> None:
    _, lines, _ = render(blender, scenes / "cube.blend", frames=[3, 4])
    done = lines.index("openjd_progress: 50.0")
    assert done < next(index for index, line in enumerate(lines) if line.startswith("yuntu_frame: 3 "))
    assert "openjd_progress: 100.0" in lines[done:]


@pytest.mark.parametrize(("name", "extension"), [("JPEG", "jpg"), ("OPEN_EXR", "exr"), ("TIFF", "tif")])
def test_format(blender: Path, scenes: Path, name: str, extension: str) -> None:
    code, _, out = render(blender, scenes / "cube.blend", frames=[2], format=name)
    assert code == 0
    assert pixels(out / f"frame_0002.{extension}").shape[:2] == (36, 64)


def test_missing_texture_is_refused_unless_allowed(blender: Path, scenes: Path) -> None:
    code, lines, out = render(blender, scenes / "missing.blend", frames=[1])
    assert code == 2
    error = 'yuntu_error: missing_texture ["//textures/absent.png", "C:/proj/textures/wood.png"]'
    assert lines[-1] == error
    assert not out.exists()
    code, _, out = render(blender, scenes / "missing.blend", frames=[1], allow_missing=True)
    assert code == 0
    assert (out / "frame_0001.png").exists()


def test_missing_library_is_refused(blender: Path, scenes: Path) -> None:
    (scenes / "lib" / "part.blend").unlink()
    code, lines, _ = render(blender, scenes / "library.blend", frames=[1])
    assert (code, lines[-1]) == (2, 'yuntu_error: missing_library ["//lib/part.blend"]')


def test_remap_leads_to_the_same_picture(blender: Path, scenes: Path, tmp_path: Path) -> None:
    code, _, out = render(blender, scenes / "cube.blend", frames=[4])
    assert code == 0
    expected = pixels(out / "frame_0004.png")
    shutil.rmtree(out)

    (scenes / "textures" / "checker.png").rename(tmp_path / "a1b2c3")  # caches name by content
    remap = {
        "//textures/absent.png": str(tmp_path / "a1b2c3"),
        "C:/proj/textures/wood.png": str(tmp_path / "a1b2c3"),
    }
    code, lines, out = render(blender, scenes / "missing.blend", frames=[4], remap=remap)
    assert code == 0, lines
    assert np.array_equal(pixels(out / "frame_0004.png"), expected)


def test_remap_of_library(blender: Path, scenes: Path) -> None:
    code, _, out = render(blender, scenes / "library.blend", frames=[4])
    assert code == 0
    expected = pixels(out / "frame_0004.png")
    (scenes / "lib").rename(scenes / "moved")
    remap = {"//lib/part.blend": str(scenes / "moved" / "part.blend")}
    code, lines, out = render(blender, scenes / "library.blend", frames=[4], remap=remap)
    assert code == 0, lines
    assert np.array_equal(pixels(out / "frame_0004.png"), expected)


def test_no_camera(blender: Path, scenes: Path) -> None:
    code, lines, _ = render(blender, scenes / "camera.blend", frames=[1])
    assert (code, lines[-1]) == (2, "yuntu_error: no_camera the scene has no active camera")
    code, lines, out = render(blender, scenes / "cube.blend", frames=[1], camera="east")
    assert (code, lines[-1]) == (2, "yuntu_error: no_camera the scene has no camera named east")
    assert not out.exists()


def test_cameras_layers_and_a_region(blender: Path, scenes: Path) -> None:
    """One camera and one layer alone; a picture that the scene crops keeps its size, empty outside of its region."""
    found = {}
    for camera, layer in (("camera", "ViewLayer"), ("close", "ViewLayer"), ("camera", "empty")):
        code, lines, out = render(blender, scenes / "studio.blend", frames=[1], camera=camera, layer=layer)
        assert code == 0, lines
        found[camera, layer] = pixels(out / "frame_0001.png")
        assert found[camera, layer].shape[:2] == (36, 64)
    wide, near, empty = found.values()
    assert "openjd_status: the picture keeps its size, it is not cropped to its region" in lines
    left, right = wide[:, :32, :3], wide[:, 32:, :3]
    assert left.max() > 0.2 and right.max() == 0
    assert np.abs(wide - near).mean() > 0.02
    assert empty[..., :3].max() < left.max()
    code, lines, _ = render(blender, scenes / "studio.blend", frames=[1], layer="sky")
    assert (code, lines[-1]) == (2, "yuntu_error: no_layer the scene has no view layer named sky")


@pytest.mark.parametrize("name", ["BLENDER_EEVEE", "BLENDER_EEVEE_NEXT", "BLENDER_WORKBENCH", "CYCLES"])
def test_every_renderer_works_without_a_gpu(blender: Path, scenes: Path, name: str) -> None:
    code, lines, _ = render(blender, scenes / "cube.blend", frames=[1], renderer=name)
    assert code == 0, lines
    assert any("needs a GPU" in line for line in lines) is (name != "CYCLES")
    assert "yuntu_error" not in lines[-1]


def test_a_renderer_that_is_not_there(blender: Path, scenes: Path) -> None:
    code, lines, _ = render(blender, scenes / "cube.blend", frames=[1], renderer="ARNOLD")
    assert (code, lines[-1].split()[1]) == (2, "no_renderer")


def test_bad_request(blender: Path, scenes: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text("{}")
    code, lines = run([blender, SCRIPTS / "render_frames.py", spec])
    assert code == 2
    assert lines[-1].startswith("yuntu_error: bad_request ")
    code, lines, _ = render(blender, scenes / "cube.blend", frames=[1], format="FFMPEG")
    assert code == 2
    assert lines[-1].startswith("yuntu_error: bad_request ")


def test_unwritable_output_is_the_engines_fault(blender: Path, scenes: Path) -> None:
    (scenes.parent / "out").write_text("a file where the folder should be")
    code, lines, _ = render(blender, scenes / "cube.blend", frames=[1])
    assert code == 3
    assert lines[-1].startswith("yuntu_error: frame_not_written frame 1")


def test_arguments_as_the_blender_binary_hands_them_over(blender: Path, scenes: Path, tmp_path: Path) -> None:
    """`blender -b ... -P script.py -- ARGS` leaves its own options in sys.argv before the `--`."""
    script = SCRIPTS / "inspect_scene.py"
    as_binary = "import runpy, sys; script, *rest = sys.argv[1:];"
    as_binary += "sys.argv = ['blender', '-b', '-P', script, '--', *rest]; sys.path.pop(0);"
    as_binary += "runpy.run_path(script, run_name='__main__')"
    out = tmp_path / "report.json"
    code, lines = run([blender, "-c", as_binary, script, scenes / "cube.blend", out])
    assert code == 0, lines
    assert json.loads(out.read_text())["renderer"] == "CYCLES"
