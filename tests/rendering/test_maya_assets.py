"""From the names in a scene of Maya to the files in the drive."""

import pytest
from django.utils import timezone

from accounts.models import User
from drives.models import File
from drives.services.drives import default_drive
from rendering.models import RenderJob, SceneReport
from rendering.services.assets import Resolution, resolve
from tests.factories import put
from tests.rendering import makers
from tests.rendering.makers import asset
from tests.rendering.maya_files import ma

pytestmark = pytest.mark.django_db


def maya_scene(owner: User, path: str, *assets: dict) -> File:
    """A scene of Maya in the drive that has been read."""
    file = put(owner, path, ma(f"// {path}"))
    data = makers.REPORT | {"format": "ascii", "assets": list(assets)}
    SceneReport.objects.create(
        blob=file.blob, engine="maya", status="ready", due_at=timezone.now(), data=data
    )
    return file


def resolved_in_maya(
    owner: User, *assets: dict, path: str = "/show/scenes/shot/one.ma", frames: str = ""
) -> Resolution:
    file = maya_scene(owner, path, *assets)
    job = RenderJob(drive=default_drive(user=owner), engine="maya", scene_file=file, frame_range=frames)
    return resolve(job, SceneReport.objects.get(blob=file.blob), file)


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ("sourceimages/wood.png", "/show/sourceimages/wood.png"),
        ("wood.png", "/show/sourceimages/wood.png"),
        ("wood.png", "/show/maps/wood.png"),
        ("tex/wood.png", "/show/scenes/shot/tex/wood.png"),
        ("../lib/wood.png", "/lib/wood.png"),
        ("D:/jobs/show//sourceimages/wood.png", "/show/sourceimages/wood.png"),
        ("\\\\server\\share\\show\\sourceimages\\wood.png", "/show/sourceimages/wood.png"),
        ("//server/share/lib/wood.png", "/lib/wood.png"),
        ("Z:\\lib\\tex\\wood.png", "/show/lib/tex/wood.png"),
        ("Z:\\lib\\tex\\wood.png", "/lib/tex/wood.png"),
        ("$PROJ/tex/wood.png", "/show/tex/wood.png"),
        ("${LIBRARY}/tex/wood.png", "/tex/wood.png"),
        ("%LIBRARY%\\tex\\wood.png", "/tex/wood.png"),
        ("D:/Work/Show//SourceImages/Wood.PNG", "/show/sourceimages/wood.png"),
    ],
)
def test_where_a_scene_of_maya_finds_its_files(owner: User, named: str, place: str) -> None:
    put(
        owner, "/show/workspace.mel", b'workspace -fr "sourceImages" "maps";\nworkspace -fr "x" "../outside";'
    )
    file = put(owner, place, b"wood")

    found = resolved_in_maya(owner, asset(named))

    assert found.missing == []
    assert found.files[place] == file.blob
    assert "/show/workspace.mel" in found.files


def test_a_maya_project_without_a_definition_is_the_folder_above_scenes(owner: User) -> None:
    put(owner, "/show/sourceimages/wood.png", b"wood")
    assert resolved_in_maya(owner, asset("sourceimages/wood.png")).missing == []


def test_what_maya_cannot_find_by_itself_is_remapped(owner: User) -> None:
    put(owner, "/show/sourceimages/wood.png", b"wood")
    relative, marked = "sourceimages/wood.png", "D:/x//sourceimages/wood.png"
    absolute = "E:/old/sourceimages/wood.png"

    found = resolved_in_maya(owner, asset(relative), asset(marked), asset(absolute))

    assert found.remap == dict.fromkeys([marked, absolute], "/show/sourceimages/wood.png")


def test_tiles_sequences_and_caches_of_maya(owner: User) -> None:
    names = [
        "skin.1001.png", "skin.1012.png", "mud_u1_v1.png", "mud_u2_v1.png", "smoke.0001.vdb", "smoke.0002.vdb",
        "clothShape.xml", "clothShapeFrame1.mcx", "clothShapeFrame1Tick120.mcx", "clothShape2.xml", "other.mcx",
    ]  # fmt: skip
    for name in names:
        put(owner, f"/show/data/{name}", name.encode())

    found = resolved_in_maya(
        owner,
        asset("data/skin.1001.png", "udim"),
        asset("data/mud_u1_v1.png", "udim"),
        asset("data/smoke.####.vdb", "sequence"),
        asset("D:/show//data/clothShape.xml", "frame_cache"),
        frames="1-3",
    )

    assert found.missing == []
    assert set(found.files) == {"/show/scenes/shot/one.ma", *(f"/show/data/{name}" for name in names[:9])}
    assert [state.missing_frames for state in found.assets] == ["", "", "3", ""]


def test_a_sequence_that_says_how_it_is_shifted(owner: User) -> None:
    for number in (101, 102):
        put(owner, f"/show/data/plate.{number:04d}.jpg", b"%d" % number)
    shifted = asset("data/plate.0101.jpg", "sequence") | {"frame_offset": 100}
    elsewhere = asset("data/plate.0101.jpg", "sequence") | {"frame_offset": 0}

    found = resolved_in_maya(owner, shifted, elsewhere, frames="1-3")

    assert [state.missing_frames for state in found.assets] == ["3", "1-3"]


