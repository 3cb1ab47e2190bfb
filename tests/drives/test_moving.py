"""Moves and copies at the door."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from drives.models import Blob, Drive, File, FileOperation, FileVersion, Folder
from drives.services.drives import create_drive
from drives.services.places import ensure_folders
from tests.conftest import Client
from tests.drives.manager import id_at, names, post, used
from tests.factories import put
from tests.racing import race

pytestmark = pytest.mark.django_db


def test_a_folder_moves_with_all_below_it_and_stays_itself(owner: User, owner_api: Client) -> None:
    put(owner, "/a/b/c/x", b"x")
    put(owner, "/ab/y", b"y")
    ensure_folders(drive=Drive.objects.get(user=owner), paths={"/to"})
    folder, file = id_at("/a/b"), id_at("/a/b/c/x")
    moved = post(owner_api, f"/files/{folder}/move", folder_path="/to")
    assert (moved["id"], moved["folder_path"], moved["name"]) == (folder, "/to", "b")
    assert names(owner_api, "/to/b/c") == ["x"]
    assert id_at("/to/b/c/x") == file
    assert names(owner_api, "/a") == []
    assert names(owner_api, "/ab") == ["y"]
    operation = FileOperation.objects.get(action="move")
    assert (operation.path, operation.new_path, operation.is_folder) == ("/a/b", "/to/b", True)
    assert (str(operation.target_id), operation.actor) == (folder, owner)


def test_moving_costs_as_many_statements_for_many_as_for_one(owner: User, owner_api: Client) -> None:
    def statements(top: str, count: int) -> int:
        drive = Drive.objects.get(user=owner)
        ensure_folders(drive=drive, paths={f"{top}/{number}" for number in range(count)} | {"/to"})
        with CaptureQueriesContext(connection) as captured:
            post(owner_api, f"/files/{id_at(top)}/move", folder_path="/to")
        return len(captured)

    assert statements("/few", 1) == statements("/many", 60) <= 22


@pytest.mark.parametrize("target", ["/a", "/a/b", "/a/b/c"])
def test_nothing_goes_into_itself(owner: User, owner_api: Client, target: str) -> None:
    put(owner, "/a/b/c/x", b"x")
    for verb in ("move", "copy"):
        answer = post(owner_api, f"/files/{id_at('/a')}/{verb}", 409, folder_path=target)
        assert answer["code"] == "into_itself"
    assert Folder.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_crossing_moves_leave_a_tree(owner: User, owner_api: Client) -> None:
    """Of a into b and b into a at once, one happens; a circle would take both out of sight."""
    for number in range(4):
        ensure_folders(drive=Drive.objects.get(user=owner), paths={f"/{number}/a", f"/{number}/b"})
        ids = {name: id_at(f"/{number}/{name}") for name in "ab"}

        def cross(which: int, number: int = number, ids: dict[str, str] = ids) -> int:
            name, other = ("a", "b") if which else ("b", "a")
            target = f"/{number}/{other}"
            answer = Client(owner).post(f"/files/{ids[name]}/move", {"folder_path": target})
            return int(answer.status_code)

        assert sorted(race(2, cross)) in ([200, 404], [200, 409])
        assert Folder.objects.filter(path__startswith=f"/{number}/").count() == 2
        for folder in Folder.objects.select_related("parent"):
            assert folder.path == (f"{folder.parent.path}/" if folder.parent else "/") + folder.name


def test_the_caller_says_what_happens_where_the_name_is_taken(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    put(owner, "/from/x.txt", b"new")
    put(owner, "/to/x.txt", b"old content")
    source = id_at("/from/x.txt")
    refused = post(owner_api, f"/files/{source}/move", 409, folder_path="/to")
    assert refused["code"] == "name_taken"
    assert names(owner_api, "/from") == names(owner_api, "/to") == ["x.txt"]
    copied = post(owner_api, f"/files/{source}/copy", 201, folder_path="/to", on_clash="keep_both")
    assert copied["name"] == "x (1).txt"
    assert used(drive) == 3 + 11 + 3

    moved = post(owner_api, f"/files/{source}/move", folder_path="/to", on_clash="replace")
    assert (moved["id"], moved["size"]) == (source, 3)
    assert names(owner_api, "/to") == ["x (1).txt", "x.txt"]
    assert names(owner_api, "/from") == []
    [version] = owner_api.get(f"/files/{source}/versions").json()["versions"]
    assert version["size"] == 11
    assert used(drive) == 3 + 3


def test_a_copy_replaces_and_keeps_what_was_there_as_a_version(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    put(owner, "/from/x", b"new")
    put(owner, "/to/x", b"old content")
    there = id_at("/to/x")
    copied = post(owner_api, f"/files/{id_at('/from/x')}/copy", 201, folder_path="/to", on_clash="replace")
    assert (copied["id"], copied["size"]) == (there, 3)
    assert [version.size for version in FileVersion.objects.filter(file__id=there)] == [11]
    assert used(drive) == 6
    actions = FileOperation.objects.exclude(action="upload").values_list("action", "path", "new_path")
    assert list(actions) == [("copy", "/from/x", "/to/x")]


def test_folders_are_never_replaced(owner: User, owner_api: Client) -> None:
    put(owner, "/a/x", b"1")
    put(owner, "/to/a/y", b"2")
    put(owner, "/b", b"3")
    ensure_folders(drive=Drive.objects.get(user=owner), paths={"/to/b"})
    for path in ("/a", "/b"):
        for verb in ("move", "copy"):
            answer = post(
                owner_api, f"/files/{id_at(path)}/{verb}", 409, folder_path="/to", on_clash="replace"
            )
            assert answer["code"] == "name_taken"
    assert names(owner_api, "/to/a") == ["y"]


def test_a_copied_folder_has_everything_and_no_bytes_of_its_own(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    put(owner, "/a/b/x", b"x" * 10)
    put(owner, "/a/y", b"y" * 5)
    owner_api.delete(f"/files/{id_at('/a/y')}")
    put(owner, "/a/z", b"z")
    made = post(owner_api, f"/files/{id_at('/a')}/copy", 201, folder_path="/", on_clash="keep_both")
    assert made["name"] == "a (1)"
    assert names(owner_api, "/a (1)") == ["b", "z"]
    assert names(owner_api, "/a (1)/b") == ["x"]
    assert Blob.objects.count() == 3
    assert used(drive) == 22
    assert File.objects.living().count() == 4


def test_copies_are_limited_by_quota_and_number(
    owner: User, owner_api: Client, drive: Drive, settings: Any
) -> None:
    put(owner, "/a/x", b"x" * 10)
    put(owner, "/a/y", b"y" * 10)
    Drive.objects.filter(pk=drive.pk).update(total_size=39)
    for path in ("/a", "/a/x"):
        code = 413 if path == "/a" else 201
        post(owner_api, f"/files/{id_at(path)}/copy", code, folder_path="/", on_clash="keep_both")
    assert used(drive) == 30
    settings.COPY_MAX_ITEMS = 1
    Drive.objects.filter(pk=drive.pk).update(total_size=None)
    answer = post(owner_api, f"/files/{id_at('/a')}/copy", 409, folder_path="/", on_clash="keep_both")
    assert (answer["code"], answer["limit"]) == ("too_many_items", 1)
    assert used(drive) == 30


def test_into_another_drive_the_size_goes_along(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/a/b/x", b"x" * 10)
    put(owner, "/a/gone", b"gone")
    put(owner, "/a/c/later", b"later")
    owner_api.delete(f"/files/{id_at('/a/gone')}")
    owner_api.delete(f"/files/{id_at('/a/c')}")
    other = create_drive(user=owner, name="Second")
    moved = post(owner_api, f"/files/{id_at('/a')}/move", folder_path="/", drive_id=str(other.pk))
    assert moved["drive_id"] == str(other.pk)
    assert (used(drive), used(other)) == (0, 10)
    assert names(owner_api, "/a/b", drive_id=str(other.pk)) == ["x"]
    assert File.objects.get(name="x").drive == other
    # What was in the trash stays in the trash it was put into, and can be brought back there.
    kept = owner_api.get(f"/drives/{drive.pk}/trash").json()["files"]
    assert sorted(entry["name"] for entry in kept) == ["c", "gone"]
    for entry in kept:
        post(owner_api, f"/files/{entry['id']}/restore")
    assert names(owner_api) == ["c", "gone"]
    assert used(drive) == 9


def test_a_drive_that_is_full_takes_nothing_from_another(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    put(owner, "/a/x", b"x" * 10)
    other = create_drive(user=owner, name="Second", total_size=9)
    answer = post(owner_api, f"/files/{id_at('/a')}/move", 413, folder_path="/", drive_id=str(other.pk))
    assert (answer["code"], answer["available"]) == ("quota_exceeded", 9)
    assert (used(drive), used(other)) == (10, 0)
    assert names(owner_api, "/a") == ["x"]


def test_a_path_may_not_grow_too_long_by_a_move(owner: User, owner_api: Client) -> None:
    ensure_folders(drive=Drive.objects.get(user=owner), paths={"/a/" + "b" * 250 + "/" + "c" * 250})
    deep = "/" + "/".join(["d" * 200] * 3)
    ensure_folders(drive=Drive.objects.get(user=owner), paths={deep})
    answer = post(owner_api, f"/files/{id_at('/a')}/move", 422, folder_path=deep)
    assert answer["code"] == "bad_name"
    assert names(owner_api, "/a") == ["b" * 250]


def test_bad_destinations(owner: User, owner_api: Client, stranger: User, foreign_drive: Drive) -> None:
    put(owner, "/a/x", b"x")
    put(stranger, "/s/x", b"x")
    file = id_at("/a/x", owner)
    for body, code, slug in (
        ({"folder_path": "/none"}, 404, "not_found"),
        ({"folder_path": "/../a"}, 422, "bad_name"),
        ({"folder_path": "/", "drive_id": str(foreign_drive.pk)}, 404, "not_found"),
        ({"folder_path": "/", "on_clash": "merge"}, 422, "validation_error"),
        ({}, 422, "validation_error"),
    ):
        for verb in ("move", "copy"):
            answer = owner_api.post(f"/files/{file}/{verb}", body)
            assert (answer.status_code, answer.json()["code"]) == (code, slug), body
    for verb in ("move", "copy"):
        post(owner_api, f"/files/{id_at('/s/x', stranger)}/{verb}", 404, folder_path="/")
    assert names(owner_api, "/a") == ["x"]
    assert File.objects.count() == 2


def test_names_that_keep_both_fit(owner: User, owner_api: Client) -> None:
    long = "贴" * 84 + ".p"
    put(owner, f"/{long}", b"x")
    for suffix in (" (1).p", " (2).p"):
        made = post(owner_api, f"/files/{id_at(f'/{long}')}/copy", 201, folder_path="/", on_clash="keep_both")
        assert made["name"].endswith(suffix)
        assert len(made["name"].encode()) <= 255
