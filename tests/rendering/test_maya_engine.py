"""The Maya engine against a stand-in `Render`, which takes documented flags only and writes real pictures."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from drives import pictures
from rendering.engines.base import Line, RenderSpec
from rendering.engines.failures import Failure
from rendering.engines.maya import paths
from rendering.engines.maya.adapter import MayaEngine
from rendering.engines.maya.installation import installations
from rendering.node.render import failure_of
from rendering.runner import Limits, run
from tests.rendering.maya_files import ma, texture
from tests.standins.installed import install_maya

engine = MayaEngine()


@pytest.fixture(autouse=True)
def mayas(tmp_path: Path, settings: Settings) -> Path:
    """Maya 2024, without Redshift, and 2025."""
    place = tmp_path / "autodesk"
    install_maya(place, "2024", ("arnold", "vray"))
    install_maya(place, "2025")
    settings.MAYA_LOCATIONS = [f"{place}/maya2*"]
    settings.MAYA_RENDERER_DESCRIPTIONS = []
    return place


@pytest.fixture
def spec(tmp_path: Path) -> RenderSpec:
    """A job's folder with a scene in a project."""
    project = tmp_path / "job" / "input"
    scene = project / "proj" / "scenes" / "shot.ma"
    scene.parent.mkdir(parents=True)
    scene.write_bytes(ma(version="2024"))
    for name in ("output", "work"):
        (tmp_path / "job" / name).mkdir()
    return RenderSpec(
        scene=scene, frames=[1], output_folder=tmp_path / "job" / "output", project=project,
        renderer="Arnold", output_format="PNG",
    )  # fmt: skip


def says(spec: RenderSpec, **wishes: str) -> None:
    """Tell the stand-in by the scene what to do."""
    lines = "".join(f"//standin {name} {value}\n" for name, value in wishes.items())
    spec.scene.write_bytes(ma(version="2024") + lines.encode())


class Result:
    """A run by the runner itself: its lines, what they mean, why it failed."""

    def __init__(self, spec: RenderSpec, *, idle: float = 30) -> None:
        work = spec.output_folder.parent / "work"
        self.lines: list[str] = []
        self.outcome = run(
            engine.render_command(spec, work),
            cwd=work,
            variables=engine.environment(spec, work),
            token=f"maya-{os.getpid()}",
            on_line=self.lines.append,
            limits=Limits(wall=60, idle=idle),
        )
        self.meanings: list[Line] = [found for line in self.lines if (found := engine.read_line(line))]
        self.error = next((found.error for found in reversed(self.meanings) if found.error), None)
        self.outputs = engine.outputs(spec)

    @property
    def failure(self) -> Failure:
        found = failure_of(self.outcome, engine, self.error)
        assert found is not None
        return found

    @property
    def progress(self) -> list[float]:
        return [found.progress for found in self.meanings if found.progress is not None]

    def line(self, start: str) -> str:
        return next(line for line in self.lines if line.startswith(start))


# --- what is installed ---


def test_several_versions_each_with_its_renderers() -> None:
    assert engine.versions() == {
        "2024": ["arnold", "vray", "sw", "hw2"],
        "2025": ["arnold", "vray", "redshift", "sw", "hw2"],
    }


def test_descriptions_that_a_plug_in_keeps_for_itself(mayas: Path, settings: Settings) -> None:
    folder = mayas / "plugins" / "2024"
    folder.mkdir(parents=True)
    (folder / "redshiftRenderer.xml").touch()
    settings.MAYA_RENDERER_DESCRIPTIONS = [f"{mayas}/plugins/{{version}}"]
    assert "redshift" in engine.versions()["2024"]


def test_folders_that_are_no_maya(mayas: Path, settings: Settings) -> None:
    (mayas / "maya2023" / "bin").mkdir(parents=True)
    (mayas / "maya2026").write_text("")
    assert [found.release for found in installations()] == ["2024", "2025"]
    settings.MAYA_LOCATIONS = [f"{mayas}/nowhere/*"]
    assert engine.versions() == {}


@pytest.mark.parametrize(
    ("wanted", "release"), [("", "2025"), ("2024", "2024"), ("Maya 2024", "2024"), ("2023", "2024")]
)
def test_the_version_a_job_wants(spec: RenderSpec, wanted: str, release: str) -> None:
    result = Result(replace(spec, version=wanted))
    assert result.outcome.exit_code == 0, result.lines
    assert f"/maya{release}:" in result.line("Starting")


# --- pictures ---


