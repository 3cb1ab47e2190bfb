"""The trash: in, out, and away for good."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from drives.models import Drive, File, FileOperation, Folder
from drives.services import trash
from drives.services.drives import delete_drive
from drives.tasks import empty_trash
from tests.conftest import Client
from tests.drives.manager import id_at, names, post, used
from tests.factories import put
from tests.racing import race

pytestmark = pytest.mark.django_db


def trash_of(client: Client, drive: Drive) -> list[tuple[str, str]]:
    answer = client.get(f"/drives/{drive.pk}/trash").json()
    return [(entry["folder_path"], entry["name"]) for entry in answer["files"]]


def test_out_of_the_trash_everything_is_where_it_was(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/a/b/x", b"x" * 10)
    put(owner, "/a/y", b"y")
    folder, file = id_at("/a/b"), id_at("/a/y")
    for item in (folder, file):
        owner_api.delete(f"/files/{item}")
    assert used(drive) == 0
    assert trash_of(owner_api, drive) == [("/a", "b"), ("/a", "y")]
    restored = post(owner_api, f"/files/{folder}/restore")
    assert (restored["id"], restored["folder_path"], restored["trashed_at"]) == (folder, "/a", None)
    post(owner_api, f"/files/{file}/restore")
    assert names(owner_api, "/a") == ["b", "y"]
    assert names(owner_api, "/a/b") == ["x"]
    assert used(drive) == 11
    assert trash_of(owner_api, drive) == []
    actions = (
        FileOperation.objects.order_by("created_at").exclude(action="upload").values_list("action", "path")
    )
    assert list(actions) == [("trash", "/a/b"), ("trash", "/a/y"), ("restore", "/a/b"), ("restore", "/a/y")]


def test_what_was_trashed_before_stays_in_the_trash(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/a/b/x", b"x")
    put(owner, "/a/y", b"y")
    put(owner, "/a/z", b"z")
    top, inner = id_at("/a"), id_at("/a/b")
    for item in (inner, id_at("/a/y"), top):
        owner_api.delete(f"/files/{item}")
    post(owner_api, f"/files/{top}/restore")
    assert names(owner_api, "/a") == ["z"]
    assert sorted(trash_of(owner_api, drive)) == [("/a", "b"), ("/a", "y")]
    assert used(drive) == 1
    # Its place is that of the folder it lay in, also after that was renamed.
    owner_api.put(f"/files/{top}", {"file_name": "new"})
    assert post(owner_api, f"/files/{inner}/restore")["folder_path"] == "/new"


def test_a_place_that_is_taken_or_gone(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/a/x", b"old")
    file = id_at("/a/x")
    owner_api.delete(f"/files/{file}")
    put(owner, "/a/x", b"newer")
    assert post(owner_api, f"/files/{file}/restore", 409)["code"] == "name_taken"
    assert used(drive) == 5
    both = post(owner_api, f"/files/{file}/restore", on_clash="keep_both")
    assert (both["name"], used(drive)) == ("x (1)", 8)

    owner_api.delete(f"/files/{file}")
    owner_api.delete(f"/files/{id_at('/a')}")
    assert post(owner_api, f"/files/{file}/restore", 409)["code"] == "place_gone"
    assert post(owner_api, f"/files/{file}/restore", 404, folder_path="/none")["code"] == "not_found"
    assert post(owner_api, f"/files/{file}/restore", folder_path="/")["folder_path"] == "/"
    assert names(owner_api) == ["x (1)"]


def test_a_restored_file_takes_the_place_where_it_is_told_so(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    put(owner, "/x", b"old")
    file = id_at("/x")
    owner_api.delete(f"/files/{file}")
    put(owner, "/x", b"newer")
    post(owner_api, f"/files/{file}/restore", on_clash="replace")
    assert names(owner_api) == ["x"]
    assert [version["size"] for version in owner_api.get(f"/files/{file}/versions").json()["versions"]] == [5]
    assert used(drive) == 3


def test_restoring_needs_room(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/a/x", b"x" * 10)
    folder = id_at("/a")
    owner_api.delete(f"/files/{folder}")
    Drive.objects.filter(pk=drive.pk).update(total_size=9)
    assert post(owner_api, f"/files/{folder}/restore", 413)["code"] == "quota_exceeded"
    assert (names(owner_api), used(drive)) == ([], 0)


def test_only_what_is_in_the_trash_is_restored_or_purged(owner: User, owner_api: Client) -> None:
    put(owner, "/a/x", b"x")
    for item in (id_at("/a"), id_at("/a/x")):
        post(owner_api, f"/files/{item}/restore", 404)
        post(owner_api, f"/files/{item}/purge", 404)
    assert names(owner_api, "/a") == ["x"]


def test_away_for_good(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/a/b/x", b"x")
    put(owner, "/a/c/y", b"y")
    put(owner, "/z", b"z")
    top, inner, file = id_at("/a"), id_at("/a/b"), id_at("/z")
    for item in (inner, top, file):
        owner_api.delete(f"/files/{item}")
        if item != inner:
            post(owner_api, f"/files/{item}/purge")
    # The folder that went into the trash before is lost with the one it lay in, once the rows are deleted.
    assert trash_of(owner_api, drive) == [("/a", "b")]
    assert File.objects.filter(name="z").count() == 0
    post(owner_api, f"/files/{top}/restore", 404)
    empty_trash()
    assert (File.objects.count(), Folder.objects.count()) == (0, 0)
    assert used(drive) == 0


def test_emptying_the_trash_leaves_the_living(
    owner: User, owner_api: Client, stranger: User, drive: Drive
) -> None:
    for path in ("/a/x", "/b", "/c"):
        put(owner, path, b"x")
    put(stranger, "/s", b"s")
    Client(stranger).delete(f"/files/{id_at('/s')}")
    for path in ("/a", "/b"):
        owner_api.delete(f"/files/{id_at(path)}")
    assert owner_api.delete(f"/drives/{drive.pk}/trash").json() == {"success": True, "count": 2}
    trash.delete_purged()
    assert names(owner_api) == ["c"]
    assert sorted(File.objects.values_list("name", flat=True)) == ["c", "s"]


def test_after_thirty_days_the_trash_is_emptied(
    owner: User, owner_api: Client, drive: Drive, settings: Any
) -> None:
    put(owner, "/old/x", b"x")
    put(owner, "/new/y", b"y")
    put(owner, "/file", b"z")
    old = id_at("/old")
    for path in ("/old", "/new", "/file"):
        owner_api.delete(f"/files/{id_at(path)}")
    long_ago = timezone.now() - timedelta(days=30, minutes=1)
    Folder.objects.filter(pk=old).update(trashed_at=long_ago)
    File.objects.filter(name="file").update(trashed_at=long_ago)
    empty_trash()
    assert trash_of(owner_api, drive) == [("/", "new")]
    assert list(File.objects.values_list("name", flat=True)) == ["y"]


def test_a_deleted_drive_is_emptied_later(owner: User, drive: Drive) -> None:
    put(owner, "/a/b/x", b"x")
    delete_drive(drive=drive, actor=owner)
    empty_trash()
    assert File.objects.count() == 1
    Drive.objects.filter(pk=drive.pk).update(updated_at=timezone.now() - timedelta(days=31))
    empty_trash()
    assert (File.objects.count(), Folder.objects.count(), used(drive)) == (0, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_restored_and_purged_at_once_is_one_of_both(owner: User, drive: Drive) -> None:
    for number in range(4):
        put(owner, f"/{number}/x", b"x")
        folder = Folder.objects.select_related("drive").get(path=f"/{number}")
        trash.trash(entry=folder, actor=owner)

        def act(which: int, pk: str = str(folder.pk)) -> int:
            verb = ("restore", "purge")[which % 2]
            return int(Client(owner).post(f"/files/{pk}/{verb}").status_code)

        assert sorted(race(4, act)) == [200, 404, 404, 404]
        living = Folder.objects.living().filter(pk=folder.pk).exists()
        assert used(drive) == (1 if living else 0)
        File.objects.all().delete()
        Folder.objects.all().delete()
        Drive.objects.update(used_size=0)
