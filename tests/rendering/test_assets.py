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


def resolved(owner: User, *assets: dict, path: str = "/shots/one/scene.blend") -> Resolution:
    file = makers.scene(owner, path, assets=list(assets))
    job = RenderJob(drive=default_drive(user=owner), engine="blender", scene_file=file)
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
            "path": "//../tex/wood.png",
            "kind": "image",
            "users": ["box"],
            "named_by": "/shots/one/scene.blend",
            "expected_path": "/shots/tex/wood.png",
        },
        {
            "path": "C:\\proj\\stone.png",
            "kind": "image",
            "users": ["box"],
            "named_by": "/shots/one/scene.blend",
            "expected_path": "/shots/one/stone.png",
        },
        {
            "path": "//font.ttf",
            "kind": "font",
            "users": ["box"],
            "named_by": "/shots/one/scene.blend",
            "expected_path": "/shots/one/font.ttf",
        },
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


def test_a_scene_of_ten_thousand_textures_is_resolved_in_one_query(
    owner: User, django_assert_num_queries: object
) -> None:
    names = [f"//tex{number % 20}/{number}.png" for number in range(10_000)]
    file = makers.scene(owner, "/shots/big/scene.blend", assets=list(map(asset, names)))
    job = RenderJob(drive=default_drive(user=owner), engine="blender", scene_file=file)
    report = SceneReport.objects.get(blob=file.blob)

    with django_assert_num_queries(1):  # type: ignore[operator]
        assert len(resolve(job, report, file).missing) == 10_000
