"""Blobs: content stored once."""

import hashlib
import os
import zlib
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from drives.models import Blob
from drives.services.blobs import (
    BLOCK,
    Declared,
    Hasher,
    digests_of,
    keep_chunks,
    store_chunks,
    store_file,
)
from drives.storage import StagingClosed, blob_storage, staging

pytestmark = pytest.mark.django_db


def stored() -> list[str]:
    """Keys of everything that lies in the storage or the staging area."""
    staged = [path.name for path in blob_storage().staging_path("").iterdir()]
    return [found.key for found in blob_storage().objects()] + staged


def test_content_is_stored_as_it_came_with_its_digests(tmp_path: Path) -> None:
    content = os.urandom(2_500_000)
    blob = store_chunks([content[:7], content[7:]])
    assert (blob.size, blob.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (blob.md5, blob.crc32) == (
        hashlib.md5(content, usedforsecurity=False).hexdigest(),
        zlib.crc32(content),
    )
    assert blob.verified_at is not None
    assert blob_storage().open_blob(blob.storage_key).read() == content
    copy = tmp_path / "copy"
    copy.write_bytes(content)
    assert store_file(copy) == blob
    assert copy.read_bytes() == content
    with copy.open("rb") as first, copy.open("rb") as second:
        with_md5, without = digests_of(first, with_md5=True), digests_of(second, with_md5=False)
    assert (with_md5.size, with_md5.sha256, with_md5.crc32, with_md5.md5) == (
        blob.size, blob.sha256, blob.crc32, blob.md5,
    )  # fmt: skip
    assert (without.sha256, without.md5) == (blob.sha256, "")


@pytest.mark.parametrize("cached", [staging.CACHED, 0, 2 * BLOCK])
@pytest.mark.parametrize("size", [5, BLOCK, 5 * BLOCK + 4099])
def test_a_stream_is_kept_as_it_came(monkeypatch: pytest.MonkeyPatch, size: int, cached: int) -> None:
    """As a body over WebDAV comes, each block in the place of the one before; through the page cache and past it."""
    monkeypatch.setattr(staging, "CACHED", cached)
    content, memory = os.urandom(size), memoryview(mmap(-1, BLOCK))

    def blocks() -> Iterator[memoryview]:
        for start in range(0, size, BLOCK):
            block = content[start : start + BLOCK]
            memory[: len(block)] = block
            yield memory[: len(block)]

    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    kept = keep_chunks(blocks(), Hasher(declared=Declared("sha1", sha1)))
    assert (kept.blob.size, kept.blob.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert kept.blob.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert blob_storage().open_blob(kept.blob.storage_key).read() == content


def test_the_same_content_is_one_blob_and_one_file() -> None:
    before = len(stored())
    first, second = store_chunks([b"same content"]), store_chunks([b"same ", b"content"])
    assert first == second
    assert len(stored()) == before + 1


def test_a_md5_that_becomes_known_is_kept() -> None:
    blob = store_chunks([b"content"])
    Blob.objects.filter(pk=blob.pk).update(md5="")
    assert store_chunks([b"content"]).md5 == blob.md5
    assert Blob.objects.get().md5 == blob.md5


def test_nothing_is_left_of_a_stream_that_breaks() -> None:
    before = stored()

    def broken() -> Any:
        yield b"begun"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        store_chunks(broken())
    assert (stored(), Blob.objects.count()) == (before, 0)


def test_the_database_knows_what_verified_means() -> None:
    for fields in ({"sha256": "0" * 64}, {"verified_at": timezone.now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Blob.objects.create(size=1, storage_key="x", **fields)


def test_kept_bytes_are_out_of_reach_of_late_writers() -> None:
    storage = blob_storage()
    storage.open_staging("late")
    with storage.staged("late") as file:
        file.write(b"early")
    storage.keep("late")
    with pytest.raises(StagingClosed), storage.staged("late"):
        pass
