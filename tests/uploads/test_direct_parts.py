"""Parts that a client puts straight into the bucket."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.models import User
from drives.models import Blob, Drive, File
from drives.services.direct import register_object
from drives.services.fsck import check_storage
from drives.services.garbage import collect_garbage
from drives.storage.buckets import BucketStorage
from drives.tasks import verify
from tests.conftest import Client
from tests.drives.storages import keep
from tests.racing import race
from tests.standins.oss import OSSServer
from tests.uploads.conftest import (
    assert_untouched,
    content_of,
    sha256_of,
    sums,
)
from tests.uploads.direct import DirectSender, content_for, direct, taken_message
from uploads.models import TaskFile, UploadTask
from uploads.tasks import abandon

pytestmark = pytest.mark.django_db
DAY = timedelta(hours=24)


def test_a_file_goes_into_the_bucket_in_parts(
    owner_api: Client, drive: Drive, bucket: BucketStorage, capture: DjangoCaptureOnCommitCallbacks
) -> None:
    content = content_for(bucket)
    sender = direct(owner_api, content)
    begun = sender.ask("init").json()
    assert begun["chunk_size"] == bucket.min_part_size
    assert (begun["total_chunks"], begun["uploaded_chunks"], begun["parts"]) == (3, [], [])
    assert sender.ask("init").json() == begun
    sender.put_parts(content, 3, 1)
    listed = sender.listed().json()
    assert listed["uploaded_chunks"] == [1, 3]
    assert [part["size"] for part in listed["parts"]] == [bucket.min_part_size, 100]
    refused = sender.ask("complete")
    assert (refused.status_code, refused.json()["code"], refused.json()["missing"]) == (
        409,
        "parts_missing",
        [2],
    )
    sender.put_parts(content, 2)
    etags = {part["part_number"]: part["etag"] for part in sender.listed().json()["parts"]}
    assert sums(drive) == (0, len(content))
    with capture(execute=True):
        answer = sender.ask("complete", chunk_etags=etags)
    assert answer.status_code == 200, answer.content
    row = sender.row()
    assert row.file is not None
    assert answer.json()["file_id"] == str(row.file.pk)
    assert (answer.json()["sha256"], answer.json()["md5"]) == ("", "")
    assert (row.status, row.upload_id, row.storage_key) == (TaskFile.Status.COMPLETED, "", "")
    assert (row.task.status, sums(drive)) == (UploadTask.Status.COMPLETED, (len(content), 0))
    assert (row.file.blob.verified_at, row.file.blob.sha256) == (None, None)
    assert content_of(row.file) == content
    again = sender.ask("complete")
    assert (again.status_code, again.json()["file_id"]) == (200, str(row.file.pk))
    assert list(bucket.open_uploads()) == []
    # The content is read once by the worker, which has a message.
    assert taken_message() == ("drives.tasks.verify", [str(row.file.blob_id)])
    verify(str(row.file.blob_id))
    assert sender.ask("complete").json()["sha256"] == sha256_of(content)


def test_a_folder_of_ours_has_no_addresses(owner_api: Client, drive: Drive) -> None:
    sender = direct(owner_api, b"content")
    for answer in (
        sender.ask("init"),
        sender.ask("urls", part_numbers=[1]),
        sender.ask("complete"),
        sender.listed(),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "not_supported")
    assert_untouched(sender)


def test_who_may_not_see_the_task_gets_nothing(
    owner_api: Client, stranger_api: Client, anonymous: Client, ours: BucketStorage
) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.put_parts(content)
    other = direct(stranger_api, content)
    crossed = DirectSender(owner_api, sender.task_id, other.file_id)
    for client, code in ((stranger_api, 404), (anonymous, 401)):
        thief = DirectSender(client, sender.task_id, sender.file_id)
        answers = [thief.ask(step, part_numbers=[1]) for step in ("init", "urls", "complete", "abort")]
        assert {answer.status_code for answer in [*answers, thief.listed()]} == {code}
    assert {crossed.ask(step, part_numbers=[1]).status_code for step in ("init", "urls", "complete")} == {404}
    row = sender.row()
    assert (row.status, row.file_id) == (TaskFile.Status.UPLOADING, None)
    assert other.row().status == TaskFile.Status.PENDING
    assert len(ours.parts(row.storage_key, row.upload_id)) == 3
    assert not File.objects.exists()


@pytest.mark.parametrize("end", ["cancel", "pause"])
def test_a_task_that_takes_no_bytes_refuses(owner_api: Client, ours: BucketStorage, end: str) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    fresh = direct(owner_api, content, "/other.blend")
    sender.put_parts(content)
    for one in (sender, fresh):
        assert owner_api.put(f"/upload-tasks/{one.task_id}/{end}").status_code == 200
    code = {"cancel": "upload_closed", "pause": "upload_paused"}[end]
    answers = [sender.ask(step, part_numbers=[1]) for step in ("init", "urls", "complete")]
    assert [(a.status_code, a.json()["code"]) for a in [*answers, fresh.ask("init")]] == [(409, code)] * 4
    assert not Blob.objects.exists()


def test_a_cancelled_upload_leaves_the_bucket(
    owner_api: Client, drive: Drive, ours: BucketStorage, capture: DjangoCaptureOnCommitCallbacks
) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.put_parts(content)
    row = sender.row()
    with capture(execute=True):
        assert owner_api.put(f"/upload-tasks/{sender.task_id}/cancel").status_code == 200
    assert sums(drive) == (0, 0)
    name, arguments = taken_message()
    assert (name, arguments) == ("uploads.tasks.abandon", [row.storage_key, row.upload_id])
    abandon(*arguments)
    assert (list(ours.open_uploads()), list(ours.objects())) == ([], [])
    abandon(*arguments)


def test_an_abort_gives_up_and_a_retry_begins_anew(
    owner_api: Client, ours: BucketStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.put_parts(content)
    before = sender.row()
    left: list[tuple[str, str]] = []
    monkeypatch.setattr("uploads.services.leftovers.abandon_later", lambda *pair: left.append(pair))
    assert sender.ask("abort", reason="enough").status_code == 200
    assert left == [(before.storage_key, before.upload_id)]
    row = sender.row()
    assert (row.status, row.error_message, row.upload_id, row.storage_key) == ("failed", "enough", "", "")
    assert sender.ask("complete").json()["code"] == "upload_closed"
    assert sender.retry().status_code == 200
    assert sender.ask("complete").json()["code"] == "multipart_not_started"
    sender.put_parts(content)
    assert sender.row().storage_key != before.storage_key
    assert sender.ask("complete").status_code == 200


def test_parts_of_another_size_are_not_put_together(
    owner_api: Client, drive: Drive, ours: BucketStorage
) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.put_parts(content)
    sender.put_parts(content + b"more", 3, size=104)
    answer = sender.ask("complete")
    assert (answer.status_code, answer.json()["code"]) == (422, "size_mismatch")
    assert (answer.json()["expected"], answer.json()["actual"]) == (100, 104)
    assert (File.objects.count(), Blob.objects.count(), list(ours.objects())) == (0, 0, [])
    assert sums(drive) == (0, len(content))
    sender.put_parts(content, 3)
    wrong = sender.ask("complete", chunk_etags={"1": "0" * 32})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest_mismatch")
    assert not Blob.objects.exists()
    assert sender.ask("complete").status_code == 200


def test_an_object_of_another_size_is_not_linked(
    owner_api: Client, drive: Drive, ours: BucketStorage
) -> None:
    """Whatever put it there: the bucket is asked for the size of the whole, after all."""
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.put_parts(content)
    row = sender.row()
    ours.abort_parts(row.storage_key, row.upload_id)
    keep(ours, content + b"!", row.storage_key)
    answer = sender.ask("complete")
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_interrupted")
    assert (File.objects.count(), Blob.objects.count()) == (0, 0)
    assert sums(drive) == (0, len(content))


def test_bad_requests_are_refused(owner_api: Client, ours: BucketStorage) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    assert sender.ask("urls", part_numbers=[1]).json()["code"] == "multipart_not_started"
    sender.ask("init")
    for numbers, place in (([0], 0), ([1, 4], 1), ([-1], 0)):
        answer = sender.ask("urls", part_numbers=numbers)
        assert (answer.status_code, answer.json()["code"]) == (422, "part_number_invalid")
        assert answer.json()["errors"][0]["loc"] == ["body", "part_numbers", place]
    bodies: list[dict[str, Any]] = [
        {},
        {"part_numbers": []},
        {"part_numbers": [1] * 1001},
        {"part_numbers": ["x"]},
        {"part_numbers": [1], "expires_in": 59},
        {"part_numbers": [1], "expires_in": 86401},
    ]
    for body in bodies:
        assert sender.ask("urls", **body).json()["code"] == "validation_error"
    empty = direct(owner_api, b"", "/empty.blend").ask("init")
    assert (empty.status_code, empty.json()["code"]) == (422, "file_empty")


def test_an_address_ends(owner_api: Client, ours: BucketStorage, oss: OSSServer) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.ask("init")
    (part,) = sender.ask("urls", part_numbers=[1], expires_in=60).json()["urls"]
    assert "x-oss-expires=60&" in part["url"]
    sender.put_parts(content)
    key = sender.row().storage_key
    assert sender.ask("complete").status_code == 200
    # The upload has ended, so the address has, too.
    late = httpx.put(part["url"], content=b"x" * part["size"])
    assert (late.status_code, "NoSuchUpload" in late.text) == (404, True)
    file = sender.row().file
    assert file is not None
    assert (file.blob.storage_key, content_of(file)) == (key, content)


def test_one_file_goes_one_way(owner_api: Client, ours: BucketStorage, settings: Settings) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.put_parts(content, 1)
    for answer in (sender.start(), sender.part(1, content[:1000]), sender.complete()):
        assert (answer.status_code, answer.json()["code"]) == (409, "sent_directly")
    other = direct(owner_api, content, "/other.blend")
    assert other.start().status_code == 200
    assert other.ask("init").json()["code"] == "sent_in_parts"
    # Sent whole after all: what lies in the bucket is let go.
    assert sender.whole(content).status_code == 200
    assert sender.row().storage_key == ""
    assert sender.ask("complete").status_code == 200


def test_a_bucket_that_fails_costs_nothing(owner_api: Client, ours: BucketStorage, oss: OSSServer) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    oss.faults += [("InitiateMultipartUpload", "unavailable")] * 2
    assert (sender.ask("init").status_code, sender.row().status) == (503, "pending")
    sender.put_parts(content)
    for operation in ("ListParts", "CompleteMultipartUpload", "HeadObject"):
        oss.faults += [(operation, "unavailable")] * 2
        answer = sender.ask("complete")
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert sender.row().status == "uploading"
    assert sender.ask("complete").status_code == 200
    assert sender.row().retry_count == 3


def test_a_completion_that_was_cut_off_is_completed(owner_api: Client, ours: BucketStorage) -> None:
    """The process died between the bucket's answer and the row."""
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.put_parts(content)
    row = sender.row()
    ours.complete_parts(row.storage_key, row.upload_id, ours.parts(row.storage_key, row.upload_id))
    assert sender.listed().json()["uploaded_chunks"] == [1, 2, 3]
    # Nobody takes it for garbage meanwhile, however long the upload rests.
    later = timezone.now() + 3 * DAY
    assert list(check_storage(now=later)) == []
    assert sender.ask("complete").status_code == 200
    file = sender.row().file
    assert file is not None
    assert content_of(file) == content