@pytest.mark.parametrize(
    "renderer", ["Arnold", "V-Ray", "Redshift", "Maya Software", "Maya Hardware 2.0", ""]
)
def test_frames_by_every_renderer(spec: RenderSpec, renderer: str) -> None:
    result = Result(replace(spec, renderer=renderer, frames=[1, 2, 3, 10], width=64, height=36, threads=2))

    assert result.outcome.exit_code == 0, result.lines
    names = {number: [path.name for path in found] for number, found in result.outputs.items()}
    assert names == {number: [f"shot.{number:04d}.png"] for number in (1, 2, 3, 10)}
    for found in result.outputs.values():
        pictures.check(found[0], width=64, height=36)
    assert len([line for line in result.lines if line.startswith("Starting")]) == 2  # 1 to 3, and 10
    assert result.progress == sorted(result.progress)
    assert result.progress[-1] == 100 and any(0 < percent < 100 for percent in result.progress)
    assert [found.frame for found in result.meanings if found.frame] == [1, 2, 3, 10]


@pytest.mark.parametrize(
    ("renderer", "wanted", "suffix"),
    [
        ("arnold", "EXR", "exr"), ("arnold", "JPEG", "jpg"), ("arnold", "TIFF", "tif"), ("arnold", "", "iff"),
        ("sw", "JPG", "jpg"), ("sw", "EXR", "exr"),
    ],
)  # fmt: skip
def test_formats(spec: RenderSpec, renderer: str, wanted: str, suffix: str) -> None:
    result = Result(replace(spec, renderer=renderer, output_format=wanted))
    assert [path.suffix for path in result.outputs[1]] == [f".{suffix}"]
    pictures.check(result.outputs[1][0], width=96, height=54)


def test_layers_and_cameras_give_several_pictures_a_frame(spec: RenderSpec) -> None:
    says(spec, cameras="cam_left,cam_right", layers="beauty,shadow")
    result = Result(replace(spec, frames=[1, 2]))
    found = [str(path.relative_to(spec.output_folder)) for path in result.outputs[2]]
    assert found == [
        f"{layer}/{camera}/shot.0002.png"
        for layer in ("beauty", "shadow")
        for camera in ("cam_left", "cam_right")
    ]


def test_one_camera_and_one_layer(spec: RenderSpec) -> None:
    says(spec, cameras="cam_left,cam_right", layers="beauty,shadow")
    result = Result(replace(spec, camera="cam_right", layer="shadow"))
    assert [str(path.relative_to(spec.output_folder)) for path in result.outputs[1]] == [
        "shadow/shot.0001.png"
    ]


def test_numbers_below_zero(spec: RenderSpec) -> None:
    result = Result(replace(spec, frames=[-2, -1, 0]))
    assert sorted(result.outputs) == [-2, -1, 0]


def test_the_project_is_the_one_of_the_scene(spec: RenderSpec, tmp_path: Path) -> None:
    root = spec.project
    assert root is not None
    assert paths.project_of(spec.scene, root) == root / "proj"  # above scenes/
    (root / "workspace.mel").touch()
    assert paths.project_of(spec.scene, root) == root
    assert paths.project_of(root / "shot.ma", root) == root
    (tmp_path / "job" / "workspace.mel").touch()
    (root / "workspace.mel").unlink()
    assert paths.project_of(root / "other" / "shot.ma", root) == root / "other"  # never above the job


# --- surroundings ---


def test_a_job_has_preferences_of_its_own_and_licences_of_the_node(
    spec: RenderSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("solidangle_LICENSE", "5053@licences")
    monkeypatch.setenv("SECRET_KEY", "nobody's business")
    variables = engine.environment(spec, spec.output_folder.parent / "work")
    assert variables["MAYA_APP_DIR"].startswith(str(spec.output_folder.parent))
    assert "SECRET_KEY" not in variables
    result = Result(spec)
    assert result.line("solidangle_LICENSE") == "solidangle_LICENSE=5053@licences"
    assert result.line("MAYA_SKIP_USERSETUP_PY") == "MAYA_SKIP_USERSETUP_PY=1"
    assert result.line("ARNOLD_FORCE_ABORT") == "ARNOLD_FORCE_ABORT_ON_LICENSE_FAIL=1"


def test_files_of_another_machine_are_found(spec: RenderSpec) -> None:
    assert spec.project is not None
    wood = spec.project / "proj" / "sourceimages" / "Wood.TX"
    stone = spec.project / "elsewhere" / "stone.tx"
    for path in (wood, stone):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"texture")
    spec.scene.write_bytes(ma(texture("C:/art/wood.tx"), texture("C:/art/stone.tx"), version="2024"))

    assert Result(spec).failure.code == "missing_texture"
    remap = {"C:/art/wood.tx": str(wood), "C:/art/stone.tx": str(stone)}
    result = Result(replace(spec, remap=remap))
    assert result.outcome.exit_code == 0, result.lines


def test_folders_are_mapped_whole_where_they_can_be(tmp_path: Path) -> None:
    textures = tmp_path / "in" / "tex"
    textures.mkdir(parents=True)
    (textures / "a.<UDIM>.exr").touch()
    remap = {
        "C:\\art\\tex\\a.<UDIM>.exr": str(textures / "a.<UDIM>.exr"),
        "//server/share/b.tx": str(textures / "b.tx"),
        "sourceimages/c.tx": str(textures / "c.tx"),
    }
    found = paths.folder_map(remap, tmp_path)
    assert found == {"C:/art/tex": str(textures), "//server/share": str(textures)}
    assert json.loads(paths.arnold_path_map(found)) == {"linux": found}


