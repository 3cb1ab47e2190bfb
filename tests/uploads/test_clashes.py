"""Files of a manifest whose names are taken."""

from typing import Any
from uuid import UUID

import pytest

from accounts.models import User
from drives.models import Drive, File, Folder
from tests.conftest import Client
from tests.factories import put
from tests.uploads.conftest import announced, manifest, sums
from uploads.models import TaskFile, UploadTask
from uploads.services.clashes import free_names

pytestmark = pytest.mark.django_db


def test_the_caller_says_what_becomes_of_names_that_are_taken(
    owner: User, owner_api: Client, drive: Drive, django_assert_max_num_queries: Any
) -> None:
    for path in ("/a/x.txt", "/a/x (1).txt", "/y.txt"):
        put(owner, path, b"there")
    put(owner, "/z/inside", b"x")
    files = [announced(path, b"new") for path in ("/a/x.txt", "/a/x (2).txt", "/y.txt", "/z", "/free/x.txt")]
    before = sums(drive)

    refusal = owner_api.post("/upload-tasks", manifest(*files, on_clash="refuse"))
    assert (refusal.status_code, refusal.json()["code"]) == (409, "name_taken")
    assert refusal.json()["paths"] == ["/a/x.txt", "/y.txt", "/z"]
    assert owner_api.post("/upload-tasks", manifest(*files, on_clash="ask")).status_code == 422
    assert not UploadTask.objects.exists()
    assert not Folder.objects.filter(name="free").exists()
    assert sums(drive) == before

    with django_assert_max_num_queries(40):
        made = owner_api.post("/upload-tasks", manifest(*files, on_clash="keep_both"))
    assert made.status_code == 201, made.content
    rows = TaskFile.objects.order_by("position")
    # Beside what is there, and beside what else the manifest brings.
    paths = ["/a/x (3).txt", "/a/x (2).txt", "/y (1).txt", "/z (1)", "/free/x.txt"]
    assert [row.virtual_path for row in rows] == paths
    door = f"/upload-tasks/{made.json()['id']}/files/{rows[0].pk}/upload"
    sent = owner_api.post(door, b"new", content_type="application/octet-stream")
    assert sent.status_code == 200, sent.content
    assert sorted(File.objects.filter(folder__path="/a").values_list("name", "size")) == [
        ("x (1).txt", 5), ("x (3).txt", 3), ("x.txt", 5),
    ]  # fmt: skip
    # Free names are taken as they are; without a word, what is there becomes a version.
    free = manifest(announced("/free/y.txt", b"y"), on_clash="refuse")
    assert owner_api.post("/upload-tasks", free).status_code == 201
    assert owner_api.post("/upload-tasks", manifest(announced("/y.txt", b"new"))).status_code == 201


@pytest.mark.parametrize(
    "name",
    ["1." + "x" * 253, "场景.最终版" + "改" * 79, "🎬" * 58 + "." + "e" * 20, "镜头\u3000\u3000.blend"],
)
def test_both_are_kept_whatever_their_name(owner: User, owner_api: Client, drive: Drive, name: str) -> None:
    put(owner, f"/{name}", b"there")
    assert (
        owner_api.post(
            "/upload-tasks", manifest(announced(f"/{name}", b"new"), on_clash="keep_both")
        ).status_code
        == 201
    )
    assert TaskFile.objects.get().file_name != name

    entry = File.objects.get().pk
    for number in (1, 2, 3):
        made = owner_api.post(f"/files/{entry}/copy", {"folder_path": "/", "on_clash": "keep_both"})
        assert made.status_code == 201, made.content
        assert f" ({number})" in made.json()["name"]
        assert len(made.json()["name"].encode()) <= 255


class Asked(set[tuple[UUID | None, str]]):
    """Places that are taken, and how often somebody has asked for one."""

    times = 0

    def __contains__(self, place: object) -> bool:
        self.times += 1
        return super().__contains__(place)


def test_long_names_that_differ_at_their_ends_are_renamed_without_trying_all_others() -> None:
    names = [f"{'x' * 247}{number:04}.exr" for number in range(400)]
    taken = Asked((None, name) for name in names)

    found = list(free_names([(None, name) for name in names], taken))

    assert len({*names, *found}) == 800
    assert max(len(name.encode()) for name in found) == 255
    assert taken.times < 1000
