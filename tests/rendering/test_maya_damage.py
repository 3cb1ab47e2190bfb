"""What is made of Maya scenes that are none, or not all of one; and the process that reads them."""

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rendering.scenes import maya_command
from rendering.scenes.errors import SceneError
from rendering.scenes.maya.read import read_scene
from tests.rendering.maya_files import Binary, Read, full_ascii, full_binary, ma, reference, texture

NO_SCENES = {
    "empty": b"",
    "text": b"no scene at all",
    "png": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "blend": b"BLENDER-v300",
    "comment": b"// Maya\n// something else\n",
    "iff that is no scene": b"FOR4\0\0\0\x10ILBMBODY\0\0\0\0",
    "zip": b"PK\x03\x04",
    "utf-16": ma().decode().encode("utf-16"),
}


def refused(read: Read, content: bytes) -> str:
    with pytest.raises(SceneError) as error:
        read(content)
    return error.value.code


# --- what is no scene, or not all of one ---


@pytest.mark.parametrize("content", NO_SCENES.values(), ids=NO_SCENES.keys())
def test_what_is_no_scene(read: Read, content: bytes) -> None:
    assert refused(read, content) == "not_a_scene"


def test_an_ascii_scene_cut_anywhere_is_refused(read: Read) -> None:
    whole = ma(texture("wood.png"), 'createNode script -n "s";\n\tsetAttr ".b" -type "string" "a;b";')
    said_by_maya = whole.index(b"fileInfo")
    for length in range(said_by_maya + 40, len(whole) - len(" shot.ma\n")):
        assert refused(read, whole[:length]) == "scene_truncated", whole[:length]


def test_a_scene_that_a_script_wrote_needs_no_last_line(read: Read) -> None:
    content = b'//Maya ASCII 2023 scene\nrequires maya "2023";\ncreateNode file -n "f";\n'
    assert read(content)["maya_version"] == "2023"
    assert refused(read, content[:-2]) == "scene_truncated"


@pytest.mark.parametrize("wide", [True, False])
def test_a_binary_scene_cut_anywhere_is_refused(read: Read, wide: bool) -> None:
    whole = full_binary(wide=wide)
    for length in range(24, len(whole) - 8, 7):
        assert refused(read, whole[:length]) == "scene_truncated"


def test_a_binary_scene_whose_parts_do_not_fit(read: Read) -> None:
    mb = Binary(wide=True)
    texture_node = mb.node(b"RTFT", "file1", mb.attribute("ftn", "wood.png"))
    broken = texture_node.replace((len("ftn\0 wood.png")).to_bytes(8, "big"), (200).to_bytes(8, "big"))
    assert broken != texture_node
    assert refused(read, mb.scene(broken, mb.node(b"XFRM", "a" * 300))) == "scene_damaged"


def test_a_binary_scene_nested_without_end(read: Read) -> None:
    mb = Binary(wide=True)
    inner = b""
    for _level in range(2000):
        inner = mb.form(b"CONS"[:3] + b"X", inner, tag=b"LIS")
    assert refused(read, mb.scene(inner)) == "scene_damaged"


