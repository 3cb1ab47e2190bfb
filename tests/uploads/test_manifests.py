"""POST /upload-tasks: a manifest is taken whole or not at all."""

import json
import random
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import User
from drives.models import Drive, File, Folder
from drives.services.drives import create_drive, delete_drive
from tests.conftest import Client
from tests.factories import put
from tests.racing import race
from tests.uploads.conftest import announced, manifest, sums
from uploads.api.long_lists import CheckedFiles, ManifestFiles
from uploads.models import TaskFile, UploadTask

pytestmark = pytest.mark.django_db


def assert_nothing_made(drive: Drive) -> None:
    assert not UploadTask.objects.exists()
    assert not TaskFile.objects.exists()
    assert not Folder.objects.exists()
    assert sums(drive) == (0, 0)


def refused(client: Client, body: dict[str, Any] | str, drive: Drive) -> dict[str, Any]:
    """The answer to a manifest that is refused; nothing may have been made."""
    text = body if isinstance(body, str) else json.dumps(body)
    answer = client.post("/upload-tasks", text, content_type="application/json")
    assert 400 <= answer.status_code < 500, answer.content
    assert_nothing_made(drive)
    found: dict[str, Any] = {"status": answer.status_code, **answer.json()}
    return found


def test_a_manifest_becomes_a_task(owner: User, owner_api: Client, drive: Drive) -> None:
    body = manifest(
        {
            "index": 0,
            "local_path": "D:\\项目\\木.png",
            "target_folder_path": "/场景//贴图/",
            "file_name": "木.png",
            "file_size": 7,
            "md5": "ABCDEF" + "0" * 26,
            "mime_type": "image/png",
            "modified_time": "2024-01-01T00:00:00Z",
        },
        announced("/readme.txt", b"12345"),
        task_name="灯笼",
        task_description="第一次",
        drive_id=str(drive.pk),
        priority=10,
        total_files=2,
        total_size=12,
        client_info={"platform": "web", "version": "1.2", "secret": {"deep": ["x"]}},
    )
    answer = owner_api.post("/upload-tasks", body)
    assert answer.status_code == 201
    task = answer.json()
    file_ids = task.pop("file_ids")
    assert task == {
        "id": task["id"],
        "user_id": str(owner.pk),
        "drive_id": str(drive.pk),
        "task_name": "灯笼",
        "task_description": "第一次",
        "status": "pending",
        "priority": 10,
        "total_files": 2,
        "uploaded_files": 0,
        "failed_files": 0,
        "total_size": 12,
        "uploaded_size": 0,
        "error_message": "",
        "created_at": task["created_at"],
        "updated_at": task["updated_at"],
        "completed_at": None,
        "paused_at": None,
        "expires_at": task["expires_at"],
        "progress_percentage": 0.0,
        "size_progress_percentage": 0.0,
        "remaining_files": 2,
        "remaining_size": 12,
        "is_completed": False,
        "is_in_progress": True,
    }
    shown = owner_api.get(f"/upload-tasks/{task['id']}").json()
    assert {name: shown[name] for name in task} == task
    assert owner_api.get("/upload-tasks").json()["tasks"] == [task]
    assert UploadTask.objects.get().client_info == {"platform": "web", "version": "1.2"}
    assert sums(drive) == (0, 12)
    assert list(Folder.objects.order_by("path").values_list("path", flat=True)) == ["/场景", "/场景/贴图"]
    first, second = owner_api.get(f"/upload-tasks/{task['id']}/files").json()["files"]
    assert file_ids == [first["id"], second["id"]]
    assert (first["virtual_path"], first["target_folder_path"]) == ("/场景/贴图/木.png", "/场景/贴图")
    assert (first["md5"], first["mime_type"], first["local_path"]) == (
        "abcdef" + "0" * 26, "image/png", "D:\\项目\\木.png",
    )  # fmt: skip
    assert (second["virtual_path"], second["md5"], second["upload_progress"]) == ("/readme.txt", "", 0.0)


def test_without_a_drive_it_is_the_default_one(owner_api: Client, drive: Drive) -> None:
    answer = owner_api.post("/upload-tasks", manifest(announced("/x", b"x")))
    assert answer.json()["drive_id"] == str(drive.pk)


