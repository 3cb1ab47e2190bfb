"""A stock client over the server that `make run` uses: trees up and down, and connections that break."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from accounts.models import User
from accounts.services import app_passwords
from drives.models import Blob, Drive, File
from drives.storage import blob_storage
from tests.drives.dav import basic
from tests.drives.test_downloads_asgi import server
from tests.racing import wait_for
from tests.uploads.servers import WebServer

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["server"]  # fixture
MIB = 2**20


def rclone(url: str, password: str, *arguments: str | Path) -> str:
    path = shutil.which("rclone")
    assert path, "apt-get install rclone (scripts/system-packages.txt)"
    obscured = subprocess.run([path, "obscure", password], capture_output=True, text=True, check=True)
    remote = {
        "TYPE": "webdav",
        "VENDOR": "owncloud",
        "USER": "owner",
        "URL": url,
        "PASS": obscured.stdout.strip(),
    }
    done = subprocess.run(
        [path, "--config", "/dev/null", "--retries", "1", *map(str, arguments)],
        env={**os.environ, **{f"RCLONE_CONFIG_YUNTU_{name}": value for name, value in remote.items()}},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tree_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), int(path.stat().st_mtime)) for path in files}


def test_a_tree_goes_up_and_down(server: str, owner: User, tmp_path: Path) -> None:
    _row, password = app_passwords.create(user=owner, name="x")
    Drive.objects.update(name="My files")
    url = f"{server}/dav/My files"
    there, back = tmp_path / "there", tmp_path / "back"
    for number, name in enumerate(["a.txt", "镜头/b;c 1.bin", "镜头/深/empty", "big.bin"]):
        path = there / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(5 * MIB) if name == "big.bin" else b"x" * 10 * number)
        os.utime(path, (1_577_934_245 + number,) * 2)
    (there / "镜头/深/empty").write_bytes(b"")
    os.utime(there / "镜头/深/empty", (1_577_934_245,) * 2)
    rclone(url, password, "copy", there, "yuntu:")
    rclone(url, password, "copy", "yuntu:", back)
    assert tree_of(back) == tree_of(there)
    # Nothing is sent again: sizes and times are as they were.
    before = set(File.objects.values_list("pk", "updated_at"))
    rclone(url, password, "sync", there, "yuntu:")
    assert set(File.objects.values_list("pk", "updated_at")) == before
    rclone(url, password, "moveto", "yuntu:镜头", "yuntu:shots")
    assert rclone(url, password, "cat", "yuntu:shots/b;c 1.bin") == "x" * 10
    rclone(url, password, "purge", "yuntu:shots")
    assert sorted(file.name for file in File.objects.living()) == ["a.txt", "big.bin"]


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_half_a_file_is_none(kind: str, owner: User) -> None:
    _row, password = app_passwords.create(user=owner, name="x")
    drive, staging = Drive.objects.get(), blob_storage().staging_path("")
    before = set(staging.iterdir())
    sign_in = f"Authorization: {basic('owner', password)}"
    running = WebServer(kind)
    try:
        for length, begin in (
            (f"Content-Length: {4 * MIB}", b""),
            ("Transfer-Encoding: chunked", b"%x\r\n" % (4 * MIB)),
        ):
            head = f"PUT /dav/{drive.pk}/a.bin HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n{sign_in}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", running.port)) as client:
                client.sendall(head.encode() + begin + b"x" * 3 * MIB)
                wait_for(lambda: set(staging.iterdir()) > before)
            wait_for(lambda: set(staging.iterdir()) == before)
        assert not File.objects.exists() and not Blob.objects.exists()

        # A whole one of a length that nobody told, and one there is no room for.
        url = f"http://127.0.0.1:{running.port}/dav/{drive.pk}/b.bin"
        headers = {"Authorization": basic("owner", password)}
        assert httpx.put(url, headers=headers, content=iter([b"y" * MIB, b"y"])).status_code == 201
        Drive.objects.update(total_size=2 * MIB)
        blocks = iter([b"z" * MIB] * 3)
        assert httpx.put(url, headers=headers, content=blocks).status_code == 507
        assert File.objects.get().size == MIB + 1 and Blob.objects.count() == 1
        assert set(staging.iterdir()) == before
    finally:
        running.close()