def test_an_object_that_is_put_together_while_its_upload_is_given_up_is_left_to_the_sweep(
    owner_api: Client, ours: BucketStorage
) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.put_parts(content)
    row = sender.row()
    ours.complete_parts(row.storage_key, row.upload_id, ours.parts(row.storage_key, row.upload_id))
    assert sender.ask("abort").status_code == 200
    abandon(row.storage_key, row.upload_id)
    # Whoever completed it is only now about to register what lies there.
    assert register_object(key=row.storage_key, size=len(content)).storage_key == row.storage_key
    now = timezone.now()
    assert list(collect_garbage(now=now)) == []
    assert [found.key for found in collect_garbage(now=now + 2 * DAY)] == [row.storage_key]
    assert list(ours.objects()) == []


def test_parts_that_the_bucket_has_lost_are_sent_anew(
    owner_api: Client, ours: BucketStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.put_parts(content)
    row = sender.row()
    ours.abort_parts(row.storage_key, row.upload_id)
    monkeypatch.setattr("uploads.services.direct.AWAIT_SECONDS", 0)
    answer = sender.ask("complete")
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_interrupted")
    assert (sender.row().status, sender.row().retry_count) == ("pending", 1)
    sender.put_parts(content)
    assert sender.ask("complete").status_code == 200


def test_open_direct_uploads_are_no_garbage(owner_api: Client, ours: BucketStorage) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content)
    sender.put_parts(content, 1)
    stale = ours.start_parts("ab/stale")
    later = timezone.now() + 3 * DAY
    assert [found.key for found in collect_garbage(now=later)] == ["ab/stale"]
    assert stale not in {found.upload_id for found in ours.open_uploads()}
    sender.put_parts(content, 2, 3)
    assert sender.ask("complete").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_completed_ten_times_at_once_it_lands_once(owner: User, drive: Drive, ours: BucketStorage) -> None:
    content = content_for(ours)
    client = Client(owner)
    sender = direct(client, content)
    sender.put_parts(content)
    senders = [DirectSender(Client(owner), sender.task_id, sender.file_id) for _number in range(6)]
    answers = race(6, lambda number: senders[number].ask("complete"))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["file_id"] for answer in answers}) == 1
    assert (File.objects.count(), Blob.objects.count(), sums(drive)) == (1, 1, (len(content), 0))


@pytest.mark.django_db(transaction=True)
def test_begun_at_once_there_is_one_upload(owner: User, drive: Drive, ours: BucketStorage) -> None:
    content = content_for(ours)
    sender = direct(Client(owner), content)
    senders = [DirectSender(Client(owner), sender.task_id, sender.file_id) for _number in range(5)]
    answers = race(5, lambda number: senders[number].ask("init").json()["upload_id"])
    assert len(set(answers)) == 1
    assert [found.upload_id for found in ours.open_uploads()] == answers[:1]