def test_totals_must_be_those_of_the_list(owner_api: Client, drive: Drive) -> None:
    file = announced("/x", b"12345")
    for fields, name in (
        ({"total_files": 2, "total_size": 5}, "total_files"),
        ({"total_files": 1, "total_size": 4}, "total_size"),
        ({"total_files": 0}, "total_files"),
    ):
        found = refused(owner_api, manifest(file, **fields), drive)
        assert (found["status"], found["code"]) == (422, "manifest_invalid")
        assert found["errors"][0]["loc"] == ["body", "upload_manifest", name]


def test_neither_empty_nor_endless(owner_api: Client, drive: Drive, settings: Settings) -> None:
    settings.UPLOAD_MAX_FILES = 3
    files = [announced(f"/{number}", b"x") for number in range(4)]
    for body in (manifest(), manifest(*files)):
        found = refused(owner_api, body, drive)
        assert (found["status"], found["code"]) == (422, "manifest_invalid")
        assert found["errors"][0]["loc"] == ["body", "upload_manifest", "files"]
    assert owner_api.post("/upload-tasks", manifest(*files[:3])).status_code == 201


@pytest.mark.parametrize(
    "paths",
    [("/a/x", "/a/x"), ("/a/x", "a//x"), ("/caf\u00e9", "/cafe\u0301"), ("/a", "/a/x"), ("/a/b/x", "/a/b")],
)
def test_two_files_never_share_a_place(owner_api: Client, drive: Drive, paths: tuple[str, str]) -> None:
    found = refused(owner_api, manifest(*(announced(path, b"x") for path in paths)), drive)
    assert found["code"] in ("manifest_invalid", "name_taken")
    assert found["status"] in (409, 422)


def test_a_place_that_is_taken_by_the_other_kind(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/folder/file", b"x")
    for path in ("/folder", "/folder/file/below"):
        answer = owner_api.post("/upload-tasks", manifest(announced(path, b"x")))
        assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    assert not UploadTask.objects.exists()
    assert sums(drive) == (1, 0)


@pytest.mark.parametrize("name", ["..", "", "a/b", "a\\b", "a\n", " a", "x" * 256])
def test_bad_names_are_told_by_their_line(owner_api: Client, drive: Drive, name: str) -> None:
    good, bad = announced("/x", b"x"), {**announced("/y", b"y"), "file_name": name}
    found = refused(owner_api, manifest(good, bad), drive)
    assert (found["status"], found["code"]) == (422, "bad_name")
    assert ".".join(map(str, found["errors"][0]["loc"])) == "body.upload_manifest.files.1.file_name"


def test_the_longest_place_fits_into_the_indexes(owner_api: Client) -> None:
    """Random characters, so that nothing is won by compressing the key."""
    dice = random.Random(5)

    def text(length: int) -> str:
        return "".join(chr(dice.randrange(0x4E00, 0x9FA5)) for _number in range(length))

    folder = "".join(f"/{text(79)}" for _depth in range(10)) + "/" + text(6)
    file = {**announced("/x", b"x"), "target_folder_path": folder, "file_name": text(85)}
    assert (len(folder.encode()), len(file["file_name"].encode())) == (2399, 255)
    assert owner_api.post("/upload-tasks", manifest(file)).status_code == 201
    top = Folder.objects.get(parent=None)
    assert owner_api.delete(f"/files/{top.pk}").status_code == 200


@pytest.mark.parametrize("name", ["a\0", "\ud800"])
def test_what_cannot_be_stored_is_refused_in_any_field(owner_api: Client, drive: Drive, name: str) -> None:
    for field in ("file_name", "target_folder_path", "local_path", "mime_type", "unknown"):
        found = refused(owner_api, manifest({**announced("/y", b"y"), field: name}), drive)
        assert (found["status"], found["code"]) == (422, "validation_error")


@pytest.mark.parametrize("path", ["/../etc", "/a/./b", "/a\\b", "/a\x1fb", "/ab" * 400])
def test_bad_folders_are_told_by_their_line(owner_api: Client, drive: Drive, path: str) -> None:
    bad = {**announced("/y", b"y"), "target_folder_path": path}
    found = refused(owner_api, manifest(bad), drive)
    assert (found["status"], found["code"]) == (422, "bad_name")
    assert found["errors"][0]["loc"][-1] == "target_folder_path"


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("file_size", -1, "min_value"),
        ("file_size", 10**15, "max_value"),
        ("file_size", "much", "invalid"),
        ("file_size", None, "null"),
        ("md5", "abc", "invalid"),
        ("md5", "g" * 32, "invalid"),
        ("md5", "x" + "0" * 32, "invalid"),
        ("md5", "0" * 33, "invalid"),
        ("local_path", "x" * 1025, "max_length"),
        ("local_path", "a\x7fb", "invalid"),
        ("local_path", "a\nb", "invalid"),
        ("mime_type", "x" * 101, "max_length"),
        ("mime_type", "a\tb", "invalid"),
        ("file_name", None, "null"),
        ("file_name", ["x"], "invalid"),
    ],
)
def test_bad_fields_are_told_by_their_line(
    owner_api: Client, drive: Drive, field: str, value: Any, kind: str
) -> None:
    files = [announced("/x", b"x"), {**announced("/y", b"y"), field: value}, announced("/z", b"z")]
    found = refused(owner_api, manifest(*files), drive)
    assert (found["status"], found["code"]) == (422, "validation_error")
    assert [(error["loc"], error["type"]) for error in found["errors"]] == [
        (["body", "upload_manifest", "files", 1, field], kind)
    ]


