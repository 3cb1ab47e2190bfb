"""kill -9 of the server in the middle of an upload: what was acknowledged is still there."""

import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import httpx
import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from drives.models import Blob, Drive, File
from drives.storage import blob_storage
from tests.conftest import Client
from tests.factories import token_of
from tests.racing import somebody_waits_for_a_lock, wait_for
from tests.uploads.conftest import Sender, announced, begin, content_of, md5_of, sha256_of, staged, sums
from tests.uploads.servers import WebServer
from uploads.models import TaskFile, UploadPart, UploadTask

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("crashes"),
    pytest.mark.timeout(300),
]
PART = 2**20
CONTENT = os.urandom(40 * PART + 17)
PARTS = {number + 1: CONTENT[number * PART : (number + 1) * PART] for number in range(41)}


@pytest.fixture(params=["wsgi", "asgi"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setenv("UPLOAD_PART_SIZE", str(PART))
    running = WebServer(request.param)
    yield running
    running.close()


class Wire:
    """A client that sends parts over several connections until the server is gone."""

    def __init__(self, server: WebServer, owner: User, sender: Sender) -> None:
        self.server, self.path = server, sender.url
        self.headers = {"Authorization": f"Bearer {token_of(owner)}"}
        self.acknowledged: set[int] = set()

    def ask(self, method: str, what: str, **options: Any) -> httpx.Response:
        url = f"{self.server.url}{self.path}/multipart/{what}"
        return httpx.request(method, url, headers=self.headers, timeout=60, **options)

    def send_part(self, number: int) -> httpx.Response:
        """By one door or the other."""
        if number % 2:
            url = f"{self.server.url}{self.path}/multipart/parts/{number}"
            headers = {**self.headers, "Content-Type": "application/octet-stream"}
            return httpx.put(url, headers=headers, timeout=60, content=PARTS[number])
        form = {"chunk_index": str(number), "chunk_md5": md5_of(PARTS[number])}
        return self.ask("POST", "upload", data=form, files={"chunk": PARTS[number]})

    def send(self, numbers: set[int], kill_after: int) -> None:
        """Send parts over four connections; kill the server once `kill_after` were acknowledged, and start it again."""
        left: SimpleQueue[int] = SimpleQueue()
        for number in sorted(numbers, key=lambda number: number * 7 % 41):
            left.put(number)
        enough = threading.Event()

        def run() -> None:
            with suppress(Empty, httpx.TransportError):
                while not enough.is_set():
                    number = left.get_nowait()
                    answer = self.send_part(number)
                    assert answer.status_code == 200, answer.text
                    self.acknowledged.add(number)
                    if len(self.acknowledged) >= kill_after:
                        enough.set()

        threads = [threading.Thread(target=run) for _number in range(4)]
        for thread in threads:
            thread.start()
        if len(self.acknowledged | numbers) > kill_after and enough.wait(60):
            self.server.kill()
            # From this thread: the server ends with the one that began it.
            self.server.start()
        for thread in threads:
            thread.join(60)


def test_acknowledged_parts_survive_the_server(server: WebServer, owner: User, drive: Drive) -> None:
    (sender,) = begin(Client(owner), announced("/big", CONTENT, md5=md5_of(CONTENT)))
    wire = Wire(server, owner, sender)
    started = wire.ask("POST", "init", json={}).json()
    assert (started["chunk_size"], started["total_chunks"]) == (PART, 41)
    for count in (12, 28):
        wire.send(set(PARTS) - wire.acknowledged, kill_after=count)
        assert len(wire.acknowledged) >= count
        there = set(wire.ask("GET", "parts").json()["uploaded_chunks"])
        # A part whose acknowledgement got lost may be there as well; none that was acknowledged is missing.
        assert wire.acknowledged <= there
        with blob_storage().staged(started["upload_id"]) as lying:
            for number in there:
                lying.seek((number - 1) * PART)
                assert lying.read(len(PARTS[number])) == PARTS[number]
        wire.acknowledged = there
    wire.send(set(PARTS) - wire.acknowledged, kill_after=100)
    assert wire.acknowledged == set(PARTS)
    # Killed while the parts are put together: it is asked again, nothing is sent again.
    asking = threading.Thread(target=complete_unheard, args=[wire])
    asking.start()
    asking.join(0.05)
    server.kill()
    server.start()
    asking.join(60)
    answer = wire.ask("POST", "complete", json={})
    assert answer.status_code == 200, answer.text
    assert content_of(File.objects.select_related("blob").get()) == CONTENT
    assert (staged(), UploadPart.objects.count(), sums(drive)) == ([], 0, (len(CONTENT), 0))
    assert UploadTask.objects.get().status == UploadTask.Status.COMPLETED
    assert TaskFile.objects.get().retry_count == 0


@pytest.mark.parametrize("server", ["wsgi"], indirect=True)
def test_bytes_kept_but_not_written_down_are_found_again(
    server: WebServer, owner: User, drive: Drive
) -> None:
    """Killed between moving the bytes to their place and the row that names it: nothing is sent again."""
    content = CONTENT[: 2 * PART + 5]
    (sender,) = begin(Client(owner), announced("/big", content))
    wire = Wire(server, owner, sender)
    upload_id = wire.ask("POST", "init", json={}).json()["upload_id"]
    for number, start in enumerate(range(0, len(content), PART), 1):
        form, chunk = {"chunk_index": str(number)}, {"chunk": content[start : start + PART]}
        assert wire.ask("POST", "upload", data=form, files=chunk).status_code == 200
    asking = threading.Thread(target=complete_unheard, args=[wire])
    with transaction.atomic():
        # A row of the same content that is never committed: the server's own has to wait for it.
        Blob.objects.create(
            size=len(content), sha256=sha256_of(content), storage_key="held", verified_at=timezone.now()
        )
        asking.start()
        wait_for(lambda: upload_id not in staged() and somebody_waits_for_a_lock())
        server.kill()
        with connection.cursor() as cursor:
            # What the server asked for last goes with it: PostgreSQL would still carry that out.
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            )
        transaction.set_rollback(True)
    server.start()
    asking.join(60)
    assert not Blob.objects.exists()
    answer = wire.ask("POST", "complete", json={})
    assert answer.status_code == 200, answer.text
    blob = File.objects.select_related("blob").get().blob
    with blob_storage().open_blob(blob.storage_key) as kept:
        assert kept.read() == content
    assert [found.key for found in blob_storage().objects() if found.key.endswith(upload_id)] == [
        blob.storage_key
    ]
    assert (blob.sha256, blob.crc32) == (sha256_of(content), zlib.crc32(content))
    assert (staged(), UploadPart.objects.count(), sums(drive)) == ([], 0, (len(content), 0))
    assert (TaskFile.objects.get().retry_count, UploadTask.objects.get().status) == (0, "completed")
    # Asked once more it is the same.
    assert wire.ask("POST", "complete", json={}).json()["file_id"] == answer.json()["file_id"]


def complete_unheard(wire: Wire) -> None:
    """Ask for completion; the answer may never come."""
    with suppress(httpx.TransportError):
        wire.ask("POST", "complete", json={})
