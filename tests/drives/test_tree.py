"""Folders and files at the door: /drives/{id}/files and /files."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from common.errors import NotVisible
from drives.errors import BadName, NameTaken
from drives.models import Drive, File, Folder
from drives.paths import clean_name
from drives.services import drives, places
from drives.services.blobs import store_chunks
from drives.services.moving import rename
from drives.services.operations import path_of_entry
from drives.services.places import ensure_folders
from drives.services.trash import trash
from drives.services.tree import NewFile, put_files
from tests.conftest import Client
from tests.factories import put

pytestmark = pytest.mark.django_db


def names(client: Client, path: str = "/", **query: Any) -> list[str]:
    answer = client.get("/files", {"folder_path": path, **query})
    assert answer.status_code == 200, answer.content
    return [entry["name"] for entry in answer.json()["files"]]


def entry(client: Client, path: str, name: str) -> dict[str, Any]:
    files = client.get("/files", {"folder_path": path}).json()["files"]
    return next(found for found in files if found["name"] == name)


def used(drive: Drive) -> int:
    drive.refresh_from_db()
    return drive.used_size


def test_a_listing_shows_folders_first_then_files_by_name(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    for path in ("/场景/贴图/木.png", "/场景/贴图/石.png", "/场景/b.blend", "/场景/a.blend", "/readme.txt"):
        put(owner, path, path.encode())
    assert names(owner_api) == ["场景", "readme.txt"]
    assert names(owner_api, "/场景") == ["贴图", "a.blend", "b.blend"]
    assert names(owner_api, "场景//贴图/") == ["木.png", "石.png"]
    by_drive = owner_api.get(f"/drives/{drive.pk}/files", {"path": "/场景"}).json()
    assert [found["name"] for found in by_drive["files"]] == ["贴图", "a.blend", "b.blend"]
    assert (by_drive["total"], by_drive["skip"], by_drive["limit"]) == (3, 0, 1000)

    shown = entry(owner_api, "/场景/贴图", "木.png")
    content = "/场景/贴图/木.png".encode()
    file = File.objects.get(name="木.png")
    assert shown == {
        "id": str(file.pk),
        "name": "木.png",
        "file_name": "木.png",
        "size": len(content),
        "file_size": len(content),
        "is_folder": False,
        "drive_id": str(drive.pk),
        "folder_path": "/场景/贴图",
        "mime_type": "image/png",
        "md5": file.blob.md5,
        "sha256": file.blob.sha256,
        "download_url": shown["download_url"],
        "preview_url": f"/api/v1/files/{file.pk}/preview",
        "is_favourite": False,
        "created_at": shown["created_at"],
        "updated_at": shown["updated_at"],
        "modified_at": shown["modified_at"],
        "trashed_at": None,
    }
    assert b"".join(owner_api.get(shown["download_url"].removeprefix("http://testserver"))) == content
    folder = entry(owner_api, "/场景", "贴图")
    assert (folder["is_folder"], folder["size"], folder["folder_path"], folder["download_url"]) == (
        True, 0, "/场景", None,
    )  # fmt: skip
    trail = [
        {"id": str(each.pk), "name": each.name, "path": each.path} for each in Folder.objects.order_by("path")
    ]
    assert [crumb["path"] for crumb in trail] == ["/场景", "/场景/贴图"]
    assert owner_api.get(f"/files/{folder['id']}").json() == {**folder, "breadcrumbs": trail}
    assert by_drive["breadcrumbs"] == trail[:1]
    assert owner_api.get(f"/files/{file.pk}").json()["folder_path"] == "/场景/贴图"


def test_pages_run_from_folders_into_files(owner: User, owner_api: Client) -> None:
    for number in range(3):
        put(owner, f"/folder {number}/x", b"x")
        put(owner, f"/file {number}", b"x")
    everything = names(owner_api)
    assert everything == [f"folder {n}" for n in range(3)] + [f"file {n}" for n in range(3)]
    for limit in (1, 2, 4, 5):
        pages = [names(owner_api, skip=skip, limit=limit) for skip in range(0, 6, limit)]
        assert [name for page in pages for name in page] == everything
    page = owner_api.get("/files?skip=2&limit=2").json()
    assert (page["total"], page["skip"], page["limit"]) == (6, 2, 2)
    assert names(owner_api, skip=6) == []
    assert owner_api.get("/files?skip=-1").status_code == 422


def test_a_listing_takes_the_same_queries_for_any_length(owner: User, owner_api: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert owner_api.get("/files").status_code == 200
        return len(captured)

    put(owner, "/first", b"x")
    put(owner, "/folder/x", b"x")
    owner_api.get("/files")
    few = queries()
    for number in range(15):
        put(owner, f"/folder {number}/x", b"x")
        put(owner, f"/file {number}", b"x")
    assert queries() == few <= 10


def test_a_folder_is_created_renamed_and_deleted(owner_api: Client, drive: Drive) -> None:
    body = {"drive_id": str(drive.pk), "folder_path": "/", "file_name": "贴图", "is_folder": True}
    made = owner_api.post("/files", body)
    assert made.status_code == 201
    assert (made.json()["file_name"], made.json()["is_folder"]) == ("贴图", True)
    inside = owner_api.post("/files", {**body, "folder_path": "//贴图/", "file_name": "木"})
    assert inside.json()["folder_path"] == "/贴图"
    renamed = owner_api.put(f"/files/{made.json()['id']}", {"file_name": "textures"})
    assert (renamed.status_code, renamed.json()["file_name"]) == (200, "textures")
    assert names(owner_api, "/textures") == ["木"]
    assert owner_api.get("/files?folder_path=/贴图").status_code == 404
    assert owner_api.delete(f"/files/{made.json()['id']}").json() == {"success": True}
    assert names(owner_api) == []
    assert owner_api.get(f"/files/{inside.json()['id']}").status_code == 404


def test_only_folders_are_created_here_and_only_in_folders(owner_api: Client, drive: Drive) -> None:
    body = {"drive_id": str(drive.pk), "folder_path": "/nowhere", "file_name": "x"}
    assert owner_api.post("/files", body).status_code == 404
    assert owner_api.post("/files", {**body, "folder_path": "/", "is_folder": False}).status_code == 422
    assert owner_api.post("/files", {**body, "drive_id": "nonsense"}).status_code == 422
    assert not Folder.objects.exists()


def test_names_clash_between_folders_and_files_alike(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/a/x", b"x")
    put(owner, "/b", b"b")
    file, folder = entry(owner_api, "/", "b"), entry(owner_api, "/", "a")
    inner = entry(owner_api, "/a", "x")
    put(owner, "/a/y", b"y")
    for answer in (
        owner_api.post("/files", {"drive_id": str(drive.pk), "file_name": "a"}),
        owner_api.post("/files", {"drive_id": str(drive.pk), "file_name": "b"}),
        owner_api.post("/files", {"drive_id": str(drive.pk), "folder_path": "/a", "file_name": "x"}),
        owner_api.put(f"/files/{file['id']}", {"file_name": "a"}),
        owner_api.put(f"/files/{folder['id']}", {"file_name": "b"}),
        owner_api.put(f"/files/{inner['id']}", {"file_name": "y"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    assert names(owner_api) == ["a", "b"]
    assert names(owner_api, "/a") == ["x", "y"]
    # A name of one's own is no clash.
    assert owner_api.put(f"/files/{file['id']}", {"file_name": "b"}).status_code == 200
    assert owner_api.put(f"/files/{folder['id']}", {"file_name": "a"}).status_code == 200


def test_services_refuse_a_folder_where_a_file_is_and_the_other_way_round(owner: User, drive: Drive) -> None:
    put(owner, "/a/b", b"x")
    with pytest.raises(NameTaken):
        ensure_folders(drive=drive, paths={"/a/b/c"})
    with pytest.raises(NameTaken):
        put(owner, "/a", b"x")
    assert list(Folder.objects.values_list("path", flat=True)) == ["/a"]
    assert File.objects.count() == 1
    assert used(drive) == 1


BAD_NAMES = [
    "",
    ".",
    "..",
    "a/b",
    "a\\b",
    "a\nb",
    "a\x7fb",
    "a\x85b",
    " a",
    "a ",
    "\u3000a",
    "x" * 256,
    "贴" * 86,
]
BAD_PATHS = ["/..", "/a/../b", "/a/./b", "/a\\b", "/a\n", "/ a", "/" + "x" * 256, "/ab" * 400]
UNSTORABLE = ["a\0b", "a\ud800"]
"""What PostgreSQL cannot hold: in a JSON body the parser refuses it before anybody asks for a name."""


@pytest.mark.parametrize("name", [*BAD_NAMES, *UNSTORABLE])
def test_a_bad_name_is_refused_everywhere(owner: User, owner_api: Client, drive: Drive, name: str) -> None:
    with pytest.raises(BadName):
        clean_name(name)
    put(owner, "/folder/file", b"x")
    file, folder = entry(owner_api, "/folder", "file"), entry(owner_api, "/", "folder")
    body = json.dumps({"drive_id": str(drive.pk), "file_name": name})  # a lone surrogate stays an escape
    code = "validation_error" if name in UNSTORABLE else "bad_name"
    for answer in (
        owner_api.post("/files", body, content_type="application/json"),
        owner_api.put(f"/files/{file['id']}", body, content_type="application/json"),
        owner_api.put(f"/files/{folder['id']}", body, content_type="application/json"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert answer.json()["errors"][0]["loc"] == ["body", "file_name"]
    assert (names(owner_api), names(owner_api, "/folder")) == (["folder"], ["file"])


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_bad_path_is_refused_everywhere(owner_api: Client, drive: Drive, path: str) -> None:
    for answer in (
        owner_api.get("/files", {"folder_path": path}),
        owner_api.get(f"/drives/{drive.pk}/files", {"path": path}),
        owner_api.post("/files", {"drive_id": str(drive.pk), "folder_path": path, "file_name": "x"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_name")


def test_a_nul_in_the_query_is_refused_as_well(owner_api: Client, drive: Drive) -> None:
    for answer in (
        owner_api.get("/files?folder_path=/a%00"),
        owner_api.get(f"/drives/{drive.pk}/files?path=%00"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_name")
    assert owner_api.get("/files?drive_id=%00").status_code == 404


def test_one_spelling_for_each_name(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/cafe\u0301/x", b"x")
    assert names(owner_api) == ["caf\u00e9"]
    assert names(owner_api, "/cafe\u0301") == names(owner_api, "/caf\u00e9") == ["x"]
    clash = owner_api.post("/files", {"drive_id": str(drive.pk), "file_name": "cafe\u0301"})
    assert clash.status_code == 409


def test_paths_may_be_long_but_not_longer(owner: User, owner_api: Client, drive: Drive) -> None:
    """The longest path is stored, listed, trashed; Chinese characters count three bytes each in an index."""
    deep = f"/{'深' * 79}" * 10 + "/" + "深" * 5
    assert len(deep.encode()) == 2396
    put(owner, f"{deep}/x", b"x")
    assert names(owner_api, deep) == ["x"]
    top = entry(owner_api, "/", "深" * 79)
    too_long = owner_api.put(f"/files/{top['id']}", {"file_name": "深" * 85})
    assert (too_long.status_code, too_long.json()["code"]) == (422, "bad_name")
    assert names(owner_api, deep) == ["x"]
    assert owner_api.get("/files", {"folder_path": deep + "/" + "深" * 79}).json()["code"] == "bad_name"
    assert owner_api.delete(f"/files/{top['id']}").status_code == 200
    assert names(owner_api) == []


def test_renaming_a_folder_moves_what_is_below_and_nothing_else(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    for path in ("/a/one", "/a/b/two", "/ab/three", "/a_/four", "/A/five"):
        put(owner, path, path.encode())
    other = drives.create_drive(user=owner, name="other")
    put(owner, "/a/b/two", b"other", drive=other)
    folder = entry(owner_api, "/", "a")
    assert owner_api.put(f"/files/{folder['id']}", {"file_name": "新%_"}).status_code == 200
    paths = Folder.objects.filter(drive=drive).order_by("path").values_list("path", flat=True)
    assert list(paths) == ["/A", "/a_", "/ab", "/新%_", "/新%_/b"]
    assert set(Folder.objects.filter(drive=other).values_list("path", flat=True)) == {"/a", "/a/b"}
    assert names(owner_api, "/新%_") == ["b", "one"]
    assert names(owner_api, "/新%_/b") == ["two"]
    # What looks like a pattern is none.
    again = entry(owner_api, "/", "新%_")
    owner_api.put(f"/files/{again['id']}", {"file_name": "z"})
    assert names(owner_api, "/z/b") == ["two"]


def test_a_rename_works_on_what_is_there_now(owner: User, drive: Drive) -> None:
    """The caller's rows may be old: a parent was renamed, or the subtree trashed, since they were read."""
    put(owner, "/a/b/x", b"x")
    parent, child = Folder.objects.get(path="/a"), Folder.objects.get(path="/a/b")
    file = File.objects.select_related("drive").get()
    rename(entry=parent, actor=owner, name="new")
    assert path_of_entry(rename(entry=child, actor=owner, name="c")) == "/new/c"
    trash(entry=parent, actor=owner)
    with pytest.raises(NotVisible):
        rename(entry=child, actor=owner, name="d")
    with pytest.raises(NotVisible):
        rename(entry=file, actor=owner, name="y")