def test_tiles_beside_a_renamed_file_are_found_too(tmp_path: Path) -> None:
    textures = tmp_path / "in"
    textures.mkdir()
    for name in ("skin.1001.tx", "skin.1002.tx", "Eye.tx"):
        (textures / name).write_text(name)
    remap = {"C:/t/skin.1001.tx": str(textures / "skin.1001.tx"), "C:/t/eye.tx": str(textures / "Eye.tx")}
    folder = Path(paths.folder_map(remap, tmp_path / "work")["C:/t"])
    assert (folder / "skin.1002.tx").read_text() == "skin.1002.tx"
    assert (folder / "eye.tx").read_text() == "Eye.tx"


def test_a_name_cannot_end_the_string_it_stands_in() -> None:
    script = paths.setup_script({'C:/"; system("touch /tmp/x"); //\n': "/in"})
    assert script.splitlines()[1] == 'dirmap -m "C:/\\"; system(\\"touch /tmp/x\\"); //" "/in";'
    assert paths.setup_script({}) == ""


# --- failures ---

FAILURES = [
    ("licence", "licence_unavailable", False),
    ("vray_licence", "licence_unavailable", False),  # it would wait for ever
    ("redshift_licence", "licence_unavailable", False),  # it ends with 0
    ("memory", "out_of_memory", False),
    ("crash", "crashed", False),
    ("segv", "crashed", False),
    ("killed", "killed", False),
    ("failed", "render_failed", False),
    ("mtoa", "plugin_missing", False),
    ("nothing", "frame_not_written", False),
]


@pytest.mark.parametrize(("behaviour", "code", "is_permanent"), FAILURES)
def test_failures_have_codes_and_words(
    spec: RenderSpec, behaviour: str, code: str, is_permanent: bool
) -> None:
    says(spec, behave=behaviour)
    result = Result(spec)
    assert (result.failure.code, result.failure.is_permanent) == (code, is_permanent), result.lines
    assert len(result.failure.message) > 15
    assert not result.outputs


def test_a_program_that_says_nothing_is_ended(spec: RenderSpec) -> None:
    says(spec, behave="hang")
    result = Result(spec, idle=1.5)
    assert result.failure.code == "hung"
    everybody = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(spec.scene) not in everybody


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ({"camera": "lost"}, "no_camera"),
        ({"camera": 'x"; rm'}, "no_camera"),
        ({"layer": "a b"}, "no_layer"),
        ({"renderer": "Redshift", "version": "2024"}, "no_renderer"),
        ({"renderer": "Octane"}, "no_renderer"),
    ],
)
def test_what_a_scene_or_a_maya_does_not_have(spec: RenderSpec, wishes: dict[str, Any], code: str) -> None:
    result = Result(replace(spec, **wishes))
    assert (result.failure.code, result.failure.is_permanent) == (code, code != "no_renderer"), result.lines


def test_a_scene_of_a_later_maya(spec: RenderSpec) -> None:
    spec.scene.write_bytes(ma(version="2026"))
    result = Result(spec)
    assert (result.failure.code, result.failure.is_permanent) == ("scene_too_new", True)
    assert "2026" in result.failure.message and "2025" in result.failure.message
    assert not any(line.startswith("Starting") for line in result.lines)


def test_a_missing_texture_ends_the_run_unless_it_is_allowed(spec: RenderSpec) -> None:
    spec.scene.write_bytes(ma(texture("C:/proj/wood.tx"), version="2024"))
    result = Result(spec)
    assert (result.failure.code, result.failure.is_permanent) == ("missing_texture", True)
    assert "C:/proj/wood.tx" in result.failure.message
    assert Result(replace(spec, allow_missing=True)).outcome.exit_code == 0


def test_a_plug_in_that_nobody_misses(spec: RenderSpec) -> None:
    says(spec, behave="plugin")
    assert Result(spec).outcome.exit_code == 0


def test_no_maya_at_all(spec: RenderSpec, settings: Settings) -> None:
    settings.MAYA_LOCATIONS = []
    assert Result(spec).failure.code == "engine_fault"


def test_scenes_are_known_by_their_first_bytes() -> None:
    heads = [b"//Maya ASCII 2024 sc", b"FOR4\0\0\1\xecMaya", b"FOR8\0\0\0\0\0\0\1\xecMaya", b"BLENDER", b""]
    assert [engine.looks_like_scene(head) for head in heads] == [True, True, True, False, False]


def test_the_pre_flight_needs_no_maya(spec: RenderSpec, tmp_path: Path, settings: Settings) -> None:
    settings.MAYA_LOCATIONS = []
    report = tmp_path / "report.json"
    command = engine.inspect_command(spec.scene, report)
    subprocess.run(command, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, check=True)
    assert json.loads(report.read_text())["frame_start"] == 1
