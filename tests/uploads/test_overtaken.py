"""What was seen of an upload before it was held, and is another thing by then."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from drives.models import Drive
from tests.conftest import Client
from tests.racing import overtake
from tests.uploads.conftest import PART, announced, begin, staged, sums
from uploads.models import UploadTask
from uploads.services.desktop import CHUNK_SIZE, begin_upload, open_upload, receive_chunk
from uploads.services.landing import fail_file
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
