"""tus where something goes wrong on our side, and where requests meet."""

import os
import resource
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from common import realtime
from drives.models import Blob, Drive, File
from drives.storage import blob_storage
from tests.conftest import Client
from tests.racing import race
from tests.uploads.conftest import content_of, md5_of, staged, sums
from tests.uploads.tus_client import Tus, row_of
from uploads.errors import UploadClosed, UploadTooLong
from uploads.models import UploadPart, UploadTask
from uploads.services import files
from uploads.services.tus import receive

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(2_500_000)


@pytest.fixture
def tus(owner_api: Client) -> Tus:
    return Tus(owner_api)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process grows beyond a MiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_keeps_what_it_took(
    tus: Tus, small_disk: None, request: pytest.FixtureRequest
) -> None:
    url = tus.begin(len(CONTENT))
    answer = tus.patch(url, 0, CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert answer["Retry-After"] == "5"
    assert tus.head(url)["Upload-Offset"] == str(2**20)
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    assert tus.patch(url, 2**20, CONTENT[2**20 :]).status_code == 204
    assert content_of(File.objects.get()) == CONTENT


def test_a_server_that_died_with_all_bytes_lands_them_when_it_is_asked(tus: Tus, drive: Drive) -> None:
    """Otherwise a client would find its whole file there, be content, and never see it in the drive."""
    url = tus.begin(7, md5=md5_of(b"content"))
    tus.patch(url, 0, b"cont")
    with blob_storage().staged(row_of(url).upload_id) as file:
        file.seek(4)
        file.write(b"ent")
    assert not File.objects.exists()
    answer = tus.head(url)
    assert (answer.status_code, answer["Upload-Offset"]) == (200, "7")
    assert answer["Yuntu-File-Id"] == str(File.objects.get().pk)
    assert (content_of(File.objects.get()), sums(drive), staged()) == (b"content", (7, 0), [])


def test_a_server_that_died_with_all_bytes_lands_them_at_an_empty_patch(tus: Tus) -> None:
    url = tus.begin(7)
    tus.patch(url, 0, b"cont")
    with blob_storage().staged(row_of(url).upload_id) as file:
        file.seek(4)
        file.write(b"ent")
    assert tus.patch(url, 7, b"").status_code == 204
    assert content_of(File.objects.get()) == b"content"


def test_bytes_that_were_lost_are_sent_again(tus: Tus, monkeypatch: pytest.MonkeyPatch) -> None:
    url = tus.begin(7)
    tus.patch(url, 0, b"cont")
    blob_storage().discard(row_of(url).upload_id)
    answer = tus.patch(url, 4, b"ent")
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_closed")
    monkeypatch.setattr(files.await_landing, "__defaults__", (0.1,))
    assert tus.head(url)["Upload-Offset"] == "0"
    assert row_of(url).retry_count == 1
    assert tus.patch(url, 0, b"content").status_code == 204
    assert content_of(File.objects.get()) == b"content"


def test_what_a_piece_costs_the_database(tus: Tus) -> None:
    url = tus.begin(3_000)
    tus.patch(url, 0, b"x" * 1000)
    with CaptureQueriesContext(
        connection,
    ) as piece:
        assert tus.patch(url, 1000, b"x" * 1000).status_code == 204
    with CaptureQueriesContext(connection) as look:
        tus.head(url)
    statements = [query["sql"].split()[0] for query in piece.captured_queries]
    assert len(statements) <= 11, statements
    assert len(look.captured_queries) <= 2


@pytest.mark.django_db(transaction=True)
def test_the_owner_is_told_how_far_it_is(owner: User, drive: Drive) -> None:
    tus = Tus(Client(owner))
    url = tus.begin(4_000)
    tus.patch(url, 0, b"x" * 1000)
    tus.patch(url, 1000, b"x" * 3000)
    entries: Any = realtime.connection().xrange(realtime.stream_of(owner.pk))
    events = [realtime.json.loads(fields[b"event"])["data"] for _revision, fields in entries]
    mine = [event for event in events if event.get("task_id") == str(row_of(url).task_id)]
    assert (mine[0]["uploaded_size"], mine[0]["status"]) == (1000, "uploading")
    assert (mine[-1]["uploaded_size"], mine[-1]["status"]) == (4000, "completed")


def assert_landed_once(url: str, drive: Drive) -> None:
    assert content_of(File.objects.get()) == CONTENT
    assert (Blob.objects.count(), UploadPart.objects.count(), staged()) == (1, 0, [])
    assert (row_of(url).task.status, sums(drive)) == (UploadTask.Status.COMPLETED, (len(CONTENT), 0))


@pytest.mark.django_db(transaction=True)
def test_the_whole_file_from_many_at_once(owner: User, drive: Drive) -> None:
    url = Tus(Client(owner)).begin(len(CONTENT))
    answers = race(6, lambda _number: Tus(Client(owner)).patch(url, 0, CONTENT).status_code)
    # Whoever wrote the last block has all of it: of the others none is told that it had.
    assert sorted(answers)[0] == 204
    assert set(answers) <= {204, 409}
    assert answers.count(204) == 1
    assert_landed_once(url, drive)


@pytest.mark.django_db(transaction=True)
def test_everybody_who_asks_lands_the_same_file(owner: User, drive: Drive) -> None:
    url = Tus(Client(owner)).begin(len(CONTENT))
    Tus(Client(owner)).patch(url, 0, CONTENT[:-1])
    with blob_storage().staged(row_of(url).upload_id) as file:
        file.seek(len(CONTENT) - 1)
        file.write(CONTENT[-1:])
    answers = race(6, lambda _number: Tus(Client(owner)).head(url))
    assert {answer["Upload-Offset"] for answer in answers} == {str(len(CONTENT))}
    assert {answer["Yuntu-File-Id"] for answer in answers} == {str(File.objects.get().pk)}
    assert_landed_once(url, drive)


@pytest.mark.django_db(transaction=True)
def test_termination_while_bytes_arrive(owner: User, drive: Drive) -> None:
    url = Tus(Client(owner)).begin(len(CONTENT))

    def act(number: int) -> int:
        mine = Tus(Client(owner))
        return int((mine.delete(url) if number else mine.patch(url, 0, CONTENT)).status_code)

    sent, terminated = race(2, act)
    if terminated == 204:
        assert sent in (409, 410)
        assert (File.objects.count(), sums(drive), row_of(url).task.status) == (0, (0, 0), "cancelled")
    else:
        assert (sent, terminated) == (204, 409)
        assert_landed_once(url, drive)
    assert staged() == []


def test_a_body_without_a_length_that_does_not_end(tus: Tus, owner: User) -> None:
    """What fits stays; nothing is ever written behind the end of the file."""
    url = tus.begin(7)
    row = row_of(url)
    with pytest.raises(UploadTooLong):
        receive(task_file=row, actor=owner, offset=0, blocks=[b"cont", b"entless"])
    assert blob_storage().staging_path(row_of(url).upload_id).read_bytes() == b"cont"
    assert not File.objects.exists()


def test_a_task_that_is_cancelled_while_the_bytes_come(tus: Tus, owner: User, owner_api: Client) -> None:
    row = row_of(tus.begin(7))

    def blocks() -> Iterator[bytes]:
        yield b"cont"
        assert owner_api.put(f"/upload-tasks/{row.task_id}/cancel").status_code == 200

    with pytest.raises(UploadClosed):
        receive(task_file=row, actor=owner, offset=0, blocks=blocks())
    assert (UploadPart.objects.count(), staged()) == (0, [])
