"""Files out of gunicorn, which has the kernel send them: all of it, a range, and what breaks off."""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from accounts.models import User
from accounts.services import app_passwords
from common.realtime import connection
from drives.services.traffic import key_of
from drives.storage import blob_storage
from tests.drives.dav import basic
from tests.factories import put
from tests.racing import wait_for
from tests.uploads.servers import WebServer

pytestmark = pytest.mark.django_db(transaction=True)
SIZE = 16 * 2**20 + 1


def test_what_the_kernel_has_sent_is_counted_and_what_breaks_off_is_not(owner: User) -> None:
    content = os.urandom(SIZE)
    file = put(owner, "/large.bin", content)
    sign_in = basic(owner.username, app_passwords.create(user=owner, name="x")[1])

    def traffic() -> int:
        return int(connection().hget(key_of(datetime.now(UTC).date()), file.drive_id.hex) or 0)

    running = WebServer("wsgi")
    try:
        path, before = f"/dav/{file.drive_id}/large.bin", traffic()
        with socket.create_connection(("127.0.0.1", running.port)) as broken:
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {sign_in}\r\n\r\n"
            broken.sendall(head.encode())
            assert broken.recv(12) == b"HTTP/1.1 200"
        with httpx.Client(
            base_url=f"http://127.0.0.1:{running.port}", headers={"Authorization": sign_in}
        ) as client:
            part = client.get(path, headers={"Range": "bytes=5-1048580"})
            assert (part.status_code, part.content) == (206, content[5:1048581])
            wait_for(lambda: traffic() == before + 2**20)
            assert (
                client.get(path).content == content
            )  # over the same connection: nothing of the range is left
            wait_for(lambda: traffic() == before + 2**20 + SIZE)
    finally:
        running.close()


def test_content_that_a_disk_has_cut_is_never_taken_for_whole(owner: User) -> None:
    """Before anything is sent it is an error; what is cut while it goes out ends the connection."""
    content = os.urandom(SIZE)
    file = put(owner, "/large.bin", content)
    sign_in = basic(owner.username, app_passwords.create(user=owner, name="x")[1])
    blob = Path(blob_storage().path(file.blob.storage_key))
    path, running = f"/dav/{file.drive_id}/large.bin", WebServer("wsgi")
    try:
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as client:
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {sign_in}\r\n\r\n"
            client.sendall(head.encode())
            assert client.recv(12) == b"HTTP/1.1 200"
            os.truncate(blob, SIZE - 5)  # more lies before it than a connection holds
            got = sum(len(piece) for piece in iter(lambda: client.recv(1 << 20), b""))
            assert SIZE - 5 <= got < SIZE + 2000  # and then the connection was closed
        with httpx.Client(
            base_url=f"http://127.0.0.1:{running.port}", headers={"Authorization": sign_in}
        ) as kept:
            assert (
                kept.get(path).status_code
                == kept.get(path, headers={"Range": "bytes=0-9"}).status_code
                == 500
            )
    finally:
        running.close()
