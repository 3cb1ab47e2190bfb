"""Pausing an upload: no more bytes, nothing lost, time to rest."""

import os
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import User
from drives.models import Drive, File
from tests.conftest import Client
from tests.factories import put
from tests.racing import race
from tests.uploads.conftest import PART, Sender, announced, assert_stored, begin, chunks, md5_of, staged, sums
from uploads.models import TaskFile, UploadPart, UploadTask
from uploads.services import files
from uploads.services.tasks import expire_tasks

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(2 * PART + 5)
PARTS = chunks(CONTENT)


def pause(sender: Sender, what: str = "pause") -> Any:
    return sender.client.put(f"/upload-tasks/{sender.task_id}/{what}")


@pytest.fixture
def sender(owner_api: Client, drive: Drive) -> Sender:
    (found,) = begin(owner_api, announced("/big", CONTENT))
    return found


def test_a_paused_upload_takes_no_bytes_and_goes_on_where_it_was(
    owner: User, sender: Sender, drive: Drive
) -> None:
    put(owner, "/known", CONTENT)
    sender.start()
    sender.part(1, PARTS[0])
    answer = pause(sender)
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["status"], shown["is_in_progress"], shown["paused_at"] is None) == (
        "uploading",
        True,
        False,
    )
    check = {"files": [{"task_file_id": sender.file_id, "md5": md5_of(CONTENT), "file_size": len(CONTENT)}]}
    batch = {sender.file_id: CONTENT.decode("latin-1")}
    for refused in (
        sender.start(),
        sender.part(2, PARTS[1]),
        sender.complete(),
        sender.whole(CONTENT),
        sender.client.post(f"/upload-tasks/{sender.task_id}/files/check", check),
        sender.client.post(f"/upload-tasks/{sender.task_id}/files/batch", batch, format="multipart"),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "upload_paused")
    assert UploadPart.objects.count() == 1
    assert sender.row().status == TaskFile.Status.UPLOADING
    assert sums(drive) == (len(CONTENT), len(CONTENT))
    resumed = pause(sender, "resume").json()
    assert (resumed["status"], resumed["paused_at"]) == ("uploading", None)
    assert sender.start().json()["uploaded_chunks"] == [1]
    for number in (2, 3):
        assert sender.part(number, PARTS[number - 1]).status_code == 200
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)


def test_pausing_and_resuming_twice_is_no_error(sender: Sender) -> None:
    first = pause(sender).json()
    assert pause(sender).json() == first
    resumed = pause(sender, "resume").json()
    assert pause(sender, "resume").json() == resumed
    assert resumed["paused_at"] is None


@pytest.mark.parametrize("end", ["completed", "cancelled"])
@pytest.mark.parametrize("what", ["pause", "resume"])
def test_what_has_ended_is_neither_paused_nor_resumed(sender: Sender, end: str, what: str) -> None:
    if end == "completed":
        sender.whole(CONTENT)
    else:
        pause(sender, "cancel")
    before = UploadTask.objects.values().get()
    answer = pause(sender, what)
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (
        409, "transition_not_allowed", end,
    )  # fmt: skip
    assert UploadTask.objects.values().get() == before


def test_a_paused_upload_can_be_cancelled(sender: Sender, drive: Drive) -> None:
    sender.start()
    pause(sender)
    shown = pause(sender, "cancel").json()
    assert (shown["status"], shown["paused_at"]) == ("cancelled", None)
    assert (sums(drive), staged()) == ((0, 0), [])


def test_the_clock_begins_anew(sender: Sender) -> None:
    """A paused upload may rest longer than one that is under way may take; then it expires, too."""
    now = timezone.now()
    UploadTask.objects.update(expires_at=now)
    pause(sender)
    task = UploadTask.objects.get()
    assert settings.UPLOAD_PAUSE_LIFETIME > settings.UPLOAD_LIFETIME
    assert task.expires_at >= now + settings.UPLOAD_PAUSE_LIFETIME
    assert expire_tasks(now=now) == 0
    pause(sender, "resume")
    task.refresh_from_db()
    assert now + settings.UPLOAD_LIFETIME <= task.expires_at < now + settings.UPLOAD_PAUSE_LIFETIME
    pause(sender)
    assert expire_tasks(now=now + 2 * settings.UPLOAD_PAUSE_LIFETIME) == 1
    task.refresh_from_db()
    assert (task.status, task.paused_at) == (UploadTask.Status.FAILED, None)


def test_what_was_on_its_way_lands_all_the_same(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, drive: Drive
) -> None:
    """Acknowledged parts are not lost to a pause in the moment of completion."""
    sender.send_parts(CONTENT)
    real = files.hash_parts

    def pause_first(*arguments: Any, **options: Any) -> Any:
        assert pause(sender).status_code == 200
        return real(*arguments, **options)

    monkeypatch.setattr(files, "hash_parts", pause_first)
    assert sender.complete().status_code == 200
    assert_stored(sender, CONTENT)
    task = UploadTask.objects.get()
    assert (task.status, task.paused_at) == (UploadTask.Status.COMPLETED, None)
    assert sums(drive) == (len(CONTENT), 0)


def test_a_foreign_upload_is_out_of_sight(sender: Sender, stranger_api: Client) -> None:
    before = UploadTask.objects.values().get()
    for what in ("pause", "resume"):
        assert pause(sender.again(stranger_api), what).status_code == 404
        assert pause(sender.again(Client()), what).status_code == 401
    assert UploadTask.objects.values().get() == before


@pytest.mark.django_db(transaction=True)
def test_pause_cancel_and_bytes_at_once(owner: User, drive: Drive) -> None:
    (sender,) = begin(Client(owner), announced("/x", CONTENT))

    def act(number: int) -> int:
        mine = sender.again(Client(owner))
        if number % 3 == 2:
            return int(mine.whole(CONTENT).status_code)
        return int(pause(mine, ("pause", "cancel")[number % 3]).status_code)

    assert set(race(6, act)) <= {200, 409}
    task = UploadTask.objects.get()
    assert task.status in (UploadTask.Status.CANCELLED, UploadTask.Status.COMPLETED)
    assert task.paused_at is None
    landed = len(CONTENT) if task.uploaded_files else 0
    assert (sums(drive), File.objects.count()) == ((landed, 0), task.uploaded_files)
