"""Temporary keys of one task, and files that are put with them."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from drives.models import Blob, Drive, File
from drives.services.direct import verify_blob
from drives.services.fsck import check_storage
from drives.services.garbage import collect_garbage
from drives.storage import StorageError
from tests.aliyun import Refusal
from tests.conftest import Client
from tests.drives.storages import Choose, keep
from tests.racing import race
from tests.standins.oss import OSSServer
from tests.standins.sts import STS
from tests.uploads.conftest import announced, assert_untouched, begin, content_of, sha256_of, sums
from tests.uploads.sts import announce, client_with, complete, giving, keys_for, ours, put_with  # noqa: F401
from uploads.models import TaskFile

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(500 * 1024)
DAY = timedelta(hours=24)


@pytest.fixture
def sts(giving: STS) -> STS:  # noqa: F811
    return giving


def test_a_file_is_put_with_temporary_keys(owner_api: Client, drive: Drive, sts: STS) -> None:
    sender = announce(owner_api, CONTENT)
    keys = keys_for(sender)
    assert keys["prefix"] == f"{ours().location}/direct/{sender.task_id}/"
    assert (keys["bucket_name"], keys["region"], keys["callback"]) == ("yuntu-test", "cn-hangzhou", "")
    assert timedelta(minutes=59) < datetime.fromisoformat(keys["expiration"]) - datetime.now(UTC)
    (asked,) = sts.sent
    assert (asked["DurationSeconds"], asked["RoleSessionName"]) == (
        "3600",
        f"yuntu-{sender.row().task_id.hex}",
    )
    assert json.loads(asked["Policy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["oss:PutObject", "oss:AbortMultipartUpload", "oss:ListParts"],
            "Resource": [f"acs:oss:*:*:yuntu-test/{keys['prefix']}*"],
        }
    ]
    missing = complete(sender)
    assert (missing.status_code, missing.json()["code"]) == (409, "object_missing")
    name = put_with(keys, sender, CONTENT)
    answer = complete(sender, oss_key=name, oss_url="http://x", file_size=len(CONTENT))
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert complete(sender).json()["file_id"] == answer.json()["file_id"]
    row = sender.row()
    assert row.file is not None
    assert (content_of(row.file), sums(drive)) == (CONTENT, (len(CONTENT), 0))
    assert (row.upload_id, row.storage_key, row.file.blob.verified_at) == ("", "", None)
    assert [found.key for found in ours().objects()] == [row.file.blob.storage_key]
    blob = verify_blob(blob_id=row.file.blob_id)
    assert blob is not None
    assert blob.sha256 == sha256_of(CONTENT)


def test_what_was_taken_is_out_of_the_reach_of_its_keys(owner_api: Client, sts: STS) -> None:
    sender = announce(owner_api, CONTENT)
    keys = keys_for(sender)
    put_with(keys, sender, CONTENT)
    assert complete(sender).status_code == 200
    file = sender.row().file
    assert file is not None
    put_with(keys, sender, b"x" * len(CONTENT))
    name = ours().name_of(file.blob.storage_key)
    with pytest.raises(StorageError, match="403 AccessDenied"):
        keep(client_with(keys), b"x" * len(CONTENT), name)
    assert complete(sender).status_code == 200
    assert content_of(file) == CONTENT


def test_keys_of_one_task_reach_nothing_else(owner_api: Client, stranger_api: Client, sts: STS) -> None:
    theirs, mine = announce(stranger_api, CONTENT), announce(owner_api, CONTENT)
    other = announce(owner_api, CONTENT, "/other.blend")
    foreign = put_with(keys_for(theirs), theirs, CONTENT)
    keys = keys_for(mine)
    client = client_with(keys)
    stored = keep(ours(), b"stored")
    for name in (
        foreign,
        keys_for(other)["prefix"] + other.file_id,
        ours().name_of(stored),
        keys["prefix"][:-1],
    ):
        with pytest.raises(StorageError, match="403 AccessDenied"):
            keep(client, b"mine", name)
        with pytest.raises(StorageError, match="403 AccessDenied"):
            client.open_blob(name)
    own = put_with(keys, mine, CONTENT)
    for act in (
        lambda: client.open_blob(own),
        lambda: client.delete(own),
        lambda: list(client.objects()),
        # Whoever copies has to be allowed to read: nobody brings what is not theirs below their prefix.
        lambda: client.bucket.copy_object("yuntu-test", foreign, own),
    ):
        with pytest.raises(Exception, match="AccessDenied"):
            act()
    assert complete(mine).status_code == 200


def test_who_may_not_see_the_task_gets_no_keys(
    owner_api: Client, stranger_api: Client, anonymous: Client, sts: STS
) -> None:
    sender = announce(owner_api, CONTENT)
    put_with(keys_for(sender), sender, CONTENT)
    for client, code in ((stranger_api, 404), (anonymous, 401)):
        old = {"taskId": sender.task_id, "fileName": "scene.blend"}
        answers = [
            client.post(f"/upload-tasks/{sender.task_id}/credentials"),
            complete(sender.again(client)),
            client.post("/files/get-upload-credentials", old),
        ]
        assert [answer.status_code for answer in answers] == [code] * 3
    assert (len(sts.sent), File.objects.count()) == (1, 0)


def test_older_clients_name_the_file(owner_api: Client, sts: STS) -> None:
    first, second = begin(owner_api, announced("/a/x.ma", CONTENT), announced("/b/x.ma", CONTENT))

    def asked(**body: str) -> tuple[int, str]:
        answer = owner_api.post("/files/get-upload-credentials", body)
        return answer.status_code, answer.json().get("objectKey", "").rpartition("/")[2]

    assert asked(taskId=first.task_id, fileName="x.ma") == (200, first.file_id)
    assert asked(taskId=first.task_id, fileName="/b/x.ma") == (200, second.file_id)
    assert asked(taskId=first.task_id, fileName="../x.ma")[0] == 404
    assert asked(taskId="..", fileName="x.ma")[0] == 404
    assert asked(taskId=first.task_id)[0] == 422


@pytest.mark.parametrize("kind", ["filesystem", "s3", "oss"])
def test_where_there_are_no_temporary_keys(
    owner_api: Client, drive: Drive, choose: Choose, kind: str
) -> None:
    """A folder, a bucket of S3, and OSS without a role."""
    choose(kind)
    sender = announce(owner_api, b"content")
    old = {"taskId": sender.task_id, "fileName": "scene.blend"}
    for answer in (
        owner_api.post(f"/upload-tasks/{sender.task_id}/credentials"),
        complete(sender),
        owner_api.post("/files/get-upload-credentials", old),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "not_supported")
    assert_untouched(sender)


@pytest.mark.parametrize(
    ("end", "code"), [("cancel", "upload_closed"), ("pause", "upload_paused")], ids=["cancelled", "paused"]
)
def test_a_task_that_takes_no_bytes_gives_no_keys(owner_api: Client, sts: STS, end: str, code: str) -> None:
    sender = announce(owner_api, CONTENT)
    put_with(keys_for(sender), sender, CONTENT)
    assert owner_api.put(f"/upload-tasks/{sender.task_id}/{end}").status_code == 200
    for answer in (owner_api.post(f"/upload-tasks/{sender.task_id}/credentials"), complete(sender)):
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert (len(sts.sent), Blob.objects.count()) == (1, 0)


def test_a_client_that_lies_gets_nothing(owner_api: Client, drive: Drive, sts: STS) -> None:
    sender = announce(owner_api, CONTENT)
    stored = keep(ours(), CONTENT)
    name = put_with(keys_for(sender), sender, CONTENT + b"!")
    cases: list[tuple[dict[str, object], int, str]] = [
        ({"oss_key": ours().name_of(stored)}, 422, "validation_error"),
        ({"oss_key": name, "file_size": len(CONTENT) + 1}, 422, "size_mismatch"),
        ({"oss_key": name, "file_size": len(CONTENT)}, 422, "size_mismatch"),
        ({}, 422, "size_mismatch"),
    ]
    for body, status, code in cases:
        answer = complete(sender, **body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body
    assert (File.objects.count(), Blob.objects.count(), sums(drive)) == (0, 0, (0, len(CONTENT)))
    assert sender.row().status == TaskFile.Status.PENDING


def test_a_service_that_refuses_is_no_secret_told(owner_api: Client, sts: STS) -> None:
    sender = announce(owner_api, CONTENT)
    sts.plan += [Refusal(403, "NoPermission", "secret-text"), b"<html>"]
    for _number in range(2):
        answer = owner_api.post(f"/upload-tasks/{sender.task_id}/credentials")
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert b"secret-text" not in answer.content
    sts.secret = "another"
    assert owner_api.post(f"/upload-tasks/{sender.task_id}/credentials").status_code == 503
    assert sts.sent == []


def test_large_objects_are_copied_in_parts(owner_api: Client, sts: STS, oss: OSSServer) -> None:
    ours().copy_part_size = 200 * 1024
    sender = announce(owner_api, CONTENT)
    put_with(keys_for(sender), sender, CONTENT)
    oss.log.clear()
    oss.faults += [("UploadPartCopy", "silent"), ("CompleteMultipartUpload", "unavailable")]
    assert complete(sender).status_code == 200
    asked = [operation for operation, _key in oss.log]
    assert asked.count("UploadPartCopy") == 4  # three, and the one whose answer got lost
    assert "CopyObject" not in asked
    file = sender.row().file
    assert file is not None
    assert content_of(file) == CONTENT
    # What is there stays.
    source = keep(ours(), b"x" * len(CONTENT))
    for copy_part_size in (200 * 1024, 2**30):
        ours().copy_part_size = copy_part_size
        ours().copy_once(source, file.blob.storage_key)
        assert content_of(file) == CONTENT
    assert list(ours().open_uploads()) == []


def test_a_bucket_that_fails_can_be_asked_again(owner_api: Client, sts: STS, oss: OSSServer) -> None:
    sender = announce(owner_api, CONTENT)
    put_with(keys_for(sender), sender, CONTENT)
    for operation in ("HeadObject", "CopyObject"):
        oss.faults += [(operation, "unavailable")] * 2
        assert complete(sender).json()["code"] == "storage_unavailable"
    key = sender.row().storage_key
    # The process died after the copy.
    ours().copy_once(f"direct/{sender.task_id}/{sender.file_id}", key)
    assert complete(sender).status_code == 200
    file = sender.row().file
    assert file is not None
    assert file.blob.storage_key == key


def test_what_is_put_and_never_taken_is_swept(owner_api: Client, sts: STS) -> None:
    sender, other = announce(owner_api, CONTENT), announce(owner_api, CONTENT, "/other")
    keys = keys_for(sender)
    put_with(keys, sender, CONTENT)
    put_with(keys_for(other), other, CONTENT)
    junk = keep(client_with(keys), b"junk", keys["prefix"] + "junk").removeprefix(f"{ours().location}/")
    begun = client_with(keys).start_parts(keys["prefix"] + sender.file_id)
    later = timezone.now() + 2 * DAY
    assert [found.key for found in check_storage(now=later)] == [junk]
    assert [(found.kind, found.key) for found in collect_garbage(now=later)] == [("sent", junk)]
    assert list(collect_garbage(now=timezone.now())) == []
    assert [found.upload_id for found in ours().open_uploads()] == [begun]
    for one in (sender, other):
        assert owner_api.put(f"/upload-tasks/{one.task_id}/cancel").status_code == 200
    places = [f"direct/{one.task_id}/{one.file_id}" for one in (sender, other)]
    expected = [("upload", places[0]), *(("sent", place) for place in sorted(places))]
    assert [(found.kind, found.key) for found in collect_garbage(now=later, dry_run=True)] == expected
    assert [(found.kind, found.key) for found in collect_garbage(now=later)] == expected
    assert (list(ours().objects()), list(ours().open_uploads())) == ([], [])


@pytest.mark.django_db(transaction=True)
def test_taken_at_once_it_lands_once(owner: User, drive: Drive, sts: STS) -> None:
    sender = announce(Client(owner), CONTENT)
    put_with(keys_for(sender), sender, CONTENT)
    senders = [sender.again(Client(owner)) for _number in range(6)]
    answers = race(6, lambda number: complete(senders[number]))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.json()["file_id"] for answer in answers}) == 1
    blob = Blob.objects.get()
    assert [found.key for found in ours().objects()] == [blob.storage_key]
    assert (File.objects.count(), sums(drive)) == (1, (len(CONTENT), 0))