def test_faults_of_a_long_list_are_told_up_to_a_hundred(owner_api: Client, drive: Drive) -> None:
    files = [{**announced(f"/{number}", b"x"), "file_size": -1} for number in range(150)]
    found = refused(owner_api, manifest(*files), drive)
    assert [error["loc"][3] for error in found["errors"]] == list(range(100))


@pytest.mark.parametrize("files", [None, "x", {"0": {}}, ["x"], [None], [[]]])
def test_a_list_of_files_is_a_list_of_objects(owner_api: Client, drive: Drive, files: Any) -> None:
    body = {"upload_manifest": {"task_name": "x", "files": files}}
    assert refused(owner_api, body, drive)["status"] == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"upload_manifest": []},
        {"upload_manifest": {"files": [announced("/x", b"x")]}},
        manifest(announced("/x", b"x"), task_name=""),
        manifest(announced("/x", b"x"), task_name="x" * 256),
        manifest(announced("/x", b"x"), priority=11),
        manifest(announced("/x", b"x"), priority=-1),
        manifest(announced("/x", b"x"), drive_id="nonsense"),
        manifest(announced("/x", b"x"), client_info={"platform": "\0"}),
        manifest(announced("/x", b"x"), client_info="web"),
    ],
)
def test_a_bad_manifest_is_refused(owner_api: Client, drive: Drive, body: dict[str, Any]) -> None:
    assert refused(owner_api, body, drive)["status"] == 422


def test_what_the_glance_takes_is_what_the_serializer_would() -> None:
    """The quick way never lets pass what the serializer refuses, nor reads it otherwise."""
    values: dict[str, list[Any]] = {
        "target_folder_path": ["/a", ""], "file_name": ["x", "贴图.png", " y "], "file_size": [0, 5, True, -1, "7"],
        "md5": [None, "", "0" * 32, "A" * 32, "0" * 31], "mime_type": [None, "image/png", "a\0"],
        "local_path": ["", "C:\\x", "x" * 1024, "x" * 1025, "\x7f"],
    }  # fmt: skip
    lists = ManifestFiles()
    plain: dict[str, Any] = {"file_name": "x", "file_size": 1}
    for field, choices in values.items():
        for value in choices:
            item = {**plain, field: value}
            taken, judged = lists.glance(item), lists.judge(data=item)
            if taken is not None:
                assert judged.is_valid(), item
                assert lists.build(dict(judged.validated_data)) == taken
    assert lists.glance(plain) == lists.build(
        {**plain, "target_folder_path": "/", "md5": "", "mime_type": "", "local_path": ""}
    )
    checks = CheckedFiles()
    for item in ({"task_file_id": "0" * 32, "md5": "a" * 32, "file_size": 1}, {"task_file_id": "x"}, {}):
        assert (checks.glance(item) is None) == (not checks.judge(data=item).is_valid())


def test_a_foreign_or_deleted_drive_is_out_of_sight(
    owner: User, owner_api: Client, stranger_api: Client, drive: Drive
) -> None:
    body = manifest(announced("/x", b"x"), drive_id=str(drive.pk))
    assert refused(stranger_api, body, drive)["status"] == 404
    delete_drive(drive=drive, actor=owner)
    assert refused(owner_api, body, drive)["status"] == 404


