"""What has become of a task: both manifests, statistics, links to everything."""

import random
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from drives.models import Drive, File, Folder
from drives.services.moving import rename
from drives.services.trash import trash
from tests.conftest import Client
from tests.factories import put
from tests.uploads.conftest import Sender, announced, begin, md5_of
from uploads.models import TaskFile, UploadTask
from uploads.selectors import local_keys

pytestmark = pytest.mark.django_db


def export(sender: Sender) -> Any:
    return sender.client.post(f"/upload-tasks/{sender.task_id}/export-manifest")


def check(sender: Sender, content: bytes) -> None:
    item = {"task_file_id": sender.file_id, "md5": md5_of(content), "file_size": len(content)}
    answer = sender.client.post(f"/upload-tasks/{sender.task_id}/files/check", {"files": [item]})
    assert len(answer.json()["existing_files"]) == 1


@pytest.fixture
def senders(owner: User, owner_api: Client, drive: Drive) -> list[Sender]:
    """Sent, linked at once, sent though it was there, failed, waiting."""
    put(owner, "/old", b"known")
    put(owner, "/old too", b"known, too")
    found = begin(
        owner_api,
        announced("/a/sent", b"sent", local_path="D:\\a\\sent", md5=md5_of(b"sent"), mime_type="text/plain"),
        announced("/a/linked", b"known", local_path="D:\\a\\linked"),
        announced("/doubled", b"known, too", local_path="D:\\doubled"),
        announced("/failed", b"failed"),
        announced("/waiting", b"waiting"),
        client_info={"platform": "web"},
        priority=7,
    )
    found[0].whole(b"sent")
    check(found[1], b"known")
    found[2].whole(b"known, too")
    found[3].start()
    found[3].abort()
    return found


def test_the_manifest_tells_what_has_become_of_each_file(
    owner: User, anonymous: Client, drive: Drive, senders: list[Sender]
) -> None:
    answer = export(senders[0])
    assert answer.status_code == 200
    body = answer.json()
    task = UploadTask.objects.get()
    assert {name: body[name] for name in body if name not in ("files", "mappings", "summary")} == {
        "task_id": str(task.pk),
        "task_name": "scene",
        "user_id": str(owner.pk),
        "drive_id": str(drive.pk),
        "drive_name": drive.name,
        "status": "uploading",
        "completed_at": None,
    }
    assert body["summary"] == {
        "total_files": 5,
        "uploaded_files": 2,
        "failed_files": 1,
        "skipped_files": 1,
        "total_size": task.total_size,
        "storage_saved": len(b"known") + len(b"known, too"),
    }
    sent, linked, doubled, failed, waiting = body["files"]
    file = File.objects.get(name="sent")
    assert sent == {
        "file_id": str(file.pk),
        "task_file_id": senders[0].file_id,
        "file_name": "sent",
        "local_path": "D:\\a\\sent",
        "virtual_path": "/a/sent",
        "folder_id": str(file.folder_id),
        "oss_key": "/a/sent",
        "oss_url": sent["oss_url"],
        "file_size": 4,
        "md5": md5_of(b"sent"),
        "upload_status": "completed",
        "is_duplicated": False,
        "upload_duration": sent["upload_duration"],
    }
    assert b"".join(anonymous.get(urlsplit(sent["oss_url"]).path)) == b"sent"
    assert 0 <= sent["upload_duration"] < 60
    assert (linked["upload_status"], linked["is_duplicated"], linked["upload_duration"]) == (
        "skipped",
        True,
        None,
    )
    assert (doubled["upload_status"], doubled["is_duplicated"]) == ("completed", False)
    for line, status in ((failed, "failed"), (waiting, "pending")):
        assert (line["upload_status"], line["file_id"], line["oss_key"], line["oss_url"]) == (
            status,
            None,
            "",
            "",
        )
    assert body["mappings"] == {
        "local_to_oss": {"D:\\a\\sent": "/a/sent", "D:\\a\\linked": "/a/linked", "D:\\doubled": "/doubled"},
        "local_to_virtual": {
            "D:\\a\\sent": "/a/sent",
            "D:\\a\\linked": "/a/linked",
            "D:\\doubled": "/doubled",
            "#3": "/failed",
            "#4": "/waiting",
        },
        "oss_to_file_id": {line["oss_key"]: line["file_id"] for line in (sent, linked, doubled)},
    }


