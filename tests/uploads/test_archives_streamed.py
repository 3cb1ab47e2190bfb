"""A large archive leaves the server in blocks: its memory does not grow with it."""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from accounts.models import User
from drives.models import Drive
from drives.services.blobs import store_chunks
from drives.services.tree import NewFile, put_files
from tests.factories import token_of
from tests.uploads.servers import WebServer
from uploads.models import TaskFile, UploadTask
from uploads.services.manifests import ManifestFile
from uploads.services.tasks import create_task

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 2**20
COPIES = 12


@pytest.fixture(params=["wsgi", "asgi"])
def server(request: pytest.FixtureRequest) -> Iterator[WebServer]:
    running = WebServer(request.param)
    yield running
    running.close()


def peak_memory(group: int) -> int:
    """The most memory any process of the server has had, in MiB."""
    peaks = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if os.getpgid(int(folder.name)) == group:
                    status = (folder / "status").read_text()
                    peaks.append(int(status.partition("VmHWM:")[2].split()[0]) // 1024)
            except (ProcessLookupError, FileNotFoundError):
                continue
    return max(peaks)


def large_task(owner: User, drive: Drive, content: bytes) -> UploadTask:
    """A completed task of many files of the same 20 MiB."""
    blob = store_chunks([content])
    files = [ManifestFile("", "/", f"{number}.bin", len(content)) for number in range(COPIES)]
    task = create_task(user=owner, drive_id=drive.pk, task_name="large", files=files)
    placed = put_files(
        drive=drive, actor=owner, new_files=[NewFile(None, file.file_name, blob) for file in files]
    )
    for row, file in zip(task.files.order_by("position"), placed, strict=True):
        TaskFile.objects.filter(pk=row.pk).update(file=file, status=TaskFile.Status.COMPLETED)
    UploadTask.objects.update(status=UploadTask.Status.COMPLETED)
    return task


def test_memory_does_not_grow_with_the_archive(
    server: WebServer, owner: User, drive: Drive, tmp_path: Path
) -> None:
    content = os.urandom(20 * MIB)
    task = large_task(owner, drive, content)
    headers = {"Authorization": f"Bearer {token_of(owner)}"}
    answer = httpx.post(f"{server.url}/upload-tasks/{task.pk}/archive", headers=headers, json={}, timeout=60)
    link = answer.json()["download_url"]
    before, target = peak_memory(server.process.pid), tmp_path / "large.zip"
    with httpx.stream("GET", link, timeout=60) as got, target.open("wb") as file:
        assert got.headers["content-length"]
        for block in got.iter_bytes():
            file.write(block)
    assert target.stat().st_size == int(got.headers["content-length"]) > COPIES * len(content)
    rest = httpx.get(link, headers={"Range": "bytes=250000000-"}, timeout=60)
    assert (rest.status_code, rest.content) == (206, target.read_bytes()[250_000_000:])
    assert peak_memory(server.process.pid) - before < 60
    with zipfile.ZipFile(target) as found:
        assert len(found.namelist()) == COPIES
        assert hashlib.sha256(found.read("7.bin")).digest() == hashlib.sha256(content).digest()
