"""Storage on the file system alone, and what the system checks say of the settings."""

import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.core.checks.registry import registry
from pytest_django import Settings

from config.origins import bucket_origins
from config.settings import BLOB_STORAGES
from drives.checks import storage_is_configured
from drives.storage import filesystem, key_of
from drives.storage.filesystem import FileSystemBlobStorage
from tests.drives.storages import Choose, content_of

OSS = {
    "access_key_id": "ak",
    "access_key_secret": "sk",
    "bucket_name": "yuntu",
    "region": "cn-hangzhou",
    "endpoint": "oss-cn-hangzhou.aliyuncs.com",
}
S3 = {"bucket_name": "yuntu"}


@pytest.fixture
def storage(choose: Choose) -> FileSystemBlobStorage:
    found = choose("filesystem")
    assert isinstance(found, FileSystemBlobStorage)
    return found


def test_bytes_cross_to_another_file_system(storage: FileSystemBlobStorage, settings: Settings) -> None:
    elsewhere = Path("/dev/shm")  # noqa: S108  (a second file system)
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == Path(storage.location).parent.stat().st_dev:
        pytest.skip("there is no second file system")
    settings.STAGING_FOLDER = elsewhere / f"yuntu-{os.getpid()}"
    try:
        storage.staging_path("x").write_bytes(b"content")
        key = storage.keep("x")
        assert content_of(storage, key) == b"content"
        assert [found.key for found in storage.objects()] == [key]  # nothing half copied beside it
        assert list(storage.staging_path("").iterdir()) == []
    finally:
        storage.staging_path("").rmdir()


def test_bytes_stay_staged_where_the_disk_does_not_take_their_name(
    storage: FileSystemBlobStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.staging_path("ab").write_bytes(b"content")
    key, real = key_of("ab"), filesystem.sync

    def sync(path: Path) -> None:
        if path == Path(storage.path(key)).parent:
            raise OSError(errno.EIO, "the disk is broken")
        real(path)

    monkeypatch.setattr(filesystem, "sync", sync)
    with pytest.raises(OSError, match="broken"):
        storage.keep("ab")
    assert (storage.staging_path("ab").read_bytes(), storage.exists(key)) == (b"content", False)
    monkeypatch.undo()
    assert storage.keep("ab") == key
    with storage.open_blob(key) as file:
        assert file.read() == b"content"


def test_the_age_of_a_blob_counts_from_its_keeping(storage: FileSystemBlobStorage) -> None:
    """Its first part may have come days ago: fsck must not take it for a forgotten one before its row is there."""
    path = storage.staging_path("x")
    path.write_bytes(b"content")
    os.utime(path, (0, 0))
    storage.keep("x")
    (found,) = storage.objects()
    assert (datetime.now(UTC) - found.modified_at).total_seconds() < 60


def test_a_slice_ends_with_the_file(storage: FileSystemBlobStorage) -> None:
    storage.staging_path("x").write_bytes(b"content")
    key = storage.keep("x")
    with storage.open_blob(key, 3, 100) as file:
        assert (file.read(2), file.read(), file.read()) == (b"te", b"nt", b"")
    assert file.closed


def told(settings: Settings, kind: str, options: dict[str, Any]) -> list[CheckMessage]:
    """What the check says of a storage with these options and otherwise none."""
    full = settings.BLOB_STORAGES[kind]
    empty = {name: False if isinstance(value, bool) else "" for name, value in full["OPTIONS"].items()}
    settings.BLOB_STORAGE = kind
    settings.BLOB_STORAGES = {kind: {**full, "OPTIONS": {**empty, "location": "blobs", **options}}}
    return storage_is_configured(None)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("filesystem", {}, set()),
        ("oss", OSS, set()),
        ("oss", {}, {"drives.E001"}),
        ("oss", {**OSS, "location": ""}, {"drives.E002"}),
        ("oss", {**OSS, "location": "/"}, {"drives.E002"}),
        ("oss", {**OSS, "region": "oss-cn-hangzhou"}, {"drives.E003"}),
        ("oss", {**OSS, "public_is_cname": True}, {"drives.E005"}),
        ("oss", {**OSS, "endpoint": "oss-cn-hangzhou-internal.aliyuncs.com"}, {"drives.W001"}),
        ("s3", S3, set()),
        ("s3", {**S3, "access_key": "ak", "secret_key": "sk"}, set()),
        ("s3", {**S3, "access_key": "ak"}, {"drives.E004"}),
        ("s3", {}, {"drives.E001"}),
    ],
)
def test_checks_name_what_is_wrong(
    settings: Settings, kind: str, options: dict[str, Any], expected: set[str]
) -> None:
    assert {message.id for message in told(settings, kind, options)} == expected
    assert storage_is_configured in registry.registered_checks


def test_every_missing_variable_is_named(settings: Settings) -> None:
    texts = " ".join(str(message.msg) for message in told(settings, "oss", {}))
    assert [
        name for name in ("KEY_ID", "KEY_SECRET", "BUCKET_NAME", "REGION", "ENDPOINT") if name not in texts
    ] == []


@pytest.mark.parametrize(
    ("storage", "options", "origins"),
    [
        ("filesystem", {}, []),
        (
            "oss",
            {**OSS, "public_endpoint": ""},
            ["{}oss-cn-hangzhou.aliyuncs.com", "{}yuntu.oss-cn-hangzhou.aliyuncs.com"],
        ),
        (
            "oss",
            {**OSS, "public_endpoint": "files.yuntu.example", "public_is_cname": True},
            ["{}files.yuntu.example"],
        ),
        (
            "s3",
            {**S3, "region_name": "eu-west-1"},
            ["{}s3.eu-west-1.amazonaws.com", "{}yuntu.s3.eu-west-1.amazonaws.com"],
        ),
        (
            "s3",
            {**S3, "public_endpoint_url": "https://s3.example:9000/"},
            ["{}s3.example:9000", "{}yuntu.s3.example:9000"],
        ),
    ],
)
def test_pages_may_show_what_lies_in_the_bucket(
    storage: str, options: dict[str, Any], origins: list[str]
) -> None:
    """Links to pictures lead on there, which the content policy of our pages must allow."""
    found = bucket_origins(storage, {**BLOB_STORAGES[storage]["OPTIONS"], **options})
    assert found == [origin.format("https://") for origin in origins]