def test_references_bring_their_own_files_and_are_read_level_by_level(owner: User) -> None:
    put(owner, "/show/sourceimages/skin.png", b"skin")
    maya_scene(owner, "/show/assets/model.ma", asset("sourceimages/skin.png"), asset("sourceimages/gone.png"))
    maya_scene(owner, "/show/assets/rig.ma", asset("D:/show//assets/model.ma", "library"))

    found = resolved_in_maya(owner, asset("assets/rig.ma", "library"))

    assert set(found.files) == {
        "/show/scenes/shot/one.ma", "/show/assets/rig.ma", "/show/assets/model.ma", "/show/sourceimages/skin.png",
    }  # fmt: skip
    assert [(each["path"], each["named_by"]) for each in found.missing] == [
        ("sourceimages/gone.png", "/show/assets/model.ma")
    ]
    assert found.cycle == []


def test_references_in_a_circle(owner: User) -> None:
    maya_scene(owner, "/show/assets/a.ma", asset("assets/b.ma", "library"))
    maya_scene(owner, "/show/assets/b.ma", asset("assets/a.ma", "library"))

    found = resolved_in_maya(owner, asset("assets/a.ma", "library"), asset("assets/b.ma", "library"))

    assert found.cycle == ["/show/assets/a.ma", "/show/assets/b.ma", "/show/assets/a.ma"]


def test_a_scene_that_references_itself(owner: User) -> None:
    found = resolved_in_maya(owner, asset("scenes/shot/one.ma", "library"))
    assert found.cycle == ["/show/scenes/shot/one.ma"] * 2


def test_scenes_that_share_a_reference_are_no_circle(owner: User) -> None:
    maya_scene(owner, "/show/assets/model.ma")
    for name in ("a", "b"):
        maya_scene(owner, f"/show/assets/{name}.ma", asset("assets/model.ma", "library"))

    found = resolved_in_maya(owner, asset("assets/a.ma", "library"), asset("assets/b.ma", "library"))

    assert (found.cycle, found.missing) == ([], [])


def test_references_without_end(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rendering.services.assets.MAX_DEPTH", 5)
    for number in range(8):
        maya_scene(owner, f"/show/assets/{number}.ma", asset(f"assets/{number + 1}.ma", "library"))

    assert resolved_in_maya(owner, asset("assets/0.ma", "library")).is_too_deep
    assert not resolved_in_maya(
        owner, asset("assets/5.ma", "library"), path="/show/scenes/shot/two.ma"
    ).is_too_deep


@pytest.mark.parametrize(
    ("name", "state", "code"),
    [
        ("rig.ma", {"status": "failed", "failure_code": "scene_truncated"}, "scene_truncated"),
        ("rig.ma", {"data": {"format": "binary", "assets": []}}, "wrong_suffix"),
    ],
)
def test_a_reference_that_cannot_be_read(owner: User, name: str, state: dict, code: str) -> None:
    file = maya_scene(owner, f"/show/assets/{name}")
    SceneReport.objects.filter(blob=file.blob).update(**state)

    found = resolved_in_maya(owner, asset(f"assets/{name}", "library"))

    assert [(each["path"], each["reason"]) for each in found.missing] == [(f"assets/{name}", "unreadable")]
    assert [each.failure_code for each in found.assets] == [code]


def test_a_hundred_references_cost_as_many_queries_as_one(
    owner: User, django_assert_num_queries: object
) -> None:
    put(owner, "/show/sourceimages/skin.png", b"skin")
    names = [f"assets/{number}.ma" for number in range(100)]
    for name in names:
        maya_scene(owner, f"/show/{name}", asset("sourceimages/skin.png"))
    file = maya_scene(owner, "/show/scenes/shot/one.ma", *(asset(name, "library") for name in names))
    job = RenderJob(drive=default_drive(user=owner), engine="maya", scene_file=file)
    report = SceneReport.objects.get(blob=file.blob)

    # The project; two for the files of each level, and the reports of the references between them.
    with django_assert_num_queries(6):  # type: ignore[operator]
        found = resolve(job, report, file)

    assert (len(found.files), found.missing) == (102, [])


def test_a_scene_of_ten_thousand_textures_is_resolved_in_one_query(
    owner: User, django_assert_num_queries: object
) -> None:
    names = [f"//tex{number % 20}/{number}.png" for number in range(10_000)]
    file = makers.scene(owner, "/shots/big/scene.blend", assets=list(map(asset, names)))
    job = RenderJob(drive=default_drive(user=owner), engine="blender", scene_file=file)
    report = SceneReport.objects.get(blob=file.blob)

    with django_assert_num_queries(1):  # type: ignore[operator]
        assert len(resolve(job, report, file).missing) == 10_000
