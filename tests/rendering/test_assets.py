"""From the names in a scene to the files in the drive."""

import pytest

from accounts.models import User
from drives.services.drives import default_drive
from drives.services.trash import trash
from rendering.models import RenderJob, SceneReport
from rendering.services.assets import Resolution, resolve
from tests.factories import put
from tests.rendering import makers
from tests.rendering.makers import asset

pytestmark = pytest.mark.django_db


def resolved(
    owner: User,
    *assets: dict,
    path: str = "/shots/one/scene.blend",
    frames: str = "",
    choices: dict | None = None,
) -> Resolution:
    file = makers.scene(owner, path, assets=list(assets))
    job = RenderJob(
        drive=default_drive(user=owner),
        engine="blender",
        scene_file=file,
        frame_range=frames,
        asset_choices=choices or {},
    )
    return resolve(job, SceneReport.objects.get(blob=file.blob), file)


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ("//wood.png", "/shots/one/wood.png"),
        ("//tex/wood.png", "/shots/one/tex/wood.png"),
        ("//../tex/wood.png", "/shots/tex/wood.png"),
        ("//./tex//wood.png", "/shots/one/tex/wood.png"),
        ("//..\\tex\\wood.png", "/shots/tex/wood.png"),
    ],
)
def test_a_name_relative_to_the_scene_has_one_place(owner: User, named: str, place: str) -> None:
    file = put(owner, place, b"wood")
    put(owner, "/wood.png", b"another")

    found = resolved(owner, asset(named))

    assert found.files[place] == file.blob
    assert set(found.files) == {"/shots/one/scene.blend", place}
    assert (found.missing, found.remap, found.is_pending) == ([], {}, False)


def test_a_name_that_climbs_above_the_root_is_looked_for_below_it(owner: User) -> None:
    """The folder above was not uploaded; the renderer is told where the file is, its own way leads outside."""
    file = put(owner, "/textures/wood.png", b"wood")

    found = resolved(owner, asset("//../../../../textures/wood.png"))

    assert found.files["/textures/wood.png"] == file.blob
    assert found.remap == {"//../../../../textures/wood.png": "/textures/wood.png"}


@pytest.mark.parametrize(
    "named",
    [
        "C:/proj/shots/one/tex/wood.png",
        "C:\\proj\\shots\\one\\tex\\wood.png",
        "/home/anna/tex/wood.png",
        "/tex/wood.png",
        "d:tex/wood.png",
        "/Users/anna/../tex/wood.png",
    ],
)
def test_an_absolute_name_counts_by_its_longest_ending_below_the_scene(owner: User, named: str) -> None:
    near = put(owner, "/shots/one/tex/wood.png", b"near")
    put(owner, "/shots/one/wood.png", b"flat")
    put(owner, "/tex/wood.png", b"far")

    found = resolved(owner, asset(named))

    assert found.files["/shots/one/tex/wood.png"] == near.blob
    assert found.remap == {named: "/shots/one/tex/wood.png"}
    assert len(found.files) == 2


def test_an_absolute_name_is_looked_for_below_the_root_last(owner: User) -> None:
    put(owner, "/lib/tex/wood.png", b"wood")

    found = resolved(owner, asset("C:/proj/lib/tex/wood.png"))

    assert found.remap == {"C:/proj/lib/tex/wood.png": "/lib/tex/wood.png"}


def test_what_is_missing_says_what_needs_it_and_where_it_is_expected(owner: User) -> None:
    found = resolved(
        owner, asset("//../tex/wood.png"), asset("C:\\proj\\stone.png"), asset("//font.ttf", "font")
    )

    assert found.missing == [
        {
            "path": path,
            "kind": kind,
            "reason": "missing",
            "users": ["box"],
            "named_by": "/shots/one/scene.blend",
            "expected_path": expected,
            "candidates": [],
        }
        for path, kind, expected in [
            ("//../tex/wood.png", "image", "/shots/tex/wood.png"),
            ("C:\\proj\\stone.png", "image", "/shots/one/stone.png"),
            ("//font.ttf", "font", "/shots/one/font.ttf"),
        ]
    ]


def test_where_a_missing_file_is_expected_it_is_found(owner: User) -> None:
    names = ["//../tex/wood.png", "C:\\proj\\stone.png", "/home/anna/sand.png", "//../../../../up.png"]
    first = resolved(owner, *map(asset, names))
    for entry in first.missing:
        put(owner, entry["expected_path"], entry["path"].encode())

    second = resolved(owner, *map(asset, names), path="/shots/one/again.blend")

    assert (len(first.missing), second.missing) == (4, [])


def test_what_is_not_required_is_taken_along_or_let_go(owner: User) -> None:
    put(owner, "/shots/one/music.wav", b"sound")

    found = resolved(
        owner, asset("//music.wav", "sound", required=False), asset("//gone.wav", "sound", required=False)
    )

    assert "/shots/one/music.wav" in found.files
    assert found.missing == []


