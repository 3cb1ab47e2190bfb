"""Finding one's way: order, search, marks, sizes, trees, the log of what was done; and selections."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from drives import selectors
from drives.models import Drive, Favourite, File, FileOperation
from drives.services.places import ensure_folders
from tests.conftest import Client
from tests.drives.manager import id_at, names, post, used
from tests.factories import put

pytestmark = pytest.mark.django_db


def found(client: Client, keyword: str, **query: Any) -> list[str]:
    answer = client.get("/files", {"keyword": keyword, **query})
    assert answer.status_code == 200, answer.content
    return [entry["name"] for entry in answer.json()["files"]]


def test_the_order_is_what_was_asked_for(owner: User, owner_api: Client) -> None:
    for name, size in (("b.png", 3), ("a.txt", 2), ("c.exr", 1)):
        put(owner, f"/{name}", b"x" * size)
    put(owner, "/z/x", b"x")
    put(owner, "/y/x", b"x")
    assert names(owner_api) == ["y", "z", "a.txt", "b.png", "c.exr"]
    assert names(owner_api, sort="-name") == ["z", "y", "c.exr", "b.png", "a.txt"]
    assert names(owner_api, sort="size") == ["y", "z", "c.exr", "a.txt", "b.png"]
    assert names(owner_api, sort="-created_at") == ["y", "z", "c.exr", "a.txt", "b.png"]
    assert names(owner_api, sort="-updated_at")[:2] == ["y", "z"]
    refused = owner_api.get("/files", {"sort": "drive__user__password"})
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["query", "sort"])


def test_a_search_finds_parts_of_names_in_any_script(owner: User, owner_api: Client, stranger: User) -> None:
    for path in ("/场景/木头贴图.PNG", "/场景/石头.png", "/a/wood_100%.png", "/a/Wood.exr", "/a/plan_b"):
        put(owner, path, path.encode())
    put(owner, "/gone/wood.png", b"gone")
    owner_api.delete(f"/files/{id_at('/gone')}")
    put(stranger, "/wood.png", b"theirs")
    assert found(owner_api, "贴图") == ["木头贴图.PNG"]
    assert found(owner_api, "头") == ["木头贴图.PNG", "石头.png"]
    assert found(owner_api, "场景") == ["场景"]
    assert found(owner_api, "wood") == ["Wood.exr", "wood_100%.png"]
    assert found(owner_api, "0%") == ["wood_100%.png"]
    assert found(owner_api, "n_b") == ["plan_b"]
    assert found(owner_api, "%") == ["wood_100%.png"]
    assert found(owner_api, "odwo") == []
    assert found(owner_api, ".png", limit=1, skip=1) == ["木头贴图.PNG"]
    assert owner_api.get("/files", {"keyword": ".png"}).json()["total"] == 3
    assert owner_api.get("/files", {"keyword": "x" * 101}).status_code == 422
    assert owner_api.get("/files", {"keyword": "a\0b"}).status_code == 422


def test_a_search_stands_on_the_index(owner: User, drive: Drive) -> None:
    """Plans that read every name would be right, and useless with a million of them."""
    blob = put(owner, "/贴图.png", b"x").blob
    rows = [File(drive=drive, name=f"{number:05}", blob=blob, size=1) for number in range(3000)]
    File.objects.bulk_create(rows)
    ensure_folders(drive=drive, paths={f"/{number:04}" for number in range(1000)})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE drives_file, drives_folder")
        # What other tests left pending there would make the indexes look dear.
        cursor.execute(
            "SELECT gin_clean_pending_list('drives_file_grams'), gin_clean_pending_list('drives_folder_grams')"
        )
    for keyword in ("贴图", "图", "贴图.png"):
        with CaptureQueriesContext(connection) as captured:
            _folders, files = selectors.search(drive, keyword, owner)
        assert files.count() == 1
        with connection.cursor() as cursor:
            for query, index in zip(captured, ("drives_folder_grams", "drives_file_grams"), strict=True):
                cursor.execute(f"EXPLAIN {query['sql']}")
                assert index in str(cursor.fetchall()), keyword


def test_a_search_says_when_there_is_more(
    owner: User, owner_api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("木头1", "木头2", "木头3"):
        put(owner, f"/{name}", b"x")
    monkeypatch.setattr(selectors, "MOST_FOUND", 3)
    for keyword in ("木头", "木"):
        answer = owner_api.get(f"/files?keyword={keyword}").json()
        assert (len(answer["files"]), answer["total"], answer["truncated"]) == (3, 3, False)
    monkeypatch.setattr(selectors, "MOST_FOUND", 2)
    answer = owner_api.get("/files?keyword=木&skip=1").json()
    assert (len(answer["files"]), answer["total"], answer["truncated"]) == (1, 2, True)
    listed = owner_api.get("/files", {"limit": 2}).json()
    assert (len(listed["files"]), listed["total"], listed["truncated"]) == (2, 3, False)


def test_what_moves_into_another_drive_is_found_there(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/a/木头.png", b"x")
    second = post(owner_api, "/drives", 201, name="Second")["id"]
    post(owner_api, f"/files/{id_at('/a')}/move", folder_path="/", drive_id=second)
    for keyword in ("木头", "木", "头.png"):
        assert found(owner_api, keyword, drive_id=str(drive.pk)) == []
        assert found(owner_api, keyword, drive_id=second) == ["木头.png"]


def test_pages_of_folders_and_files_join_without_a_seam(owner: User, owner_api: Client) -> None:
    for name in ("a", "b", "c"):
        put(owner, f"/d/{name}/x", b"x")
        put(owner, f"/d/{name}.txt", b"x")
    for sort in ("name", "-size", "updated_at"):
        whole = names(owner_api, "/d", sort=sort)
        pages = [names(owner_api, "/d", sort=sort, skip=skip, limit=2) for skip in range(0, 8, 2)]
        assert pages == [whole[:2], whole[2:4], whole[4:6], []]


def test_statements_do_not_grow_with_what_is_listed(owner: User, owner_api: Client, drive: Drive) -> None:
    def statements(path: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert owner_api.get(path).status_code == 200
        return len(captured)

    for number in range(2):
        put(owner, f"/a/b/{number}.png", b"x")
        put(owner, f"/a/b/{number}.png", b"xy")
    file = id_at("/a/b/0.png")
    paths = {
        "/files?folder_path=/a/b": 9, "/files?keyword=png": 8, "/files/favourites": 8,
        f"/drives/{drive.pk}/tree?depth=9": 5, f"/drives/{drive.pk}/breakdown": 6,
        f"/drives/{drive.pk}/trash": 8, f"/drives/{drive.pk}/operations": 6, f"/files/{file}/versions": 6,
        f"/files/{id_at('/a')}/size": 7,
    }  # fmt: skip
    few = {path: statements(path) for path in paths}
    for number in range(12):
        put(owner, f"/a/b/{number}.png", b"more" * number)
        put(owner, f"/a/{number}/x", b"x")
        put(owner, f"/away/{number}", b"x")
        owner_api.put(f"/files/{id_at(f'/a/b/{number}.png')}/favourite")
        owner_api.delete(f"/files/{id_at(f'/away/{number}')}")
    assert {path: statements(path) for path in paths} == few
    for path, most in paths.items():
        assert few[path] <= most, path


def test_marks_are_ones_own(owner: User, owner_api: Client, stranger_api: Client) -> None:
    put(owner, "/a/x", b"x")
    put(owner, "/a/y", b"y")
    for path in ("/a", "/a/x"):
        for _time in range(2):
            assert owner_api.put(f"/files/{id_at(path)}/favourite").status_code == 200
    assert [entry["name"] for entry in owner_api.get("/files/favourites").json()["files"]] == ["a", "x"]
    listed = owner_api.get("/files", {"folder_path": "/a"}).json()["files"]
    assert [(entry["name"], entry["is_favourite"]) for entry in listed] == [("x", True), ("y", False)]
    assert stranger_api.get("/files/favourites").json()["files"] == []
    assert stranger_api.put(f"/files/{id_at('/a/x')}/favourite").status_code == 404
    assert Favourite.objects.count() == 2
    file = id_at("/a/x")
    owner_api.delete(f"/files/{file}")
    assert [entry["name"] for entry in owner_api.get("/files/favourites").json()["files"]] == ["a"]
    assert owner_api.delete(f"/files/{file}/favourite").status_code == 200
    assert Favourite.objects.count() == 1


def test_trees_and_sizes(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/a/b/c/x.png", b"x" * 10)
    put(owner, "/a/y.mp4", b"y" * 5)
    put(owner, "/a.b/z", b"z")
    ensure_folders(drive=drive, paths={"/e"})

    def tree(**query: Any) -> list[tuple[str, bool]]:
        answer = owner_api.get(f"/drives/{drive.pk}/tree", query).json()
        assert answer["truncated"] is False
        return [(folder["path"], folder["has_children"]) for folder in answer["folders"]]

    assert tree() == [("/a", True), ("/a.b", False), ("/e", False)]
    assert tree(path="/a", depth=2) == [("/a/b", True), ("/a/b/c", False)]
    assert tree(path="/a.b") == []
    assert owner_api.get(f"/files/{id_at('/a')}/size").json() == {
        "size": 15,
        "file_count": 2,
        "folder_count": 2,
    }
    assert owner_api.get(f"/files/{id_at('/a/y.mp4')}/size").json()["size"] == 5
    shown = owner_api.get(f"/drives/{drive.pk}/breakdown").json()
    assert [(row["type"], row["total_size"]) for row in shown["by_type"]] == [
        ("image", 10), ("video", 5), ("application", 1),
    ]  # fmt: skip
    assert [(row["name"], row["total_size"], row["file_count"]) for row in shown["by_folder"]] == [
        ("a", 15, 2), ("a.b", 1, 1),
    ]  # fmt: skip
    inside = owner_api.get(f"/drives/{drive.pk}/breakdown", {"path": "/a"}).json()["by_folder"]
    assert [(row["name"], row["total_size"]) for row in inside] == [("b", 10)]


def test_what_was_done_is_listed_per_drive_file_and_person(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    post(owner_api, "/files", 201, drive_id=str(drive.pk), file_name="a")
    put(owner, "/a/x", b"xyz")
    file, folder = id_at("/a/x"), id_at("/a")
    owner_api.put(f"/files/{file}", {"file_name": "y"})
    owner_api.get(f"/files/{file}/download")
    owner_api.delete(f"/files/{folder}")

    def log(**query: Any) -> list[tuple[str, str, str]]:
        rows = owner_api.get(f"/drives/{drive.pk}/operations", query).json()["operations"]
        return [(row["action"], row["path"], row["new_path"]) for row in rows]

    assert log() == [
        ("trash", "/a", ""), ("download", "/a/y", ""), ("rename", "/a/x", "/a/y"), ("upload", "/a/x", ""),
        ("create", "/a", ""),
    ]  # fmt: skip
    assert [action for action, *_ in log(target_id=file)] == ["download", "rename", "upload"]
    assert log(action="trash", actor_id=str(owner.pk)) == [("trash", "/a", "")]
    assert log(actor_id=file) == []
    assert FileOperation.objects.get(action="upload").size == 3


def test_a_selection_gets_an_answer_per_item(
    owner: User, owner_api: Client, stranger: User, drive: Drive
) -> None:
    put(owner, "/a/x", b"x")
    put(owner, "/a/y", b"y")
    put(owner, "/to/y", b"other")
    put(stranger, "/s", b"s")
    x, y, foreign = id_at("/a/x"), id_at("/a/y"), id_at("/s", stranger)

    def bulk(action: str, *ids: str, **body: Any) -> list[str]:
        answer = post(owner_api, "/files/bulk", action=action, ids=ids, **body)
        results = answer["results"]
        assert [result["id"] for result in results] == list(ids)
        assert answer["failed"] == sum(not result["success"] for result in results)
        return [result["code"] for result in results]

    assert bulk("move", x, y, foreign, folder_path="/to") == ["", "name_taken", "not_found"]
    assert names(owner_api, "/to") == ["x", "y"]
    assert bulk("copy", y, folder_path="/to", on_clash="keep_both") == [""]
    assert bulk("trash", x, y, foreign) == ["", "", "not_found"]
    assert names(owner_api, "/to") == ["y", "y (1)"]
    assert bulk("restore", x, y) == ["", ""]
    assert names(owner_api, "/a") == ["y"]
    assert bulk("purge", x, y) == ["not_found", "not_found"]
    bulk("trash", x, y)
    assert bulk("purge", x, y) == ["", ""]
    assert File.objects.filter(name="s").count() == 1
    assert used(drive) == 6
    for body in (
        {"action": "move", "ids": [x]}, {"action": "trash", "ids": []}, {"action": "burn", "ids": [x]},
        {"action": "trash", "ids": [x] * 501},
    ):  # fmt: skip
        assert owner_api.post("/files/bulk", body).status_code == 422
