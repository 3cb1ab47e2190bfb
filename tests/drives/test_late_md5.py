"""Content that came without an MD5 gets it later, and instant upload finds it."""

import hashlib
from pathlib import Path

import pytest
from django_celery_beat.models import PeriodicTask

from accounts.models import User
from drives.models import Blob
from drives.services import late_md5
from drives.services.late_md5 import add_late_md5
from drives.storage import blob_storage
from drives.tasks import add_md5
from tests.conftest import Client
from tests.factories import put
from tests.uploads.conftest import announced, begin

pytestmark = pytest.mark.django_db


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_content_sent_in_parts_is_linked_at_once_afterwards(owner: User, owner_api: Client) -> None:
    content = b"sent in one part, without a digest"
    (first,) = begin(owner_api, announced("/first", content))
    first.send_parts(content)
    assert first.complete().json()["md5"] == ""
    (again,) = begin(owner_api, announced("/again", content))
    asked = {"files": [{"task_file_id": again.file_id, "md5": md5_of(content), "file_size": len(content)}]}
    check = f"/upload-tasks/{again.task_id}/files/check"
    assert owner_api.post(check, asked).json()["new_files_count"] == 1

    assert add_late_md5() == 1

    assert Blob.objects.get().md5 == md5_of(content)
    assert owner_api.post(check, asked).json()["new_files_count"] == 0
    assert add_late_md5() == 0


def test_what_cannot_be_read_or_was_altered_waits_behind_the_others(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing, altered, fine = (put(owner, f"/{name}", name.encode()).blob for name in ("gone", "bad", "fine"))
    unverified = Blob.objects.create(size=1, storage_key="x/unverified")
    Blob.objects.update(md5="")
    blob_storage().delete(missing.storage_key)
    Path(blob_storage().path(altered.storage_key)).write_bytes(b"BAD")
    monkeypatch.setattr(late_md5, "AT_ONCE", 2)
    assert [add_late_md5() for _turn in range(3)] == [0, 1, 0]
    found = dict(Blob.objects.values_list("pk", "md5"))
    assert found == {missing.pk: "", altered.pk: "", unverified.pk: "", fine.pk: md5_of(b"fine")}


def test_so_many_bytes_at_once(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        put(owner, f"/{number}", bytes([number]) * 10)
    Blob.objects.update(md5="")
    monkeypatch.setattr(late_md5, "SIZE_AT_ONCE", 15)
    assert [add_late_md5() for _turn in range(3)] == [2, 2, 0]


def test_it_is_scheduled(owner: User) -> None:
    row = PeriodicTask.objects.select_related("interval").get(task="drives.tasks.add_md5")
    assert (row.enabled, row.interval.every, row.interval.period) == (True, 900, "seconds")
    put(owner, "/x", b"x")
    Blob.objects.update(md5="")
    add_md5()
    assert Blob.objects.get().md5 == md5_of(b"x")
