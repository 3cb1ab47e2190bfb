"""The three storages over what stands in for them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.storage import storages
from pytest_django import Settings

from drives.storage import BlobStorage, blob_storage
from drives.storage.base import new_key
from drives.storage.buckets import BucketStorage
from tests.standins.oss import OSSServer, oss_server
from tests.standins.s3 import S3Server, s3_server

PART = 5 * 2**20  # the least that S3 takes


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[OSSServer]:
    with oss_server(tmp_path / "oss") as server:
        yield server


Choose = Callable[[str], BlobStorage]


@pytest.fixture
def choose(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Choose:
    """Puts the alias `blobs` on a storage that is empty, by its name in the settings."""

    def put(kind: str) -> BlobStorage:
        if kind == "filesystem":
            options = {"location": tmp_path / "blobs"}
        else:
            own = {"location": f"blobs-{uuid4().hex}", "part_size": PART, "parallel_parts": 2, "attempts": 2}
            options = request.getfixturevalue(kind).options(**own)
        backend = settings.BLOB_STORAGES[kind]["BACKEND"]
        settings.STORAGES = {**settings.STORAGES, "blobs": {"BACKEND": backend, "OPTIONS": options}}
        settings.STAGING_FOLDER = tmp_path / "staging"
        assert storages["blobs"] is blob_storage()
        return blob_storage()

    return put


@pytest.fixture(params=["filesystem", "oss", "s3"])
def storage(request: pytest.FixtureRequest, choose: Choose) -> BlobStorage:
    return choose(request.param)


@pytest.fixture(params=["oss", "s3"])
def bucket(request: pytest.FixtureRequest, choose: Choose) -> BucketStorage:
    found = choose(request.param)
    assert isinstance(found, BucketStorage)
    return found


def keep(storage: BlobStorage, content: bytes, key: str = "") -> str:
    """Store a content; returns its key."""
    key = key or new_key()
    path = storage.staging_path(uuid4().hex)
    path.write_bytes(content)
    storage.take_in(path, key)
    return key


def content_of(storage: BlobStorage, key: str, start: int = 0, stop: int | None = None) -> bytes:
    with storage.open_blob(key, start, stop) as file:
        return file.read()


def peak_of(act: Callable[[], object]) -> float:
    """MiB of memory that `act` took at its height."""

    def status(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    Path("/proc/self/clear_refs").write_text("5")  # the height from now on
    before = status("VmRSS")
    act()
    return (status("VmHWM") - before) / 1024


def sparse(path: Path, size: int) -> Path:
    path.touch()
    os.truncate(path, size)
    return path