def test_all_tiles_of_a_udim(owner: User) -> None:
    for name in ("skin.1001.png", "skin.1002.png", "skin.1011.png", "skin.old.png", "skin.10010.png"):
        put(owner, f"/shots/one/tex/{name}", name.encode())

    found = resolved(
        owner,
        asset("//tex/skin.<UDIM>.png", "udim"),
        asset("D:/studio/tex/skin.<UDIM>.png", "udim"),
        asset("//tex/none.<UDIM>.png", "udim"),
    )

    tiles = {f"/shots/one/tex/skin.{tile}.png" for tile in (1001, 1002, 1011)}
    assert set(found.files) == {"/shots/one/scene.blend", *tiles}
    assert found.remap == {"D:/studio/tex/skin.<UDIM>.png": "/shots/one/tex/skin.<UDIM>.png"}
    assert [entry["path"] for entry in found.missing] == ["//tex/none.<UDIM>.png"]


def test_all_pictures_of_a_sequence(owner: User) -> None:
    for name in (
        "v2_fire_0001.exr",
        "v2_fire_0002.exr",
        "v2_fire_0100.exr",
        "v3_fire_0001.exr",
        "v2_fire.exr",
    ):
        put(owner, f"/shots/one/{name}", name.encode())

    found = resolved(owner, asset("//v2_fire_0002.exr", "sequence"))

    pictures = {f"/shots/one/v2_fire_{number:04d}.exr" for number in (1, 2, 100)}
    assert set(found.files) == {"/shots/one/scene.blend", *pictures}


def test_names_are_no_patterns(owner: User) -> None:
    put(owner, "/shots/one/a+b.png", b"1")
    put(owner, "/shots/one/axb1.png", b"2")

    found = resolved(owner, asset("//a.b1.png"), asset("//a+b.png"), asset("//[x]1.png", "sequence"))

    assert "/shots/one/a+b.png" in found.files
    assert [entry["path"] for entry in found.missing] == ["//a.b1.png", "//[x]1.png"]


def test_files_in_the_trash_and_in_other_drives_are_not_found(owner: User, stranger: User) -> None:
    trashed = put(owner, "/shots/one/tex/wood.png", b"wood")
    assert trashed.folder is not None
    trash(entry=trashed.folder, actor=owner)
    put(stranger, "/shots/one/tex/wood.png", b"wood")

    found = resolved(owner, asset("//tex/wood.png"), asset("C:/tex/wood.png"))

    assert len(found.missing) == 2
    assert set(found.files) == {"/shots/one/scene.blend"}


def test_libraries_bring_their_own_files(owner: User) -> None:
    put(owner, "/lib/tex/skin.png", b"skin")
    makers.scene(owner, "/lib/deep/eye.blend", assets=[asset("//../tex/iris.png")])
    makers.scene(
        owner, "/lib/hero.blend", assets=[asset("//tex/skin.png"), asset("//deep/eye.blend", "library")]
    )

    found = resolved(owner, asset("//../../lib/hero.blend", "library"))

    assert set(found.files) == {
        "/shots/one/scene.blend", "/lib/hero.blend", "/lib/tex/skin.png", "/lib/deep/eye.blend",
    }  # fmt: skip
    assert [(entry["named_by"], entry["expected_path"]) for entry in found.missing] == [
        ("/lib/deep/eye.blend", "/lib/tex/iris.png")
    ]


def test_libraries_that_link_each_other_come_to_an_end(owner: User) -> None:
    makers.scene(owner, "/lib/a.blend", assets=[asset("//b.blend", "library")])
    makers.scene(owner, "/lib/b.blend", assets=[asset("//a.blend", "library")])

    found = resolved(owner, asset("//../../lib/a.blend", "library"))

    assert set(found.files) == {"/shots/one/scene.blend", "/lib/a.blend", "/lib/b.blend"}


def test_a_library_that_nobody_has_read_yet_is_waited_for(owner: User) -> None:
    library = put(owner, "/lib/new.blend", b"BLENDER new")

    found = resolved(owner, asset("//../../lib/new.blend", "library"))

    assert found.is_pending
    report = SceneReport.objects.get(blob=library.blob)
    assert (report.status, report.tries) == ("pending", 0)


@pytest.mark.parametrize("named", ["//tex/Wood.PNG", "//Tex/wood.png", "//TEX/WOOD.png"])
def test_case_does_not_matter_where_one_file_is_meant(owner: User, named: str) -> None:
    """It lies twice in the job's folder: as in the drive, and where the renderer of a Linux machine looks."""
    file = put(owner, "/shots/one/tex/wood.png", b"wood")

    found = resolved(owner, asset(named))

    assert found.files["/shots/one/tex/wood.png"] == file.blob
    assert found.files["/shots/one/" + named[2:]] == file.blob
    assert (found.missing, found.remap) == ([], {})


def test_the_exact_name_wins_over_those_that_differ_in_case(owner: User) -> None:
    exact = put(owner, "/shots/one/tex/Wood.png", b"exact")
    put(owner, "/shots/one/tex/wood.png", b"other")

    found = resolved(owner, asset("//tex/Wood.png"))

    assert found.files["/shots/one/tex/Wood.png"] == exact.blob
    assert "/shots/one/tex/wood.png" not in found.files


