"""What every storage of blobs does alike: on the file system, in OSS, in a bucket that speaks S3."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from django.core.files.base import ContentFile, File

from drives.storage import BlobStorage, StagingClosed, StorageError, blob_storage, new_key
from drives.storage.buckets import BucketStorage, UploadGone
from tests.drives.storages import Choose, content_of, keep, peak_of, sparse
from tests.racing import race

MIB = 2**20
DISPOSITION = "attachment; filename*=utf-8''%E6%9C%A8%20%E7%BA%B9%281%29.png"


@pytest.mark.parametrize("size", [0, 1, 12 * MIB])
def test_content_comes_back_as_it_was(storage: BlobStorage, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    key = keep(storage, content)
    assert content_of(storage, key) == content
    assert (storage.exists(key), storage.size(key)) == (True, size)
    storage.copy_to(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    with storage.local_copy(key) as path:
        assert path.read_bytes() == content
    with storage.open(key) as file:
        assert file.read() == content
    assert [(found.key, found.size) for found in storage.objects()] == [(key, size)]
    assert list(storage.staging_path("").iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, MIB])
def test_bytes_in_memory_are_kept_as_they_are(storage: BlobStorage, size: int) -> None:
    content = os.urandom(size)
    keys = [storage.store(content), storage.store(memoryview(content))]
    assert [content_of(storage, key) for key in keys] == [content, content]
    assert sorted(found.key for found in storage.objects()) == sorted(keys)
    assert list(storage.staging_path("").iterdir()) == []


def test_staged_bytes_are_kept_once(storage: BlobStorage) -> None:
    storage.open_staging("staged")
    with storage.staged("staged") as file:
        file.write(b"content")
    key = storage.keep("staged")
    assert content_of(storage, key) == b"content"
    with pytest.raises(StagingClosed):
        storage.keep("staged")
    with pytest.raises(StagingClosed), storage.staged("staged"):
        pass
    assert [found.key for found in storage.objects()] == [key]


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, None),
        (0, 1),
        (5, 9),
        (MIB - 1, MIB + 1),
        (6 * MIB, None),
        (6 * MIB + 2, None),
        (6 * MIB, 9 * MIB),
        (0, 9 * MIB),
    ],
)
def test_a_range_is_what_it_says(storage: BlobStorage, start: int, stop: int | None) -> None:
    content = os.urandom(6 * MIB + 3)
    key = keep(storage, content)
    assert content_of(storage, key, start, stop) == content[start:stop]


def test_what_is_not_there(storage: BlobStorage, tmp_path: Path) -> None:
    assert not storage.exists("ab/none")
    for act in (
        lambda: storage.size("ab/none"),
        lambda: storage.open_blob("ab/none"),
        lambda: storage.open_blob("ab/none", 1, 2),
        lambda: storage.copy_to("ab/none", tmp_path / "copy"),
    ):
        with pytest.raises(FileNotFoundError):
            act()
    storage.delete("ab/none")
    assert list(storage.objects()) == []


def test_what_is_deleted_is_gone(storage: BlobStorage) -> None:
    kept, deleted = keep(storage, b"kept"), keep(storage, b"deleted")
    storage.delete(deleted)
    assert (storage.exists(kept), storage.exists(deleted)) == (True, False)
    assert [found.key for found in storage.objects()] == [kept]


def test_everything_is_listed_in_the_order_of_its_bytes(storage: BlobStorage) -> None:
    keys = [new_key() for _number in range(20)] + ["zz/a", "zz/a0", "zz/a/b", "zz-", "zz0"]
    for key in keys:
        if key != "zz/a":  # a folder, on a file system
            keep(storage, key.encode(), key)
    expected = sorted((key for key in keys if key != "zz/a"), key=str.encode)
    found = list(storage.objects())
    assert [entry.key for entry in found] == expected
    assert [entry.size for entry in found] == [len(key) for key in expected]
    assert all(abs(entry.modified_at.timestamp() - time.time()) < 60 for entry in found)
    assert [entry.key for entry in storage.objects("zz/")] == ["zz/a/b", "zz/a0"]
    assert list(storage.objects("none/")) == []


@pytest.mark.parametrize("size", [10, 11 * MIB])
def test_the_later_writer_of_a_key_stays(storage: BlobStorage, size: int) -> None:
    first, second = os.urandom(size), os.urandom(size + 1)
    key = keep(storage, first)
    keep(storage, second, key)
    assert content_of(storage, key) == second
    assert [found.size for found in storage.objects()] == [size + 1]


def test_writers_at_once_leave_one_whole_content(storage: BlobStorage) -> None:
    contents = [os.urandom(6 * MIB + number) for number in range(4)]
    key = keep(storage, contents[0])
    over = threading.Event()
    read: list[bytes] = []

    def act(number: int) -> None:
        if number == 4:
            while not over.is_set():
                # A connection that breaks goes on in the new content, which the checksum tells.
                with suppress(StorageError):
                    read.append(content_of(storage, key))
            return
        try:
            keep(storage, contents[number], key)
        finally:
            if number == 3:
                over.set()

    race(5, act)
    assert content_of(storage, key) in contents
    assert all(content in contents for content in read)
    assert len(list(storage.objects())) == 1


class Broken(ContentFile):
    """A stream that fails in the middle."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield b"x" * 6 * MIB
        raise OSError("gone")