def test_it_tells_where_things_are_now(owner: User, senders: list[Sender]) -> None:
    rename(entry=Folder.objects.select_related("drive").get(path="/a"), actor=owner, name="b")
    trash(entry=File.objects.select_related("drive").get(name="doubled"), actor=owner)
    sent, _linked, doubled, *_rest = export(senders[0]).json()["files"]
    assert (sent["virtual_path"], sent["oss_key"]) == ("/b/sent", "/b/sent")
    assert (doubled["virtual_path"], doubled["file_id"], doubled["oss_url"]) == ("/doubled", None, "")
    assert list(export(senders[0]).json()["mappings"]["oss_to_file_id"]) == ["/b/sent", "/b/linked"]


def test_a_task_by_itself_shows_both_manifests(drive: Drive, senders: list[Sender]) -> None:
    path = f"/upload-tasks/{senders[0].task_id}"
    shown = senders[0].client.get(path).json()
    assert shown["storage_manifest"] is None
    assert {name: value for name, value in shown["upload_manifest"].items() if name != "files"} == {
        "task_name": "scene",
        "drive_id": str(drive.pk),
        "priority": 7,
        "total_files": 5,
        "total_size": shown["total_size"],
        "client_info": {"platform": "web"},
    }
    assert shown["upload_manifest"]["files"][0] == {
        "index": 0,
        "local_path": "D:\\a\\sent",
        "target_folder_path": "/a",
        "file_name": "sent",
        "file_size": 4,
        "md5": md5_of(b"sent"),
        "mime_type": "text/plain",
    }
    assert shown["statistics"] == {
        "sent_size": len(b"sent") + len(b"known, too"),
        "not_sent_size": len(b"known"),
        "not_stored_size": len(b"known") + len(b"known, too"),
    }
    assert senders[3].retry().status_code == 200
    assert senders[3].whole(b"failed").status_code == 200
    senders[4].whole(b"waiting")
    shown = senders[0].client.get(path).json()
    assert [line["upload_status"] for line in shown["storage_manifest"]["files"]] == [
        "completed", "skipped", "completed", "completed", "completed",
    ]  # fmt: skip
    assert shown["storage_manifest"]["completed_at"] == shown["completed_at"]
    listed = senders[0].client.get("/upload-tasks").json()["tasks"][0]
    assert {"upload_manifest", "storage_manifest", "statistics"}.isdisjoint(listed)


def rows(*paths: str) -> list[TaskFile]:
    return [TaskFile(position=position, local_path=path) for position, path in enumerate(paths)]


def test_no_two_files_share_a_key() -> None:
    assert local_keys(rows("a", "a", "b", "", "")) == ["a", "a#1", "b", "#3", "#4"]
    # A path that looks like such a key keeps it.
    assert local_keys(rows("a", "a", "a#1", "#4", "")) == ["a", "a#6", "a#1", "#4", "#9"]
    dice = random.Random(3)
    many = rows(*(dice.choice(["", "a", "a#1", "a#9", "#2", "#52", "b"]) for _number in range(50)))
    keys = local_keys(many)
    assert len(set(keys)) == 50
    for row, key in zip(many, keys, strict=True):
        assert key.startswith(row.local_path)


def test_a_foreign_task_exports_nothing(
    senders: list[Sender], stranger_api: Client, anonymous: Client
) -> None:
    path = f"/upload-tasks/{senders[0].task_id}"
    for client, status in ((stranger_api, 404), (anonymous, 401)):
        assert export(senders[0].again(client)).status_code == status
        assert client.get(f"{path}/download").status_code == status
        assert client.post(f"{path}/archive", {}).status_code == status