def test_several_that_differ_in_case_alone_are_ambiguous(owner: User) -> None:
    put(owner, "/shots/one/tex/wood.png", b"1")
    put(owner, "/shots/one/Tex/wood.png", b"2")

    found = resolved(owner, asset("//tex/WOOD.png"), asset("C:/x/tex/Wood.png"))

    assert [(each["reason"], each["candidates"]) for each in found.missing] == [
        ("ambiguous", ["/shots/one/Tex/wood.png", "/shots/one/tex/wood.png"])
    ] * 2
    assert set(found.files) == {"/shots/one/scene.blend"}


def test_an_absolute_name_of_another_case_is_remapped(owner: User) -> None:
    for tile in (1001, 1002):
        put(owner, f"/shots/one/tex/skin.{tile}.png", b"%d" % tile)

    found = resolved(owner, asset("D:\\Show\\TEX\\Skin.<UDIM>.PNG", "udim"))

    assert found.remap == {"D:\\Show\\TEX\\Skin.<UDIM>.PNG": "/shots/one/tex/skin.<UDIM>.png"}


def test_a_file_is_not_laid_out_where_a_folder_must_be(owner: User) -> None:
    """Linux could not have both; the folder is there in the drive."""
    put(owner, "/shots/one/tex/wood.png", b"wood")
    put(owner, "/shots/one/library/TEX", b"a picture without an ending")
    names = ["//tex", "//tex/wood.png", "//tex/wood.png/deeper.png"]
    choices = {"//tex": "/shots/one/library/TEX", "//tex/wood.png/deeper.png": "/shots/one/library/TEX"}

    found = resolved(owner, *map(asset, names), choices=choices)

    assert set(found.files) == {
        "/shots/one/scene.blend", "/shots/one/tex/wood.png", "/shots/one/library/TEX",
    }  # fmt: skip


@pytest.mark.parametrize("named", ["//" + "x" * 300 + ".png", "//a/../../../../../etc/passwd"])
def test_names_that_cannot_be_laid_out_are_only_remapped(owner: User, named: str) -> None:
    put(owner, "/wood.png", b"wood")
    found = resolved(owner, asset(named), choices={named: "/wood.png"})
    assert set(found.files) == {"/shots/one/scene.blend", "/wood.png"}
    assert found.remap == {named: "/wood.png"}


def test_names_are_compared_in_one_unicode_form(owner: User) -> None:
    put(owner, "/shots/one/tex/café.png", b"wood")
    assert resolved(owner, asset("C:/tex/cafe\u0301.png")).missing == []


def test_frames_that_a_sequence_lacks(owner: User) -> None:
    for number in (1, 2, 4, 5, 9):
        put(owner, f"/shots/one/fire_{number:04d}.exr", b"%d" % number)
    for number in range(101, 104):
        put(owner, f"/shots/one/shifted_{number}.exr", b"%d" % number)

    found = resolved(
        owner, asset("//fire_0001.exr", "sequence"), asset("//shifted_101.exr", "sequence"), frames="1-10"
    )

    assert [state.missing_frames for state in found.assets] == ["3, 6-8, 10", ""]
    assert found.missing == []


# --- what the artist says ---


def test_a_file_that_is_not_needed(owner: User) -> None:
    found = resolved(owner, asset("//gone.png"), choices={"//gone.png": None})
    assert (found.missing, found.counts()) == ([], {"ignored": 1})


def test_a_file_that_lies_elsewhere(owner: User) -> None:
    put(owner, "/shots/one/tex/wood.png", b"what the name leads to")
    file = put(owner, "/library/oak.png", b"what is meant")
    names = ["//tex/wood.png", "C:/tex/wood.png"]

    found = resolved(owner, *map(asset, names), choices=dict.fromkeys(names, "/library/oak.png"))

    assert found.counts() == {"mapped": 2}
    assert found.remap == {"C:/tex/wood.png": "/library/oak.png"}
    assert found.files["/library/oak.png"] == file.blob
    assert found.files["/shots/one/tex/wood.png"] == file.blob  # where Blender looks for it


def test_tiles_that_lie_elsewhere_under_another_name(owner: User) -> None:
    for tile in (1001, 1002):
        put(owner, f"/library/face_{tile}.tif", b"%d" % tile)
    named = "//tex/skin.<UDIM>.png"

    found = resolved(owner, asset(named, "udim"), choices={named: "/library/face_<UDIM>.tif"})

    assert set(found.files) == {
        "/shots/one/scene.blend", "/library/face_1001.tif", "/library/face_1002.tif",
        "/shots/one/tex/skin.1001.png", "/shots/one/tex/skin.1002.png",
    }  # fmt: skip


def test_a_choice_that_leads_nowhere_any_more(owner: User) -> None:
    found = resolved(owner, asset("//wood.png"), choices={"//wood.png": "/gone.png"})
    assert [each["path"] for each in found.missing] == ["//wood.png"]