def test_the_trash_frees_the_place_and_the_quota(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/a/b/two", b"22")
    put(owner, "/a/one", b"1")
    put(owner, "/ab/three", b"333")
    assert used(drive) == 6
    file = entry(owner_api, "/a", "one")
    assert owner_api.delete(f"/files/{file['id']}").status_code == 200
    assert used(drive) == 5
    for path in (f"/files/{file['id']}", f"/files/{file['id']}/download"):
        assert owner_api.get(path).status_code == 404
    assert owner_api.delete(f"/files/{file['id']}").status_code == 404
    put(owner, "/a/one", b"new one")
    assert used(drive) == 12

    folder, inner = entry(owner_api, "/", "a"), entry(owner_api, "/a", "b")
    two = entry(owner_api, "/a/b", "two")
    assert owner_api.delete(f"/files/{folder['id']}").status_code == 200
    assert used(drive) == 3
    assert names(owner_api) == ["ab"]
    for gone in (folder, inner, two):
        assert owner_api.get(f"/files/{gone['id']}").status_code == 404
        assert owner_api.put(f"/files/{gone['id']}", {"file_name": "y"}).status_code == 404
        assert owner_api.delete(f"/files/{gone['id']}").status_code == 404
    assert used(drive) == 3

    # The same places again, trashed again: nothing is in the way.
    put(owner, "/a/b/two", b"4444")
    assert names(owner_api, "/a/b") == ["two"]
    owner_api.delete(f"/files/{entry(owner_api, '/', 'a')['id']}")
    assert (used(drive), names(owner_api)) == (3, ["ab"])


def test_new_content_under_an_old_name(owner: User, owner_api: Client, drive: Drive) -> None:
    first = put(owner, "/a/x.png", b"old content")
    second = put(owner, "/a/x.png", b"new")
    assert (first.pk, File.objects.count(), used(drive)) == (second.pk, 1, 3)
    assert entry(owner_api, "/a", "x.png")["size"] == 3


def test_of_two_files_for_one_place_the_later_stays(owner: User, drive: Drive) -> None:
    blobs = [store_chunks([content]) for content in (b"1", b"22")]
    files = put_files(drive=drive, actor=owner, new_files=[NewFile(None, "x", blob) for blob in blobs])
    assert files[0] is files[1]
    assert (File.objects.get().blob, used(drive)) == (blobs[1], 2)


def test_files_land_also_where_the_folder_was_trashed_meanwhile(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    folders = ensure_folders(drive=drive, paths={"/out/deep"})
    trash(entry=Folder.objects.get(path="/out"), actor=owner)
    put_files(drive=drive, actor=owner, new_files=[NewFile(folders["/out/deep"], "x", store_chunks([b"x"]))])
    assert names(owner_api, "/out/deep") == ["x"]
    # A row read after it went into the trash tells the same place.
    trashed = Folder.objects.get(pk=folders["/out/deep"].pk)  # type: ignore[union-attr]
    put_files(drive=drive, actor=owner, new_files=[NewFile(trashed, "y", store_chunks([b"y"]))])
    assert names(owner_api, "/out/deep") == ["x", "y"]


def test_folders_are_looked_for_again_once_the_tree_is_locked(
    owner: User, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent that was there at the first look is in the trash at the second."""
    old = ensure_folders(drive=drive, paths={"/a"})["/a"]
    real = places.lock_tree

    def trash_first(locked: Drive) -> None:
        monkeypatch.setattr(places, "lock_tree", real)
        trash(entry=Folder.objects.select_related("drive").get(path="/a"), actor=owner)
        real(locked)

    monkeypatch.setattr(places, "lock_tree", trash_first)
    found = ensure_folders(drive=drive, paths={"/a/b"})
    new = Folder.objects.get(path="/a")
    assert new != old
    assert Folder.objects.get(path="/a/b").parent == new == found["/a"]


def test_many_files_land_in_as_many_queries_as_few(owner: User, drive: Drive) -> None:
    blob = store_chunks([b"x"])
    folder = ensure_folders(drive=drive, paths={"/f"})["/f"]

    def queries(prefix: str, count: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            new = [NewFile(folder, f"{prefix}{number}", blob) for number in range(count)]
            put_files(drive=drive, actor=owner, new_files=new)
        return len(captured)

    assert queries("few", 2) == queries("many", 200)


def test_foreign_entries_are_out_of_sight(owner: User, stranger_api: Client, drive: Drive) -> None:
    file = put(owner, "/a/x", b"x")
    folder = Folder.objects.get()
    for row in (file, folder):
        for answer in (
            stranger_api.get(f"/files/{row.pk}"),
            stranger_api.put(f"/files/{row.pk}", {"file_name": "mine"}),
            stranger_api.delete(f"/files/{row.pk}"),
            stranger_api.get(f"/files/{row.pk}/download"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    file.refresh_from_db()
    folder.refresh_from_db()
    assert (file.name, file.trashed_at, folder.path, folder.trashed_at) == ("x", None, "/a", None)
    assert used(drive) == 1


def test_entries_of_a_deleted_drive_are_out_of_sight(owner: User, owner_api: Client, drive: Drive) -> None:
    file = put(owner, "/a/x", b"x")
    owner_api.delete(f"/drives/{drive.pk}")
    assert owner_api.get(f"/files/{file.pk}").status_code == 404
    assert owner_api.get(f"/files?drive_id={drive.pk}").status_code == 404
