"""Maya scenes read without Maya: what they are, which files they name."""

import json
from pathlib import Path
from typing import Any

import pytest

from rendering.scenes.errors import SceneError
from tests.rendering.maya_files import Binary, Read, full_ascii, full_binary, ma, node, reference, texture


def assets(report: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    return {asset["path"]: (asset["kind"], asset["required"]) for asset in report["assets"]}


def refused(read: Read, content: bytes) -> str:
    with pytest.raises(SceneError) as error:
        read(content)
    return error.value.code


# --- what a scene is ---


@pytest.mark.parametrize(
    ("kind", "content"),
    [("ascii", full_ascii()), ("binary", full_binary(wide=True)), ("binary", full_binary(wide=False))],
    ids=["ma", "mb, 64 bits", "mb, 32 bits"],
)
def test_the_same_scene_in_every_format(read: Read, kind: str, content: bytes) -> None:
    report = read(content)

    assert report["format"] == kind
    said = (
        "maya_version",
        "product",
        "renderer",
        "frame_start",
        "frame_end",
        "frame_step",
        "animation",
        "fps",
    )
    assert [report[name] for name in said] == ["2023", "Maya 2023", "arnold", 101, 148, 2, True, 25.0]
    picture = ("width", "height", "output_format", "output_prefix")
    assert [report[name] for name in picture] == [1920, 1080, "EXR", "<Scene>/<RenderLayer>"]
    assert report["units"] == {"linear": "centimeter", "angle": "degree", "time": "pal"}
    assert (report["cameras"], report["renderable_cameras"]) == (["persp", "shotCam"], ["shotCam"])
    assert report["active_camera"] == "shotCam"
    assert report["layers"] == [
        {"name": "defaultRenderLayer", "label": "masterLayer", "renderable": False},
        {"name": "rs_beauty", "label": "beauty", "renderable": True},
    ]
    assert report["plugins"] == [{"name": "mtoa", "version": "5.1.0"}]
    assert report["script_nodes"] == ["breed_gene"]
    assert [(each["path"], each["node"]) for each in report["references"]] == [
        ("D:/show//scenes/rig.ma", "rigRN")
    ]
    assert report["defaults"] == []
    assert report["assets"] == [
        {"path": "D:/show//scenes/rig.ma", "kind": "library", "packed": False, "users": ["rigRN"], "required": True},
        {
            "path": "D:/show//sourceimages/wood.png", "kind": "image", "packed": False, "users": ["file1"],
            "required": True,
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content", [ma(), Binary(wide=True).scene(), Binary(wide=False).scene()], ids=["ma", "mb64", "mb32"]
)
def test_what_a_scene_does_not_say_is_mayas_default(read: Read, content: bytes) -> None:
    report = read(content)

    facts = ("renderer", "frame_start", "frame_end", "frame_step", "width", "height", "animation", "fps")
    assert [report[name] for name in facts] == ["mayaSoftware", 1, 10, 1, 960, 540, False, 24.0]
    assert report["defaults"] == [
        "animation", "frame_end", "frame_start", "frame_step", "height", "output_format", "output_prefix",
        "renderer", "width",
    ]  # fmt: skip
    assert (report["active_camera"], report["cameras"], report["assets"]) == (None, [], [])


@pytest.mark.parametrize(
    ("unit", "fps"),
    [("game", 15), ("film", 24), ("ntsc", 30), ("ntscf", 60), ("120fps", 120), ("23.976fps", 23.976024)],
)
def test_frames_a_second(read: Read, unit: str, fps: float) -> None:
    assert read(ma(time=unit))["fps"] == fps


def test_a_time_unit_that_nobody_knows_counts_as_film_and_is_said_to_be_a_default(read: Read) -> None:
    report = read(ma(time="fortnight"))
    assert (report["fps"], "fps" in report["defaults"]) == (24.0, True)


@pytest.mark.parametrize(
    ("settings_of_renderer", "size", "output"),
    [
        (
            'setAttr ".ren" -type "string" "vray";\n'
            'createNode VRaySettingsNode -s -n "vraySettings";\n\tsetAttr ".wi" 2048;\n\tsetAttr ".he" 858;\n'
            '\tsetAttr ".imgfs" -type "string" "exr (multichannel)";\n\tsetAttr ".fnm" -type "string" "C:/x.vrmap";',
            (2048, 858),
            "EXR",
        ),
        (
            'setAttr ".ren" -type "string" "arnold";\n'
            'createNode aiAOVDriver -s -n "defaultArnoldDriver";\n\tsetAttr ".ai_translator" -type "string" "tif";',
            (960, 540),
            "TIFF",
        ),
        (
            'setAttr ".ren" -type "string" "redshift";\n'
            'createNode RedshiftOptions -s -n "redshiftOptions";\n\tsetAttr ".imageFormat" 2;',
            (960, 540),
            "PNG",
        ),
        ('setAttr ".outf" 32;', (960, 540), "PNG"),
        ('setAttr ".outf" 51;\n\tsetAttr ".imfkey" -type "string" "jpg";', (960, 540), "JPEG"),
    ],
    ids=["vray", "arnold", "redshift", "png", "by key"],
)
def test_where_each_renderer_keeps_its_settings(
    read: Read, settings_of_renderer: str, size: tuple[int, int], output: str
) -> None:
    report = read(ma("select -ne :defaultRenderGlobals;", settings_of_renderer))

    assert (report["width"], report["height"]) == size
    assert report["output_format"] == output
    assert report["assets"] == []


def test_full_names_of_flags_and_attributes(read: Read) -> None:
    """As Maya writes them on request, and as scripts do."""
    report = read(
        ma(
            'createNode camera -shared -name "camShape" -parent "|grp|cam";\n\tsetAttr -keyable off ".renderable" no;',
            'createNode file -name "file1";\n\tsetAttr ".fileTextureName" -type "string" "a.<UDIM>.exr";',
            'setAttr "defaultRenderGlobals.startFrame" 7;setAttr "defaultRenderGlobals.endFrame" 9;',
            'setAttr -type "string" "defaultRenderGlobals.currentRenderer" "redshift";',
        )
    )

    assert (report["frame_start"], report["frame_end"], report["renderer"]) == (7, 9, "redshift")
    assert (report["cameras"], report["renderable_cameras"]) == (["cam"], [])
    assert assets(report) == {"a.<UDIM>.exr": ("udim", True)}


def test_cameras_of_the_same_name_keep_their_paths(read: Read) -> None:
    cameras = [f'createNode camera -n "camShape" -p "{path}";' for path in ("|a|cam", "|b|cam", "|a|other")]
    assert read(ma(*cameras))["cameras"] == ["|a|cam", "|b|cam", "other"]


# --- which files it names ---


def test_textures_tiles_and_sequences(read: Read) -> None:
    report = read(
        ma(
            texture("sourceimages/plain.1001.png", "plain"),
            texture("skin.1001.png", "udim", '\tsetAttr ".uvt" 3;'),
            texture("mud_u1_v1.png", "mudbox", '\tsetAttr ".uvt" 2;'),
            texture("hair.<UDIM>.tx", "token"),
            texture("fire.0001.exr", "frames", '\tsetAttr ".ufe" yes;'),
            texture("smoke.<f>.exr", "frame_token"),
            texture("still.0001.exr", "no_frames", '\tsetAttr ".ufe" no;'),
            texture("no_ending", "odd"),
            texture("", "empty"),
            node("aiImage", "ai", filename="ai.<udim>.exr"),
            node("RedshiftNormalMap", "normal", tex0="normal.png"),
            node("RedshiftDomeLight", "dome", tex0="sky.hdr", tex1="plate.####.jpg"),
            node("PxrTexture", "pxr", filename="pxr.tex"),
            node("VRayBumpMtl", "note", sourceNote="old/wood.tga"),
            node("imagePlane", "plane", imn="plate.png"),
            node("psdFileTex", "psd", ftn="layers.psd"),
            node("camera", "cam", imn="persp", den="persp_depth"),
            node("movie", "clip", ftn="clip.mov"),
        )
    )

    assert assets(report) == {
        "sourceimages/plain.1001.png": ("image", True),
        "skin.1001.png": ("udim", True),
        "mud_u1_v1.png": ("udim", True),
        "hair.<UDIM>.tx": ("udim", True),
        "fire.0001.exr": ("sequence", True),
        "smoke.<f>.exr": ("sequence", True),
        "still.0001.exr": ("image", True),
        "no_ending": ("image", True),
        "ai.<udim>.exr": ("udim", True),
        "normal.png": ("image", True),
        "sky.hdr": ("image", True),
        "plate.####.jpg": ("sequence", True),
        "pxr.tex": ("image", True),
        "old/wood.tga": ("image", False),
        "plate.png": ("image", True),
        "layers.psd": ("image", True),
        "clip.mov": ("movie", True),
    }


def test_caches_proxies_and_sounds(read: Read) -> None:
    report = read(
        ma(
            'createNode AlembicNode -n "abc";\n\tsetAttr ".fn" -type "string" "cache/a.abc";\n'
            '\tsetAttr ".fns" -type "stringArray" 2 "cache/a.abc" "cache/b.abc"  ;',
            node("gpuCache", "gpu", cfn="cache/set.abc"),
            node("cacheFile", "cloth", cn="clothShape", cp="D:/show//cache/nCache/shot/"),
            node("aiStandIn", "standin", dso="tree.ass.gz"),
            node("aiVolume", "volume", filename="smoke.####.vdb"),
            node("VRayMesh", "proxy", fn2="rock.vrmesh"),
            node("VRayScene", "vrscene", fp="car.vrscene"),
            node("RedshiftProxyMesh", "rs", fn="stool.rs"),
            node("xgmPalette", "hair", xfn="shot__hair.xgen"),
            node("mayaUsdProxyShape", "usd", fp="set.usda"),
            node("aiPhotometricLight", "light", ai_filename="lamp.ies"),
            node("audio", "voice", f="voice.wav"),
            node("diskCache", "jiggle", cn="jiggle.mcj"),
        )
    )

    assert assets(report) == {
        "cache/a.abc": ("cache", True),
        "cache/b.abc": ("cache", True),
        "cache/set.abc": ("cache", True),
        "D:/show//cache/nCache/shot/clothShape.xml": ("frame_cache", True),
        "tree.ass.gz": ("cache", True),
        "smoke.####.vdb": ("sequence", True),
        "rock.vrmesh": ("cache", True),
        "car.vrscene": ("cache", True),
        "stool.rs": ("cache", True),
        "shot__hair.xgen": ("cache", True),
        "set.usda": ("cache", True),
        "lamp.ies": ("other", True),
        "voice.wav": ("sound", False),
    }


def test_references_are_its_own_and_those_that_are_not_loaded_are_optional(read: Read) -> None:
    report = read(
        ma(
            reference("D:/show//assets/rig.mb"),
            'file -rdi 2 -ns "model" -rfn "rig:modelRN" -typ "mayaBinary" "D:/show//assets/nested.mb";',
            reference("set.ma", "set", deferred=True),
            'file -r -ns "rig1" -dr 1 -rfn "rigRN1" -typ "mayaBinary" "D:/show//assets/rig.mb{1}";',
            'file -r -ns "abc" -dr 1 -rfn "abcRN" -typ "Alembic" "cache/crowd.abc";',
        )
    )

    assert assets(report) == {
        "D:/show//assets/rig.mb": ("library", True),
        "set.ma": ("library", False),
        "cache/crowd.abc": ("cache", True),
    }
    assert [each["deferred"] for each in report["references"]] == [False, True, False, False]
    assert report["assets"][0]["users"] == ["rigRN", "rigRN1"]


def test_how_a_sequence_is_shifted(read: Read) -> None:
    report = read(
        ma(
            texture("a.0001.exr", "a", '\tsetAttr ".ufe" yes;', '\tsetAttr ".fo" 100;'),
            texture("b.<f>.exr", "b"),
            texture("c.<f>.exr", "c1"),
            texture("c.<f>.exr", "c2", '\tsetAttr ".fo" -5;'),
            node("aiVolume", "d", filename="d.####.vdb"),
        )
    )
    offsets = {asset["path"]: asset.get("frame_offset") for asset in report["assets"]}
    assert offsets == {"a.0001.exr": 100, "b.<f>.exr": 0, "c.<f>.exr": None, "d.####.vdb": None}


def test_file_names_in_lists_of_attributes(read: Read) -> None:
    report = read(
        ma('createNode layers -n "l";\n\tsetAttr ".in[3].fileTextureName[0]" -type "string" "a.png";')
    )
    assert assets(report) == {"a.png": ("image", True)}


def test_a_reference_after_a_flag_that_is_not_known(read: Read) -> None:
    assert list(assets(read(ma('file -r -rfn "rigRN" -typ "mayaAscii" -someday "rig.ma";')))) == ["rig.ma"]


def test_files_that_the_scene_gives_to_a_referenced_one(read: Read) -> None:
    edits = (
        'createNode reference -n "rigRN";\n\tsetAttr ".ed" -type "dataReferenceEdits" \n\t\t"rigRN"\n\t\t"rigRN" 3\n'
        '\t\t2 "|rig:root" "translate" " -type \\"double3\\" 0 1 2"\n'
        '\t\t2 "rig:file1" "fileTextureName" " -type \\"string\\" \\"D:/show//sourceimages/red.png\\""\n'
        '\t\t2 "rig:file1" "colorSpace" " -type \\"string\\" \\"sRGB\\"";'
    )
    report = read(ma(edits))
    assert assets(report) == {"D:/show//sourceimages/red.png": ("image", True)}
    assert report["assets"][0]["users"] == ["rigRN"]


def test_a_file_that_many_nodes_use_is_named_once(read: Read) -> None:
    report = read(ma(*(texture("wood.png", f"file{number}") for number in range(300))))
    (asset,) = report["assets"]
    assert len(asset["users"]) == 100


def test_what_stands_in_texts_and_comments_is_not_understood(read: Read) -> None:
    report = read(
        ma(
            '// createNode file -n "c"; setAttr ".ftn" -type "string" "comment.png";',
            '/* setAttr ".ftn" -type "string" "block.png"; */',
            'createNode script -n "s";\n\tsetAttr ".b" -type "string" (\n\t\t"createNode file;\\n"\n'
            '\t\t+ "setAttr \\".ftn\\" -type \\"string\\" \\"script.png\\";\\n" );',
            'createNode file -n "f";\n\tsetAttr ".ftn" -type "string" ("D:/long" + "/path/wood.png");',
        )
    )
    assert list(assets(report)) == ["D:/long/path/wood.png"]


def test_commands_that_scenes_are_not_made_of_are_named_and_not_run(read: Read, tmp_path: Path) -> None:
    there = tmp_path / "was-run"
    report = read(ma(f"python(\"open(r'{there}', 'w')\");", f'system "touch {there}";', "eval $x;"))
    assert report["commands"] == ["eval", "python", "system"]
    assert not there.exists()


# --- code pages ---


@pytest.mark.parametrize(
    ("codeset", "codec"),
    [("936", "gb18030"), ("nonsense", "gb18030"), ("99999", "gb18030"), ("936", "utf-8"), ("1252", "utf-8")],
)
def test_chinese_paths_whatever_the_scene_says_of_its_code_page(read: Read, codeset: str, codec: str) -> None:
    content = ma(texture("D:/项目/贴图/木头.png"), codeset=codeset).decode().encode(codec)
    assert list(assets(read(content))) == ["D:/项目/贴图/木头.png"]


def test_japanese_and_western_code_pages(read: Read) -> None:
    japanese = ma(texture("P:/データ/木.png"), codeset="932").decode().encode("cp932")
    western = ma(texture("D:/café/wood.png")).decode().encode("cp1252")
    assert list(assets(read(japanese))) == ["P:/データ/木.png"]
    assert list(assets(read(western))) == ["D:/café/wood.png"]


def test_controls_and_broken_text_do_not_get_through(read: Read) -> None:
    content = ma(
        texture("a\0b\x07\\nc.png"), texture("d\ud800.png".encode("utf-8", "surrogatepass").decode("latin-1"))
    )
    report = read(content)
    text = json.dumps(report, ensure_ascii=False)
    assert not any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in text)
    assert len(report["assets"]) == 2


def test_windows_paths_lose_no_backslash(read: Read) -> None:
    assert list(assets(read(ma(texture("C:\\new\\textures\\wood.png"))))) == ["C:\\new\\textures\\wood.png"]