def test_a_scene_that_names_too_many_files(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rendering.scenes.maya.facts.MAX_FILES", 50)
    textures = [texture(f"{number}.png", f"file{number}") for number in range(60)]
    assert refused(read, ma(*textures)) == "scene_too_large"


def test_a_scene_whose_names_are_too_much_for_a_report(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rendering.scenes.maya.facts.MAX_TEXT", 4000)
    paths = [texture(f"{'x' * 100}{number}.png", f"file{number}") for number in range(40)]
    rigs = [reference(f"{'y' * 300}{number}.ma", f"rig{number}") for number in range(20)]
    assert refused(read, ma(*paths)) == "scene_too_large"
    assert refused(read, ma(*rigs)) == "scene_too_large"
    assert len(read(ma(*paths[:20]))["assets"]) == 20


def test_bulk_data_is_passed_over_without_a_copy(read: Read) -> None:
    """A mesh of 20 MB in a single line, and a text of 10 MB."""
    numbers = "0.123 -1.5e-10 3.25 " * 1_000_000
    letters = "x\\n" * 3_000_000
    content = ma(
        f'createNode mesh -n "m";\n\tsetAttr -s 9 ".vt[0:8]" {numbers};',
        f'createNode script -n "s";\n\tsetAttr ".b" -type "string" "{letters}";',
        texture("wood.png"),
    )
    tracemalloc.start()
    try:
        report = read(content)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [asset["path"] for asset in report["assets"]] == ["wood.png"]
    assert peak < 2_000_000


@pytest.mark.parametrize(
    "statement",
    [
        'setAttr ".fs" 1e999;', 'setAttr ".fs" nan;', 'setAttr ".fs" -5e300;', 'setAttr ".bfs" 0;',
        'setAttr ".ef" -7;', 'setAttr ".outf" 1e12;', 'setAttr ".w" 0;', 'setAttr ".w" 99999999999;',
        'setAttr ".ren" -type "string" "";', 'setAttr ".ren" -type "string";', 'setAttr "";', "setAttr;",
        'setAttr -type "string";', "createNode;", "select;", "file;", "file -r;", "requires;", "currentUnit -t;",
        'setAttr ".fs" -type "string" "x";', 'setAttr ".ren" 5;', 'select -ne "";', ";;;", "createNode -n;",
    ],
)  # fmt: skip
def test_odd_statements_do_no_harm(read: Read, statement: str) -> None:
    report = read(ma("select -ne :defaultRenderGlobals;", statement))

    json.dumps(report, allow_nan=False)
    assert report["frame_start"] <= report["frame_end"]
    assert report["frame_step"] >= 1
    assert report["width"] >= 1


# --- whatever comes ---


def sane(read: Read, content: bytes) -> None:
    """Either a refusal with a code, or a report that the database takes."""
    try:
        report = read(content)
    except SceneError as error:
        assert error.code in ("not_a_scene", "scene_truncated", "scene_damaged", "scene_too_large")
    else:
        assert "\\u0000" not in json.dumps(report, allow_nan=False)


mutations = st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(max_size=12)), min_size=1, max_size=8)
quickly = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("whole", [full_ascii(), full_binary(wide=True), full_binary(wide=False)])
@quickly
@given(changes=mutations, cut=st.integers(0, 1 << 16))
def test_damaged_scenes(read: Read, whole: bytes, changes: list[tuple[int, bytes]], cut: int) -> None:
    content = bytearray(whole)
    for position, new in changes:
        place = position % len(content)
        content[place : place + len(new)] = new
    sane(read, bytes(content[: cut % len(content) + 24] if cut % 3 == 0 else content))


@quickly
@given(
    st.lists(
        st.sampled_from(
            [
                b'"',
                b"\\",
                b";",
                b"/",
                b"*",
                b"//",
                b"/*",
                b"*/",
                b"\n",
                b'setAttr ".ftn"',
                b" ",
                b"createNode file",
                b' -type "string" ',
                b"-",
                b"(",
                b"\0",
                b"\xff",
                b"1e5",
            ]
        )
    )
)
def test_texts_without_sense(read: Read, pieces: list[bytes]) -> None:  # fmt: skip
    sane(read, b"//Maya ASCII 2023 scene\n" + b"".join(pieces))


# --- in a process of its own ---


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """As the platform runs it: another folder, next to no environment."""
    return subprocess.run(
        arguments, cwd=cwd, env={"PATH": "/usr/bin"}, capture_output=True, text=True, timeout=60
    )


def test_the_process_writes_the_report(tmp_path: Path) -> None:
    scene, out = tmp_path / "场景.ma", tmp_path / "out.json"
    scene.write_bytes(full_ascii())

    done = run(*maya_command(scene, out), cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads(out.read_text("utf-8")) == read_scene(scene)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"no scene", "yuntu_error: not_a_scene the file is neither a Maya ASCII nor a Maya binary scene"),
        (full_ascii()[:700], "yuntu_error: scene_truncated the scene ends in the middle of a statement"),
        (None, "yuntu_error: bad_request"),
    ],
    ids=["no scene", "cut", "not there"],
)
def test_the_process_says_what_is_wrong(tmp_path: Path, content: bytes | None, line: str) -> None:
    scene, out = tmp_path / "shot.ma", tmp_path / "out.json"
    if content is not None:
        scene.write_bytes(content)

    done = run(*maya_command(scene, out), cwd=tmp_path)

    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.strip().startswith(line)
    assert not out.exists()


def test_the_process_wants_two_arguments(tmp_path: Path) -> None:
    done = run(*maya_command(tmp_path, tmp_path)[:-2], cwd=tmp_path)
    assert (done.returncode, done.stdout.split()[1]) == (2, "bad_request")


def test_the_reader_loads_nothing_of_the_platform() -> None:
    """It must start fast, and run where there is no database."""
    code = "import sys, rendering.scenes.maya.__main__; print([m for m in sys.modules if m.startswith('django')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
