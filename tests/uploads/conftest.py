"""What tests of uploads share: manifests, and small parts so that a few kilobytes make many of them."""

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest
from celery import current_app
from django.conf import settings as live_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.models import User
from drives.models import Drive, File
from drives.services.drives import default_drive
from drives.storage import blob_storage
from drives.storage.buckets import BucketStorage
from tests.conftest import Client
from tests.drives.storages import Choose, bucket, choose, oss, s3  # noqa: F401  (fixtures)
from uploads.models import TaskFile, UploadPart, UploadTask

PART = 1000


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def announced(path: str, content: bytes, **fields: Any) -> dict[str, Any]:
    """A manifest's line for a file."""
    folder, name = path.rsplit("/", 1)
    return {"target_folder_path": folder or "/", "file_name": name, "file_size": len(content), **fields}


def manifest(*files: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"upload_manifest": {"task_name": "scene", "files": list(files), **fields}}


def content_of(file: File) -> bytes:
    with blob_storage().open_blob(file.blob.storage_key) as stored:
        return stored.read()


def staged() -> list[str]:
    """Names of what lies in the staging area."""
    return sorted(path.name for path in blob_storage().staging_path("").iterdir())


@dataclass
class Sender:
    """A client that sends one file of a task."""

    client: Client
    task_id: str
    file_id: str

    @property
    def url(self) -> str:
        return f"/upload-tasks/{self.task_id}/files/{self.file_id}"

    def whole(self, content: bytes, field: str = "file", name: str = "x.bin") -> Any:
        form = {field: SimpleUploadedFile(name, content)}
        return self.client.post(f"{self.url}/upload", form, format="multipart")

    def start(self) -> Any:
        return self.client.post(f"{self.url}/multipart/init", {"file_size": 1})

    def part(self, number: Any, content: bytes, **fields: Any) -> Any:
        form = {"chunk_index": str(number), "chunk": SimpleUploadedFile("blob", content), **fields}
        return self.client.post(f"{self.url}/multipart/upload", form, format="multipart")

    def parts(self) -> Any:
        return self.client.get(f"{self.url}/multipart/parts")

    def complete(self, **body: Any) -> Any:
        return self.client.post(f"{self.url}/multipart/complete", body)

    def abort(self, **body: Any) -> Any:
        return self.client.post(f"{self.url}/multipart/abort", body)

    def retry(self) -> Any:
        return self.client.put(f"{self.url}/retry")

    def send_parts(self, content: bytes) -> None:
        """All parts of `content`, in order."""
        assert self.start().status_code == 200
        for number, chunk in enumerate(chunks(content), 1):
            assert self.part(number, chunk).status_code == 200

    def row(self) -> TaskFile:
        return TaskFile.objects.select_related("file__blob", "task__drive").get(pk=self.file_id)

    def again(self, client: Client) -> "Sender":
        return Sender(client, self.task_id, self.file_id)


def chunks(content: bytes) -> list[bytes]:
    return [content[start : start + PART] for start in range(0, len(content), PART)] or [b""]


def begin(client: Client, *files: dict[str, Any], **fields: Any) -> list[Sender]:
    """Announce files; a sender for each, in order."""
    answer = client.post("/upload-tasks", manifest(*files, **fields))
    assert answer.status_code == 201, answer.content
    task_id = answer.json()["id"]
    listed = client.get(f"/upload-tasks/{task_id}/files?limit=1000").json()["files"]
    return [Sender(client, task_id, file["id"]) for file in listed]


def assert_stored(sender: Sender, content: bytes) -> None:
    file = sender.row().file
    assert file is not None
    assert (file.blob.sha256, file.size) == (sha256_of(content), len(content))
    assert content_of(file) == content
    assert staged() == []
    assert not UploadPart.objects.filter(task_file=sender.row()).exists()


def sums(drive: Drive) -> tuple[int, int]:
    """Bytes used and reserved."""
    drive.refresh_from_db()
    return drive.used_size, drive.reserved_size


def assert_untouched(sender: Sender) -> None:
    """Nothing of the file has arrived anywhere."""
    row = sender.row()
    assert (row.status, row.file_id, row.upload_id) == (TaskFile.Status.PENDING, None, "")
    assert not File.objects.exists()
    assert not UploadPart.objects.exists()
    assert staged() == []
    assert UploadTask.objects.get(pk=sender.task_id).uploaded_files == 0


@pytest.fixture(autouse=True)
def _small_parts(settings: Settings) -> None:
    settings.UPLOAD_PART_SIZE = PART


@pytest.fixture(autouse=True)
def _empty_staging() -> None:
    for name in staged():
        blob_storage().discard(name)


@pytest.fixture
def drive(owner: User) -> Drive:
    return default_drive(user=owner)


@pytest.fixture
def ours(choose: Choose) -> BucketStorage:  # noqa: F811
    found = choose("oss")
    assert isinstance(found, BucketStorage)
    return found


@pytest.fixture
def capture(django_capture_on_commit_callbacks: Any) -> DjangoCaptureOnCommitCallbacks:
    """After a purge of the queue, so that it holds what the test has sent."""
    with current_app.connection() as connection:
        connection.SimpleQueue(live_settings.CELERY_TASK_DEFAULT_QUEUE).clear()
    return django_capture_on_commit_callbacks
