"""Content that went straight into the bucket is read once before anybody shares it."""

from datetime import timedelta

import pytest

from accounts.models import User
from drives.errors import DigestMismatch
from drives.models import Drive, File
from drives.storage.buckets import BucketStorage
from drives.tasks import verify
from tests.conftest import Client
from tests.uploads.conftest import (
    announced,
    begin,
    md5_of,
    sums,
)
from tests.uploads.direct import DirectSender, content_for, direct
from uploads.models import TaskFile, UploadTask
from uploads.services.reconciliation import reconcile_quota

pytestmark = pytest.mark.django_db
DAY = timedelta(hours=24)


def test_nobody_shares_the_content_before_it_was_read(
    owner_api: Client, stranger_api: Client, ours: BucketStorage
) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content, md5="0" * 32)
    sender.put_parts(content)
    assert sender.ask("complete").status_code == 200
    (other,) = begin(stranger_api, announced("/same.blend", content))
    assert other.whole(content).status_code == 200
    first, second = sender.row().file, other.row().file
    assert first is not None
    assert second is not None
    assert first.blob != second.blob
    verify(str(first.blob_id))
    first.refresh_from_db()
    assert first.blob == second.blob


@pytest.mark.parametrize("is_last", [True, False], ids=["completed", "open"])
def test_content_that_is_not_what_was_declared_is_taken_back(
    owner: User, owner_api: Client, drive: Drive, ours: BucketStorage, is_last: bool
) -> None:
    content = content_for(ours)
    more = [] if is_last else [announced("/more", b"more")]
    senders = begin(owner_api, announced("/scene.blend", content, md5=md5_of(b"another")), *more)
    sender = DirectSender(owner_api, senders[0].task_id, senders[0].file_id)
    sender.put_parts(content)
    assert sender.ask("complete").status_code == 200
    blob, left = File.objects.get().blob, 0 if is_last else 4
    assert sums(drive) == (len(content), left)
    for _twice in range(2):
        verify(str(blob.pk))
    row, task = sender.row(), UploadTask.objects.get()
    assert (row.status, row.file_id) == (TaskFile.Status.FAILED, None)
    assert row.error_message == str(DigestMismatch(expected="", actual="", field="file"))
    assert (task.uploaded_files, task.uploaded_size) == (0, 0)
    assert File.objects.visible_to(owner).count() == 0
    # It is shared with nobody: its digest finds nothing.
    (other,) = begin(owner_api, announced("/other", content))
    asked = [{"task_file_id": other.file_id, "md5": md5_of(content), "file_size": len(content)}]
    found = owner_api.post(f"/upload-tasks/{other.task_id}/files/check", {"files": asked})
    assert found.json()["existing_files"] == []
    owner_api.put(f"/upload-tasks/{other.task_id}/cancel")
    if is_last:
        assert (task.status, task.failed_files, sums(drive)) == ("failed", 1, (0, 0))
    else:
        assert (task.status, task.failed_files, sums(drive)) == ("uploading", 0, (0, len(content) + 4))
        assert sender.retry().status_code == 200
    assert reconcile_quota() == []


def test_what_was_declared_rightly_stays(owner_api: Client, drive: Drive, ours: BucketStorage) -> None:
    content = content_for(ours)
    sender = direct(owner_api, content, md5=md5_of(content))
    sender.put_parts(content)
    assert sender.ask("complete").status_code == 200
    verify(str(File.objects.get().blob_id))
    assert (sender.row().status, UploadTask.objects.get().status) == ("completed", "completed")
    assert (File.objects.get().blob.md5, sums(drive)) == (md5_of(content), (len(content), 0))
