"""What was seen of an upload before it was held, and is another thing by then."""

import os
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import User
from drives.models import Blob, Drive, File
from drives.services.garbage import Kind, collect_garbage
from drives.services.places import lock_tree
from tests.conftest import Client
from tests.factories import put
from tests.racing import overtake, race
from tests.uploads.conftest import PART, announced, begin, content_of, md5_of, staged, sums
from uploads.models import TaskFile, UploadTask
from uploads.services import landing
from uploads.services.desktop import CHUNK_SIZE, begin_upload, open_upload, receive_chunk
from uploads.services.files import complete_multipart
from uploads.services.landing import fail_file
from uploads.services.taking_back import take_back_others
from uploads.services.tasks import cancel_task, expire_tasks, pause_task, resume_task

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_upload_that_goes_on_as_its_time_is_over(owner_api: Client, drive: Drive) -> None:
    (sender,) = begin(owner_api, announced("/x", bytes(2 * PART)))
    sender.start()
    sender.part(1, bytes(PART))
    task = pause_task(task=UploadTask.objects.get())
    now = timezone.now()
    UploadTask.objects.update(expires_at=now - timedelta(seconds=1))

    assert overtake(lambda: resume_task(task=task), lambda: expire_tasks(now=now)) == 0
    assert (UploadTask.objects.get().status, sums(drive), len(staged())) == ("uploading", (0, 2 * PART), 1)
    assert sender.part(2, bytes(PART)).status_code == sender.complete().status_code == 200


def test_chunks_that_come_together_after_the_upload_was_given_up(owner: User, drive: Drive) -> None:
    for number in range(2):
        receive_chunk(user=owner, client_key="1", index=number, total=3, content=bytes(CHUNK_SIZE))
    failed = open_upload(owner, "1")
    assert failed is not None
    fail_file(task_file=failed, message="")

    def begin_anew() -> None:
        cancel_task(task=failed.task)
        begin_upload(owner, "1", 3 * CHUNK_SIZE)

    def send() -> int:
        content = bytes(CHUNK_SIZE)
        return receive_chunk(user=owner, client_key="1", index=0, total=3, content=content).count

    assert overtake(begin_anew, send) == 1
    assert list(UploadTask.objects.order_by("created_at").values_list("status", flat=True)) == [
        "cancelled",
        "uploading",
    ]
    assert sums(drive) == (0, 3 * CHUNK_SIZE)


def test_parts_that_come_while_their_file_lands_by_another_door(owner_api: Client, drive: Drive) -> None:
    content = os.urandom(2 * PART)
    (sender,) = begin(owner_api, announced("/x", content))
    sender.start()

    def send(_number: int) -> None:
        sender.part(1, content[:PART])
        assert sender.part(1, bytes(PART)).status_code == 200  # staged apart

    overtake(lambda: lock_tree(drive), lambda: sender.whole(content), lambda: race(1, send))
    file = sender.row().file
    assert file is not None
    assert (content_of(file), len(staged())) == (content, 1)
    late = timezone.now() + settings.BLOB_GRACE + timedelta(minutes=1)
    assert [found.kind for found in collect_garbage(now=late)] == [Kind.STAGED]
    assert staged() == []


@pytest.mark.parametrize("apart", [False, True])
def test_a_completion_while_what_came_by_another_door_is_tidied_up(
    owner: User, drive: Drive, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    content = os.urandom(2 * PART)
    (sender,) = begin(Client(owner), announced("/x", content))
    sender.send_parts(bytes(PART) + content[PART:] if apart else content)
    if apart:
        assert sender.part(1, content[:PART]).status_code == 200
    begun, completed, real = sender.row(), [], landing.let_go

    def complete_first(result: landing.Result, kept: Blob | None = None) -> None:
        completed.extend(race(1, lambda _number: complete_multipart(task_file=begun, actor=owner)))
        real(result, kept)

    monkeypatch.setattr(landing, "let_go", complete_first)
    assert sender.whole(content).status_code == 200
    file = File.objects.get()
    assert ([row.file_id for row in completed], content_of(file), staged()) == ([file.pk], content, [])


def test_the_last_try_of_a_file_is_spent_while_it_is_given_up(owner_api: Client, drive: Drive) -> None:
    (sender,) = begin(owner_api, announced("/x", b"12345"))
    rows = TaskFile.objects.filter(pk=sender.file_id)

    def spend() -> None:
        rows.update(retry_count=TaskFile.MAX_RETRIES)

    overtake(spend, lambda: fail_file(task_file=rows.get(), message=""))
    task = UploadTask.objects.get()
    assert (task.status, task.failed_files, sums(drive)) == ("failed", 1, (0, 0))


def test_content_that_is_taken_back_as_another_comes_in_its_place(
    owner: User, owner_api: Client, drive: Drive
) -> None:
    (sender,) = begin(owner_api, announced("/x", b"12345"))
    sender.whole(b"12345")
    TaskFile.objects.update(md5=md5_of(b"another"))
    row = sender.row()
    assert row.file is not None
    blob = row.file.blob

    overtake(lambda: put(owner, "/x", b"better"), lambda: take_back_others(blob=blob, md5=md5_of(b"12345")))
    assert content_of(File.objects.living().get()) == b"better"
    assert (sender.row().status, UploadTask.objects.get().status) == ("completed", "completed")
    assert sums(drive) == (6, 0)