def test_a_stream_that_fails_in_the_middle_leaves_nothing(storage: BlobStorage) -> None:
    key = new_key()
    with pytest.raises(OSError, match="gone"):
        storage.save(key, Broken(b""))
    assert not storage.exists(key)
    assert list(storage.objects()) == []
    assert list(storage.staging_path("").iterdir()) == []
    assert storage.save(key, File(ContentFile(b"whole"))) == key
    assert content_of(storage, key) == b"whole"


def test_a_part_that_fails_leaves_nothing(
    bucket: BucketStorage, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The bytes stay where they were, so that they can be sent again; the bucket holds neither object nor parts."""
    path, key = tmp_path / "file", new_key()
    path.write_bytes(os.urandom(17 * MIB))
    if type(bucket).__name__ == "OSSStorage":
        oss = request.getfixturevalue("oss")
        oss.faults += [("UploadPart", "unavailable")] * 9
        with pytest.raises(StorageError, match="503 ServiceUnavailable"):
            bucket.take_in(path, key)
        assert (oss.bucket.uploads, list(oss.bucket.folder.iterdir())) == ({}, [])
        oss.faults.clear()
    else:
        with (
            request.getfixturevalue("s3").failing("partNumber=2"),
            pytest.raises(StorageError, match="SlowDown"),
        ):
            bucket.take_in(path, key)
    assert list(bucket.open_uploads()) == []
    assert list(bucket.objects()) == []
    assert path.stat().st_size == 17 * MIB
    bucket.take_in(path, key)
    assert bucket.size(key) == 17 * MIB
    assert not path.exists()


def test_memory_stays_flat(storage: BlobStorage, tmp_path: Path) -> None:
    """A large file there and back. What is counted besides: buffers of the server that stands in for OSS."""
    # moto takes its time: the limit is well below the size all the same.
    key, size = new_key(), (96 if type(storage).__name__ == "S3BlobStorage" else 256) * MIB
    keep(storage, b"warm")
    sparse(tmp_path / "big", size)
    written = peak_of(lambda: storage.take_in(tmp_path / "big", key))
    read = peak_of(lambda: storage.copy_to(key, tmp_path / "copy"))
    assert (storage.size(key), (tmp_path / "copy").stat().st_size) == (size, size)
    assert (written < 24, read < 24) == (True, True), (written, read)


# --- Links of the bucket's own ----------------------------------------------------------------------------------


def link_to(bucket: BlobStorage, key: str, seconds: int = 60, method: str = "GET") -> str:
    link = bucket.link(key, seconds=seconds, content_type="image/png", disposition=DISPOSITION, method=method)
    assert link is not None
    return link


def test_a_file_system_has_no_links_of_its_own(choose: Choose) -> None:
    storage = choose("filesystem")
    assert storage.link("key", seconds=60, content_type="image/png", disposition="attachment") is None
    assert storage is blob_storage()


def test_a_signed_link_serves_the_content(bucket: BucketStorage) -> None:
    content = os.urandom(6 * MIB)
    key = keep(bucket, content)
    whole = httpx.get(link_to(bucket, key))
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["Content-Disposition"] == DISPOSITION
    assert whole.headers["Content-Type"] == "image/png"
    part = httpx.get(link_to(bucket, key), headers={"Range": "bytes=1048576-1048585"})
    assert (part.status_code, part.content) == (206, content[MIB : MIB + 10])
    assert part.headers["Content-Range"] == f"bytes 1048576-1048585/{len(content)}"
    head = httpx.head(link_to(bucket, key, method="HEAD"))
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(content)))


def test_a_changed_link_opens_nothing(bucket: BucketStorage) -> None:
    key, other = keep(bucket, b"content"), keep(bucket, b"other")
    link = link_to(bucket, key)
    for changed in (
        link.replace(key, other),
        link.replace("image%2Fpng", "text%2Fhtml"),
        link.replace("E6%259C%25A8", "E6%259C%25A9"),
        link.replace("xpires=60", "xpires=600"),
        link + "&versionId=1",
        link.partition("?")[0],
        link[:-1] + ("0" if link[-1] != "0" else "1"),
    ):
        assert changed != link
        answer = httpx.get(changed)
        assert (changed, answer.status_code) == (changed, 403)
        assert b"content" not in answer.content
    assert httpx.put(link, content=b"mine").status_code == 403
    assert httpx.delete(link).status_code == 403
    assert content_of(bucket, key) == b"content"


def test_a_link_ends(bucket: BucketStorage) -> None:
    key = keep(bucket, b"content")
    assert httpx.get(link_to(bucket, key, seconds=60)).status_code == 200
    ended = link_to(bucket, key, seconds=1)
    time.sleep(2.1)  # the clock of the bucket counts whole seconds
    assert httpx.get(ended).status_code == 403


# --- Straight into the bucket -----------------------------------------------------------------------------------


def test_a_whole_object_by_a_signed_link(bucket: BucketStorage) -> None:
    """Once: what was taken for a blob cannot be exchanged by a link that is still alive."""
    key = new_key()
    link = bucket.upload_link(key, seconds=60)
    assert httpx.put(link.url, content=b"x").status_code == 403  # the headers are part of the signature
    assert httpx.put(link.url, content=b"from a browser", headers=link.headers).status_code == 200
    assert content_of(bucket, key) == b"from a browser"
    again = httpx.put(link.url, content=b"something else", headers=link.headers)
    assert again.status_code in (409, 412)
    elsewhere = httpx.put(link.url.replace(key, new_key()), content=b"x", headers=link.headers)
    assert elsewhere.status_code == 403
    assert content_of(bucket, key) == b"from a browser"
    assert [found.key for found in bucket.objects()] == [key]


def test_parts_by_signed_links(bucket: BucketStorage) -> None:
    """In any order, one of them twice; completed with what the bucket itself lists."""
    key, parts = new_key(), [os.urandom(5 * MIB), os.urandom(5 * MIB), os.urandom(100)]
    upload_id = bucket.start_parts(key)
    tags = {}
    for number in (3, 1, 2, 1):
        link = bucket.part_link(key, upload_id, number, seconds=60)
        answer = httpx.put(link.url, content=parts[number - 1], headers=link.headers)
        assert answer.status_code == 200
        tags[number] = answer.headers["ETag"].strip('"')
        assert not bucket.exists(key)
    assert httpx.put(link.url.replace("partNumber=1", "partNumber=2"), content=b"x").status_code == 403
    assert [found.upload_id for found in bucket.open_uploads()] == [upload_id]
    found = bucket.parts(key, upload_id)
    assert [(part.number, part.size) for part in found] == [(1, 5 * MIB), (2, 5 * MIB), (3, 100)]
    assert {part.number: part.etag.strip('"') for part in found} == tags
    bucket.complete_parts(key, upload_id, found)
    assert content_of(bucket, key) == b"".join(parts)
    assert list(bucket.open_uploads()) == []
    with pytest.raises(UploadGone):
        bucket.parts(key, upload_id)
    # S3 says yes again for a while, OSS does not; the object stays what it is.
    with suppress(UploadGone):
        bucket.complete_parts(key, upload_id, found)
    assert content_of(bucket, key) == b"".join(parts)


def test_an_aborted_upload_leaves_nothing(bucket: BucketStorage) -> None:
    key = new_key()
    upload_id = bucket.start_parts(key)
    link = bucket.part_link(key, upload_id, 1, seconds=60)
    assert httpx.put(link.url, content=b"x" * MIB).status_code == 200
    bucket.abort_parts(key, upload_id)
    assert (bucket.exists(key), list(bucket.objects()), list(bucket.open_uploads())) == (False, [], [])
    assert httpx.put(link.url, content=b"x").status_code >= 400  # moto: 500 instead of 404
    bucket.abort_parts(key, upload_id)
    with pytest.raises(UploadGone):
        bucket.parts(key, upload_id)


# --- When it is not as it should be -----------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["secret", "bucket", "address"])
def test_an_operator_is_told_what_is_wrong(
    bucket: BucketStorage, request: pytest.FixtureRequest, tmp_path: Path, wrong: str
) -> None:
    is_oss = type(bucket).__name__ == "OSSStorage"
    change = {
        "secret": {("access_key_secret" if is_oss else "secret_key"): "not-the-secret"},
        "bucket": {"bucket_name": f"none-{uuid4().hex}"},
        "address": {("endpoint" if is_oss else "endpoint_url"): "http://127.0.0.1:1"},
    }[wrong]
    told = {"secret": "SignatureDoesNotMatch", "bucket": "NoSuchBucket", "address": "127.0.0.1"}[wrong]
    options = request.getfixturevalue("oss" if is_oss else "s3").options(attempts=1, **change)
    broken = type(bucket)(**options)
    path = tmp_path / "file"
    path.write_bytes(b"content")
    for act in (
        lambda: list(broken.objects()),
        lambda: broken.take_in(path, new_key()),
        lambda: broken.open_blob("ab/none"),
        lambda: broken.start_parts("ab/none"),
    ):
        with pytest.raises(StorageError, match=told) as error:
            act()
        assert "not-the-secret" not in str(error.value)
    assert path.read_bytes() == b"content"
