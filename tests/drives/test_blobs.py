"""Blobs: content stored once, swept when nothing points to it."""

import hashlib
import os
import zlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import CASCADE, ForeignObjectRel
from django.utils import timezone

from accounts.models import User
from drives.models import Blob, File
from drives.services import blobs
from drives.services.blobs import digests_of, store_chunks, store_file, sweep_blobs, sweep_staging
from drives.storage import FileSystemBlobStorage, StagingClosed, blob_storage
from drives.tasks import sweep
from tests.factories import put

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=25)


def stored_files() -> list[Path]:
    return [path for path in Path(blob_storage().location).rglob("*") if path.is_file()]


def test_content_is_stored_as_it_came_with_its_digests(tmp_path: Path) -> None:
    content = os.urandom(2_500_000)
    blob = store_chunks([content[:7], content[7:]])
    assert (blob.size, blob.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (blob.md5, blob.crc32) == (
        hashlib.md5(content, usedforsecurity=False).hexdigest(),
        zlib.crc32(content),
    )
    assert blob.verified_at is not None
    assert Path(blob_storage().path(blob.storage_key)).read_bytes() == content
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


def test_the_same_content_is_one_blob_and_one_file() -> None:
    before = len(stored_files())
    first, second = store_chunks([b"same content"]), store_chunks([b"same ", b"content"])
    assert first == second
    assert len(stored_files()) == before + 1


def test_a_md5_that_becomes_known_is_kept() -> None:
    blob = store_chunks([b"content"])
    Blob.objects.filter(pk=blob.pk).update(md5="")
    assert store_chunks([b"content"]).md5 == blob.md5
    assert Blob.objects.get().md5 == blob.md5


def test_nothing_is_left_of_a_stream_that_breaks() -> None:
    before = stored_files()

    def broken() -> Any:
        yield b"begun"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        store_chunks(broken())
    assert (stored_files(), Blob.objects.count()) == (before, 0)


def test_the_database_knows_what_verified_means() -> None:
    for fields in ({"sha256": "0" * 64}, {"verified_at": timezone.now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Blob.objects.create(size=1, storage_key="x", **fields)


def test_the_sweep_takes_what_is_old_and_unreferenced(owner: User) -> None:
    held = put(owner, "/held", b"held").blob
    loose = store_chunks([b"loose"])
    assert sweep_blobs(now=timezone.now()) == 0
    fresh = store_chunks([b"fresh"])
    Blob.objects.filter(pk=fresh.pk).update(updated_at=timezone.now() + LATER)
    assert sweep_blobs(now=timezone.now() + LATER) == 1
    assert set(Blob.objects.all()) == {held, fresh}
    assert not blob_storage().exists(loose.storage_key)
    assert blob_storage().exists(held.storage_key)


def test_files_in_the_trash_hold_their_content(owner: User) -> None:
    file = put(owner, "/held", b"held")
    File.objects.filter(pk=file.pk).update(trashed_at=timezone.now())
    assert sweep_blobs(now=timezone.now() + LATER) == 0
    File.objects.all().delete()
    assert sweep_blobs(now=timezone.now() + LATER) == 1


def test_every_pointer_of_every_model_is_asked() -> None:
    """Also those without a reverse name, which `related_objects` leaves out; new models need no entry anywhere."""
    relations = [
        relation
        for relation in Blob._meta.get_fields(include_hidden=True)
        if isinstance(relation, ForeignObjectRel)
    ]
    pointers = {(relation.related_model._meta.db_table, relation.field.column) for relation in relations}
    falling = {
        (relation.related_model._meta.db_table, relation.field.column)
        for relation in relations
        if relation.on_delete is CASCADE
    }
    assert ("drives_file", "blob_id") in pointers - falling
    # The database's own list of foreign keys to blobs: none is missing.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, attname FROM pg_constraint JOIN pg_attribute"
            " ON attrelid = conrelid AND attnum = conkey[1]"
            " WHERE contype = 'f' AND confrelid = 'drives_blob'::regclass"
        )
        assert set(cursor.fetchall()) == pointers
    query = str(blobs.unreferenced(timezone.now()).query)
    assert all(f'"{table}"' in query for table, _column in pointers - falling)


def test_content_that_comes_back_during_the_sweep_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between choosing and deleting, somebody brings the very content that was chosen."""
    contents = [b"one", b"two"]
    keys = {store_chunks([content]).storage_key: content for content in contents}
    real = FileSystemBlobStorage.delete
    now = timezone.now() + LATER

    def delete(storage: FileSystemBlobStorage, name: str) -> None:
        real(storage, name)
        for key, content in keys.items():
            if key != name:
                assert store_chunks([content]).storage_key == key
                Blob.objects.filter(storage_key=key).update(updated_at=now)  # the hour of this test

    monkeypatch.setattr(FileSystemBlobStorage, "delete", delete)
    assert sweep_blobs(now=now) == 1
    left = Blob.objects.get()
    assert blob_storage().open_blob(left.storage_key).read() == keys[left.storage_key]


def test_staged_bytes_that_nobody_finishes_are_swept() -> None:
    storage = blob_storage()
    for name in ("old", "young"):
        storage.open_staging(name)
    age = timezone.now() - settings.UPLOAD_LIFETIME - LATER
    os.utime(storage.staging_path("old"), (age.timestamp(), age.timestamp()))
    assert sweep_staging(now=timezone.now()) == 1
    assert [path.name for path in storage.staging_path("").iterdir()] == ["young"]
    storage.discard("young")


def test_the_scheduled_task_does_both(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, datetime]] = []
    monkeypatch.setattr(blobs, "sweep_blobs", lambda now: called.append(("blobs", now)))
    monkeypatch.setattr(blobs, "sweep_staging", lambda now: called.append(("staging", now)))
    sweep()
    assert [name for name, _now in called] == ["blobs", "staging"]


def test_kept_bytes_are_out_of_reach_of_late_writers() -> None:
    storage = blob_storage()
    storage.open_staging("late")
    with storage.staged("late") as file:
        file.write(b"early")
    storage.keep("late")
    with pytest.raises(StagingClosed), storage.staged("late"):
        pass