def test_manifests_take_as_many_queries_for_many_files_as_for_few(owner_api: Client) -> None:
    def queries(prefix: str, count: int) -> list[int]:
        contents = [f"{prefix} {number}".encode() for number in range(count)]
        found = begin(
            owner_api, *(announced(f"/{prefix}/{n}/{n}", content) for n, content in enumerate(contents))
        )
        for sender, content in zip(found, contents, strict=True):
            assert sender.whole(content).status_code == 200
        path = f"/upload-tasks/{found[0].task_id}"
        counts = []
        for ask in (
            lambda: owner_api.get(path),
            lambda: owner_api.post(f"{path}/export-manifest"),
            lambda: owner_api.get(f"{path}/download"),
            lambda: owner_api.post(f"{path}/archive", {}),
            lambda: owner_api.get("/upload-tasks/stats"),
        ):
            with CaptureQueriesContext(connection) as captured:
                assert ask().status_code == 200
            counts.append(len(captured))
        return counts

    queries("warm", 2)
    few = queries("few", 2)
    assert queries("many", 12) == few
    assert max(few) <= 8


def test_links_to_all_files_of_a_completed_task(
    owner: User, owner_api: Client, anonymous: Client, senders: list[Sender]
) -> None:
    path = f"/upload-tasks/{senders[0].task_id}/download"
    early = owner_api.get(path)
    assert (early.status_code, early.json()["code"], early.json()["status"]) == (
        409, "upload_not_completed", "uploading",
    )  # fmt: skip
    senders[3].retry()
    senders[3].whole(b"failed")
    senders[4].whole(b"waiting")
    body = owner_api.get(f"{path}?expires_in=90").json()
    assert (body["expires_in"], body["file_count"], body["total_size"]) == (90, 5, 4 + 5 + 10 + 6 + 7)
    assert [line["virtual_path"] for line in body["files"]] == [
        "/a/sent",
        "/a/linked",
        "/doubled",
        "/failed",
        "/waiting",
    ]
    contents = [b"".join(anonymous.get(urlsplit(line["download_url"]).path)) for line in body["files"]]
    assert contents == [b"sent", b"known", b"known, too", b"failed", b"waiting"]
    assert urlsplit(body["download_url"]).path.startswith("/archives/")
    assert (
        owner_api.get(f"{path}?expires_in=1").json()["expires_in"],
        owner_api.get(path).json()["expires_in"],
    ) == (60, 3600)
    assert owner_api.get(f"{path}?expires_in=99999").json()["expires_in"] == 86400
    assert owner_api.get(f"{path}?expires_in=x").status_code == 422
    for file in File.objects.select_related("drive").exclude(name="sent"):
        trash(entry=file, actor=owner)
    only = owner_api.get(path).json()
    assert (only["file_count"], only["download_url"]) == (1, only["files"][0]["download_url"])
    trash(entry=File.objects.select_related("drive").get(name="sent"), actor=owner)
    assert owner_api.get(path).status_code == 404


def test_statistics_of_a_user(owner: User, senders: list[Sender], stranger_api: Client) -> None:
    begin(senders[0].client, announced("/later", bytes(100)))
    paused = UploadTask.objects.latest("created_at")
    senders[0].client.put(f"/upload-tasks/{paused.pk}/pause")
    assert senders[0].client.get("/upload-tasks/stats").json() == {
        "total_tasks": 2,
        "paused_tasks": 1,
        "tasks_by_status": {"pending": 1, "uploading": 1, "completed": 0, "failed": 0, "cancelled": 0},
        "files_by_status": {"pending": 2, "uploading": 0, "completed": 2, "failed": 1, "skipped": 1},
        "total_files": 6,
        "uploaded_files": 3,
        "total_size": 132,
        "uploaded_size": 19,
        "sent_size": 14,
        "not_sent_size": 5,
        "not_stored_size": 15,
    }
    nothing = stranger_api.get("/upload-tasks/stats").json()
    assert (nothing["total_tasks"], nothing["sent_size"], set(nothing["files_by_status"].values())) == (
        0,
        0,
        {0},
    )
    assert Client().get("/upload-tasks/stats").status_code == 401
