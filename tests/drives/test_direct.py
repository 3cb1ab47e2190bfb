"""Content that clients put into the bucket themselves: usable at once by its owner, shared once it was read."""

import hashlib
import os
import zlib
from datetime import timedelta

import httpx
import pytest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts.models import User
from drives.errors import SizeMismatch
from drives.models import Blob, Drive, File
from drives.services.blobs import store_chunks
from drives.services.direct import register_object, verify_blob
from drives.services.drives import default_drive
from drives.services.garbage import collect_garbage
from drives.services.tree import NewFile, put_files
from drives.storage import StorageError, new_key
from drives.storage.buckets import BucketStorage
from drives.tasks import verify, verify_rest
from tests.drives.storages import PART, content_of, keep
from tests.factories import put
from tests.racing import race

pytestmark = pytest.mark.django_db
CONTENT = os.urandom(PART + 100)


def sent(bucket: BucketStorage, content: bytes = CONTENT) -> str:
    """A client sends parts by signed links, and the upload is completed here; the key."""
    key = new_key()
    upload_id = bucket.start_parts(key)
    for number, start in enumerate(range(0, len(content), PART), 1):
        link = bucket.part_link(key, upload_id, number, seconds=60)
        assert httpx.put(link.url, content=content[start : start + PART]).status_code == 200
    bucket.complete_parts(key, upload_id, bucket.parts(key, upload_id))
    return key


def linked(user: User, blob: Blob, name: str) -> File:
    drive: Drive = default_drive(user=user)
    return put_files(drive=drive, actor=user, new_files=[NewFile(None, name, blob)])[0]


def test_a_blob_is_known_by_its_size_first_and_by_its_content_later(
    bucket: BucketStorage, owner: User
) -> None:
    key = sent(bucket)
    blob = register_object(key=key, size=len(CONTENT))
    assert (blob.storage_key, blob.size, blob.sha256, blob.verified_at) == (key, len(CONTENT), None, None)
    assert register_object(key=key, size=len(CONTENT)) == blob
    file = linked(owner, blob, "scene.blend")
    verify(str(blob.pk))
    file.refresh_from_db()
    blob.refresh_from_db()
    assert file.blob == blob
    assert (blob.sha256, blob.md5, blob.crc32) == (
        hashlib.sha256(CONTENT).hexdigest(),
        hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
        zlib.crc32(CONTENT),
    )
    assert blob.verified_at is not None
    assert verify_blob(blob_id=blob.pk) == blob
    assert store_chunks([CONTENT]) == blob  # shared from now on


def test_what_was_not_sent_is_not_registered(bucket: BucketStorage) -> None:
    key = keep(bucket, b"content")
    with pytest.raises(SizeMismatch) as error:
        register_object(key=key, size=8)
    assert error.value.data == {"expected": 8, "actual": 7}
    with pytest.raises(FileNotFoundError):
        register_object(key=new_key(), size=8)
    assert not Blob.objects.exists()


def test_content_that_is_known_is_stored_once(bucket: BucketStorage, owner: User, stranger: User) -> None:
    known = put(stranger, "/theirs", CONTENT).blob
    blob = register_object(key=sent(bucket), size=len(CONTENT))
    file = linked(owner, blob, "mine")
    assert verify_blob(blob_id=blob.pk) == known
    file.refresh_from_db()
    assert file.blob == known
    assert content_of(bucket, file.blob.storage_key) == CONTENT
    now = timezone.now()
    list(collect_garbage(now=now))
    list(collect_garbage(now=now + timedelta(hours=24)))
    assert list(Blob.objects.all()) == [known]
    assert [found.key for found in bucket.objects()] == [known.storage_key]


@pytest.mark.django_db(transaction=True)
def test_the_same_content_verified_at_once_becomes_one_blob(bucket: BucketStorage, owner: User) -> None:
    blobs = [register_object(key=keep(bucket, b"content"), size=7) for _number in range(4)]
    for number, blob in enumerate(blobs):
        linked(owner, blob, str(number))
    race(4, lambda number: verify_blob(blob_id=blobs[number].pk))
    (verified,) = Blob.objects.filter(verified_at__isnull=False)
    assert {file.blob_id for file in File.objects.all()} == {verified.pk}


def test_an_object_that_changed_is_not_verified(bucket: BucketStorage) -> None:
    blob = register_object(key=keep(bucket, b"content"), size=7)
    keep(bucket, b"other size", blob.storage_key)
    with pytest.raises(StorageError, match="has 10 bytes, 7 were announced"):
        verify_blob(blob_id=blob.pk)
    blob.refresh_from_db()
    assert blob.verified_at is None


def test_what_no_message_has_reached_is_verified_by_the_schedule(bucket: BucketStorage) -> None:
    lost = register_object(key=keep(bucket, b"lost"), size=4)
    young, waiting = (register_object(key=keep(bucket, text), size=5) for text in (b"young", b"waits"))
    bucket.delete(lost.storage_key)
    old = timezone.now() - timedelta(minutes=16)
    Blob.objects.exclude(pk=young.pk).update(created_at=old, updated_at=old)
    Blob.objects.filter(pk=lost.pk).update(updated_at=old - timedelta(seconds=1))
    verify_rest(limit=1)  # the lost one, which then goes to the end of the line
    assert not Blob.objects.filter(verified_at__isnull=False).exists()
    verify_rest(limit=1)
    assert list(Blob.objects.filter(verified_at__isnull=False)) == [waiting]
    assert PeriodicTask.objects.filter(task="drives.tasks.verify_rest", enabled=True).count() == 1
