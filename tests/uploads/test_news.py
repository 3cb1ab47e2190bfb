"""upload:progress: at most two a second for a task, and the last one always."""

import json
import time
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import User
from common import realtime
from drives.models import Drive, Folder
from drives.services.trash import trash
from tests.conftest import Client
from tests.uploads.conftest import PART, announced, begin
from uploads import tasks
from uploads.services import news

pytestmark = pytest.mark.django_db(transaction=True)


def sent(user: User) -> list[tuple[int, dict[str, Any]]]:
    """Progress events of the user with their time in milliseconds, oldest first."""
    entries: Any = realtime.connection().xrange(realtime.stream_of(user.pk))
    events = [(int(key.split(b"-")[0]), json.loads(fields[b"event"])) for key, fields in entries]
    return [(moment, event["data"]) for moment, event in events if event["event"] == "upload:progress"]


def shares(user: User) -> list[tuple[str, float]]:
    return [(data["status"], data["size_progress_percentage"]) for _moment, data in sent(user)]


def in_milliseconds(body: dict[str, Any]) -> dict[str, Any]:
    """Events tell times a little less exactly than the API."""
    return {**body, "updated_at": body["updated_at"][:23]}


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Tasks whose news is to be sent later; the broker would bring the message."""
    asked: list[UUID] = []
    monkeypatch.setattr(news, "tell_progress_later", lambda task_id, *, seconds: asked.append(task_id))
    return asked


def next_second(task_id: str) -> None:
    realtime.end_turn(f"upload:{task_id}")
    news.quiet_until.clear()


def test_an_event_has_the_body_of_the_progress(owner: User, drive: Drive, later: list[UUID]) -> None:
    client = Client(owner)
    first, second = begin(client, announced("/1", b"1"), announced("/2", bytes(2 * PART)))
    first.whole(b"1")
    body = client.get(f"/upload-tasks/{first.task_id}/progress").json()
    [(_moment, event)] = sent(owner)
    assert event.pop("timestamp")
    assert in_milliseconds(event) == in_milliseconds(body)
    next_second(first.task_id)
    second.start()
    second.part(1, bytes(PART))
    body = client.get(f"/upload-tasks/{first.task_id}/progress").json()
    event = sent(owner)[-1][1]
    assert event.pop("timestamp")
    assert in_milliseconds(event) == in_milliseconds(body)


def test_many_small_files_are_few_events(owner: User, drive: Drive, later: list[UUID]) -> None:
    """However fast they land: whatever window of a second one looks at, it holds two at most, the last included."""
    client = Client(owner)
    senders = begin(client, *(announced(f"/{number}", b"x") for number in range(60)))
    for sender in senders:
        assert sender.whole(b"x").status_code == 200
    moments = [moment for moment, _data in sent(owner)]
    for moment in moments:
        assert sum(moment <= other < moment + 1000 for other in moments) <= 2
    assert shares(owner)[-1] == ("completed", 100.0)
    # Between first and last one message was asked for at a time, not one for each file.
    assert len(later) <= 1 + len(moments)


def test_what_had_to_wait_is_sent_when_its_turn_has_come(
    owner: User, drive: Drive, later: list[UUID]
) -> None:
    client = Client(owner)
    senders = begin(client, *(announced(f"/{number}", b"x") for number in range(4)))
    task_id = UUID(senders[0].task_id)
    senders[0].whole(b"x")
    senders[1].whole(b"x")
    assert (shares(owner), later) == ([("uploading", 25.0)], [task_id])
    # The message comes too early: it is asked for again, and nothing is lost.
    tasks.tell_progress(str(task_id))
    assert (len(shares(owner)), later) == (1, [task_id] * 2)
    senders[2].whole(b"x")
    next_second(senders[0].task_id)
    tasks.tell_progress(str(task_id))
    assert shares(owner) == [("uploading", 25.0), ("uploading", 75.0)]
    # What comes after that look asks for a message of its own.
    client.post(f"{senders[3].url}/multipart/init", {})
    senders[3].part(1, b"x")
    assert later == [task_id] * 3
    senders[3].complete()
    assert shares(owner)[-1] == ("completed", 100.0)
    # A message that comes after the end has nothing to say; nor has one for a task that is gone.
    next_second(senders[0].task_id)
    tasks.tell_progress(str(task_id))
    client.delete(f"/upload-tasks/{task_id}")
    tasks.tell_progress(str(task_id))
    assert len(shares(owner)) == 3


def test_the_end_is_told_where_the_folder_of_one_file_had_to_be_made_again(
    owner: User, drive: Drive, later: list[UUID]
) -> None:
    """That file lands last, whatever its place in the request."""
    client = Client(owner)
    homeless, other, first = begin(client, *(announced(path, b"x") for path in ("/a/1", "/2", "/3")))
    first.whole(b"x")
    trash(entry=Folder.objects.select_related("drive").get(path="/a"), actor=owner)
    form = {sender.file_id: SimpleUploadedFile("x", b"x") for sender in (homeless, other)}
    answer = client.post(f"/upload-tasks/{first.task_id}/files/batch", form, format="multipart")
    assert answer.status_code == 200
    assert shares(owner)[-1] == ("completed", 100.0)


def test_another_process_knows_of_the_message_that_is_on_its_way(
    owner: User, drive: Drive, later: list[UUID]
) -> None:
    """It asks for none of its own, and asks Redis no more until that message is due."""
    senders = begin(Client(owner), *(announced(f"/{number}", b"x") for number in range(4)))
    task_id = UUID(senders[0].task_id)
    senders[0].whole(b"x")
    senders[1].whole(b"x")
    due = news.quiet_until.pop(task_id)
    senders[2].whole(b"x")
    assert (len(shares(owner)), later) == (1, [task_id])
    assert due - 0.1 < news.quiet_until[task_id] <= due + 0.1
    # Nobody has looked at the time it was due: until somebody does, Redis is asked each time.
    rest = f"{settings.REDIS_PREFIX}:turn:upload:{task_id}:rest"
    realtime.connection().pexpire(rest, 8000)
    news.quiet_until.clear()
    news.tell(task_id)
    assert news.quiet_until[task_id] < time.monotonic()
    assert later == [task_id]


def test_what_the_owner_did_is_told_at_once(
    owner: User, stranger: User, drive: Drive, later: list[UUID]
) -> None:
    client = Client(owner)
    first, _second = begin(client, announced("/1", b"x"), announced("/2", b"y"))
    first.whole(b"x")
    for what in ("pause", "resume", "cancel"):
        client.put(f"/upload-tasks/{first.task_id}/{what}")
    events = [data for _moment, data in sent(owner)]
    assert [(event["status"], event["paused_at"] is not None) for event in events] == [
        ("uploading", False), ("uploading", True), ("uploading", False), ("cancelled", False),
    ]  # fmt: skip
    assert sent(stranger) == []


def test_the_message_goes_over_the_broker(owner: User, drive: Drive) -> None:
    """Without the stand-in of the other tests: it lies in the queue of the worker, and can be run."""
    from celery import current_app

    client = Client(owner)
    senders = begin(client, *(announced(f"/{number}", b"x") for number in range(3)))
    with current_app.connection_for_write() as connection:
        queue = connection.SimpleQueue(settings.CELERY_TASK_DEFAULT_QUEUE)
        queue.clear()
        for sender in senders[:2]:
            sender.whole(b"x")
        message = queue.get(timeout=10)
        assert (message.headers["task"], message.payload[0]) == (
            "uploads.tasks.tell_progress",
            [senders[0].task_id],
        )
        assert message.headers["task"] in current_app.tasks
        message.ack()
        queue.close()


def test_without_redis_nothing_is_told_and_all_is_done(owner: User, drive: Drive, redis_away: None) -> None:
    """The upload itself goes on: only the requests' sign-in would need Redis, so the service is called."""
    from drives.services.blobs import Hasher
    from drives.storage import blob_storage
    from uploads.services.files import reload, upload_whole
    from uploads.services.manifests import ManifestFile
    from uploads.services.tasks import create_task

    task = create_task(user=owner, drive_id=None, task_name="t", files=[ManifestFile("", "/", "x", 1)])
    hasher = Hasher()
    hasher.update(b"x")
    blob_storage().staging_path("away").write_bytes(b"x")
    row = upload_whole(
        task_file=reload(task.files.get()), actor=owner, staging_id="away", digests=hasher.digests()
    )
    assert row.task.status == "completed"