def test_the_quota_is_asked_before_anything_is_made(owner: User, owner_api: Client) -> None:
    drive = create_drive(user=owner, name="small", total_size=100)
    body = manifest(announced("/a/x", b"x" * 60), announced("/b/y", b"y" * 41), drive_id=str(drive.pk))
    found = refused(owner_api, body, drive)
    assert (found["status"], found["code"]) == (413, "quota_exceeded")
    assert (found["required"], found["available"]) == (101, 100)
    body["upload_manifest"]["files"][1]["file_size"] = 40
    assert owner_api.post("/upload-tasks", body).status_code == 201
    assert sums(drive) == (0, 100)
    one_more = owner_api.post("/upload-tasks", manifest(announced("/z", b"z"), drive_id=str(drive.pk)))
    assert (one_more.status_code, one_more.json()["available"]) == (413, 0)
    assert sums(drive) == (0, 100)
    assert not Folder.objects.filter(path="/z").exists()


def test_a_long_manifest_takes_as_many_queries_as_a_short_one(owner_api: Client, drive: Drive) -> None:
    def queries(prefix: str, count: int) -> int:
        files = [announced(f"/{prefix}/{number % 20}/{number}.png", b"x") for number in range(count)]
        with CaptureQueriesContext(connection) as captured:
            assert owner_api.post("/upload-tasks", manifest(*files)).status_code == 201
        return len(captured)

    queries("warm", 2)
    assert queries("few", 200) == queries("many", 2000) <= 24


def test_ten_thousand_files_in_forty_queries(owner_api: Client, drive: Drive) -> None:
    files = [announced(f"/scene/{number % 100}/{number}.png", b"x", md5="0" * 32) for number in range(10_000)]
    with CaptureQueriesContext(connection) as captured:
        answer = owner_api.post("/upload-tasks", manifest(*files, total_files=10_000, total_size=10_000))
    assert answer.status_code == 201
    assert len(captured) <= 40
    in_order = TaskFile.objects.order_by("position").values_list("pk", flat=True)
    assert answer.json()["file_ids"] == [str(pk) for pk in in_order]
    assert (TaskFile.objects.count(), Folder.objects.count(), sums(drive)) == (10_000, 101, (0, 10_000))


@pytest.mark.django_db(transaction=True)
def test_fifty_uploads_against_the_last_byte(owner: User) -> None:
    """One byte is left, and one of them gets it: announced, sent and landed."""
    drive = create_drive(user=owner, name="small", total_size=1000)
    put(owner, "/there", bytes(999), drive=drive)

    def send(number: int) -> int:
        client = Client(owner)
        answer = client.post("/upload-tasks", manifest(announced(f"/{number}", b"x"), drive_id=str(drive.pk)))
        if answer.status_code != 201:
            assert answer.json()["code"] == "quota_exceeded"
            return int(answer.status_code)
        task_id = answer.json()["id"]
        (file,) = client.get(f"/upload-tasks/{task_id}/files").json()["files"]
        form = {"file": SimpleUploadedFile("x", b"x")}
        path = f"/upload-tasks/{task_id}/files/{file['id']}/upload"
        assert client.post(path, form, format="multipart").status_code == 200
        return 201

    assert sorted(race(50, send)) == [201] + [413] * 49
    assert sums(drive) == (1000, 0)
    assert File.objects.filter(drive=drive).count() == 2


@pytest.mark.django_db(transaction=True)
def test_racing_manifests_share_their_folders(owner: User, drive: Drive) -> None:
    def send(number: int) -> int:
        files = [announced(f"/scene/{folder}/{number}.png", b"x") for folder in range(5)]
        return int(Client(owner).post("/upload-tasks", manifest(*files)).status_code)

    assert race(20, send) == [201] * 20
    assert Folder.objects.count() == 6
    assert sums(drive) == (0, 100)
    assert TaskFile.objects.filter(folder__path="/scene/3").count() == 20


@pytest.mark.django_db(transaction=True)
def test_racing_manifests_never_reserve_too_much(owner: User) -> None:
    drive = create_drive(user=owner, name="small", total_size=1000)

    def send(number: int) -> int:
        body = manifest(announced(f"/{number}/x", b"x" * 300), drive_id=str(drive.pk))
        return int(Client(owner).post("/upload-tasks", body).status_code)

    assert sorted(race(8, send)) == [201] * 3 + [413] * 5
    assert sums(drive) == (0, 900)
    assert Folder.objects.count() == UploadTask.objects.count() == 3
    assert not File.objects.exists()
