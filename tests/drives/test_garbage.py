"""Garbage: content that nothing points to, uploads that nobody finishes."""

import logging
import os
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import CASCADE, ForeignObjectRel
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from drives.models import Blob, Drive, File
from drives.services import garbage
from drives.services.blobs import Digests, mark_known, store_chunks
from drives.services.drives import default_drive
from drives.services.garbage import Garbage, Kind, collect_blobs, collect_garbage, mark_unreferenced
from drives.services.tree import NewFile, put_files
from drives.storage import StorageError, blob_storage
from drives.storage.buckets import BucketStorage
from drives.storage.filesystem import FileSystemBlobStorage
from drives.tasks import sweep
from tests.conftest import Client
from tests.drives.storages import Choose, content_of
from tests.factories import put
from tests.racing import overtake, race
from tests.standins.oss import OSSServer, stored_names
from tests.uploads.conftest import announced, begin

pytestmark = pytest.mark.django_db
NOW = timezone.now()
DAY = timedelta(hours=24)


def collected(now: datetime, **options: bool) -> list[str]:
    """Keys of blobs that were taken."""
    return [found.key for found in collect_garbage(now=now, **options) if found.kind is Kind.BLOB]


def test_content_without_references_goes_after_its_grace(owner: User) -> None:
    held, loose = put(owner, "/held", b"held").blob, store_chunks([b"loose"])
    assert collected(NOW) == []
    assert collected(NOW + DAY - timedelta(seconds=1)) == []
    assert collected(NOW + DAY) == [loose.storage_key]
    assert list(Blob.objects.all()) == [held]
    assert not blob_storage().exists(loose.storage_key)
    assert content_of(blob_storage(), held.storage_key) == b"held"
    assert collected(NOW + DAY) == []


def test_the_grace_counts_from_the_last_reference(owner: User) -> None:
    file = put(owner, "/held", b"held")
    Blob.objects.update(created_at=NOW - 30 * DAY, updated_at=NOW - 30 * DAY)
    File.objects.filter(pk=file.pk).update(trashed_at=NOW)  # what is in the trash holds its content
    assert collected(NOW) == []
    File.objects.all().delete()
    assert collected(NOW + DAY) == []
    assert collected(NOW + 2 * DAY) == [file.blob.storage_key]


@pytest.mark.parametrize("how", ["linked", "stored"])
def test_content_that_is_needed_again_begins_a_new_grace(owner: User, how: str) -> None:
    blob = store_chunks([b"content"])
    mark_unreferenced(now=NOW)
    if how == "linked":
        drive = default_drive(user=owner)
        put_files(drive=drive, actor=owner, new_files=[NewFile(None, "x", blob)])
        assert collected(NOW + DAY) == []
        File.objects.all().delete()
    else:
        store_chunks([b"content"])
    blob.refresh_from_db()
    assert blob.unreferenced_at is None
    assert collected(NOW + DAY) == []
    assert collected(NOW + 2 * DAY) == [blob.storage_key]


def test_the_grace_is_a_setting(settings: Settings) -> None:
    settings.BLOB_GRACE = timedelta(hours=1)
    blob = store_chunks([b"loose"])
    assert collected(NOW) == []
    assert collected(NOW + timedelta(minutes=59)) == []
    assert collected(NOW + timedelta(minutes=60)) == [blob.storage_key]


def test_every_pointer_of_every_model_is_asked() -> None:
    """Also those without a reverse name, which `related_objects` leaves out; new models need no entry anywhere."""
    relations = [
        relation
        for relation in Blob._meta.get_fields(include_hidden=True)
        if isinstance(relation, ForeignObjectRel)
    ]

    def columns(found: list[ForeignObjectRel]) -> set[tuple[str, str]]:
        return {(relation.related_model._meta.db_table, str(relation.field.column)) for relation in found}

    falling = columns([relation for relation in relations if relation.on_delete is CASCADE])
    asked = columns(garbage.pointers())
    assert {("drives_file", "blob_id"), ("rendering_frameoutput", "blob_id")} <= asked
    assert asked.isdisjoint(falling)
    # The database's own list of foreign keys to blobs: none is missing.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, attname FROM pg_constraint JOIN pg_attribute"
            " ON attrelid = conrelid AND attnum = conkey[1]"
            " WHERE contype = 'f' AND confrelid = 'drives_blob'::regclass"
        )
        assert set(cursor.fetchall()) == asked | falling
    query = str(garbage.unreferenced().query)
    assert [table for table, _column in asked if f'"{table}"' not in query] == []
    assert query.count("NOT EXISTS") == len(asked)


def test_looking_costs_the_same_for_any_number_of_blobs(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        put(owner, f"/{number}", b"%d" % number)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert collected(NOW) == []
    asked = [query for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(asked) == 3  # marked, unmarked, looked for
    File.objects.all().delete()
    monkeypatch.setattr(garbage, "BATCH", 5)
    monkeypatch.setattr(garbage, "MARKED_AT_ONCE", 4)
    collected(NOW)
    keys = {blob.storage_key for blob in Blob.objects.all()}
    assert set(collected(NOW + DAY)) == keys
    assert not Blob.objects.exists()


def test_a_dry_run_changes_nothing() -> None:
    blob = store_chunks([b"loose"])
    assert collected(NOW, dry_run=True) == []
    blob.refresh_from_db()
    assert blob.unreferenced_at is None
    mark_unreferenced(now=NOW)
    expected = Garbage(Kind.BLOB, blob.storage_key, 5)
    assert list(collect_garbage(now=NOW + DAY, dry_run=True)) == [expected]
    assert blob_storage().exists(blob.storage_key)
    assert list(collect_garbage(now=NOW + DAY)) == [expected]


def test_the_command_reports(settings: Settings) -> None:
    blob = store_chunks([b"loose"])
    storage = blob_storage()
    storage.open_staging("abandoned")
    settings.BLOB_GRACE = timedelta(0)
    mark_unreferenced(now=NOW)
    for options, verb in (({"dry_run": True}, "Would remove"), ({}, "Removed")):
        out = StringIO()
        call_command("collect_garbage", stdout=out, **options)
        assert out.getvalue().splitlines() == [
            f"blob   {blob.storage_key} 5 bytes",
            "staged abandoned 0 bytes",
            f"{verb}: 1 blob (5 bytes), 1 staged (0 bytes), 0 upload (0 bytes), 0 sent (0 bytes)",
        ]
    assert not Blob.objects.exists()
    assert not storage.staging_path("abandoned").exists()


def test_the_schedule_does_the_same(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    store_chunks([b"loose"])
    settings.BLOB_GRACE = timedelta(0)
    with caplog.at_level(logging.INFO, "drives.tasks"):
        sweep()
    assert not Blob.objects.exists()
    assert caplog.messages == ["Garbage: 1 blob, 5 bytes"]


# --- At the same moment -----------------------------------------------------------------------------------------


def test_content_that_comes_back_during_the_sweep_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between choosing and deleting, somebody brings the very content that was chosen."""
    contents = [b"one", b"two"]
    keys = {store_chunks([content]).storage_key: content for content in contents}
    mark_unreferenced(now=NOW)
    real = FileSystemBlobStorage.delete

    def delete(storage: FileSystemBlobStorage, name: str) -> None:
        real(storage, name)
        for key, content in keys.items():
            if key != name:
                assert store_chunks([content]).storage_key == key

    monkeypatch.setattr(FileSystemBlobStorage, "delete", delete)
    assert len(list(collect_blobs(now=NOW + DAY))) == 1
    left = Blob.objects.get()
    assert content_of(blob_storage(), left.storage_key) == keys[left.storage_key]


@pytest.mark.django_db(transaction=True)
def test_files_are_linked_while_their_content_is_swept(owner: User, drive: Drive) -> None:
    """Whoever brings a content gets it: the old blob is spared, or the bytes are stored anew. Nothing dangles."""
    contents = [os.urandom(50) for _number in range(60)]
    for content in contents:
        store_chunks([content])
    mark_unreferenced(now=NOW)

    def act(number: int) -> int:
        if number == 0:
            return len(list(collect_blobs(now=NOW + DAY)))
        for place, content in enumerate(contents):
            if place % 3 == number - 1:
                put(owner, f"/{place}", content)
        return 0

    swept = sum(race(4, act))
    assert File.objects.count() == len(contents)
    for file in File.objects.select_related("blob"):
        assert content_of(blob_storage(), file.blob.storage_key) == contents[int(file.name)]
    assert Blob.objects.count() == len(contents)
    stored = {found.key for found in blob_storage().objects()}
    assert {blob.storage_key for blob in Blob.objects.all()} <= stored
    assert 0 <= swept <= len(contents)


@pytest.mark.django_db(transaction=True)
def test_whoever_brings_many_contents_is_not_waited_for(owner: User) -> None:
    """Both would hold some, and wait for the rest."""
    free, brought = (store_chunks([content]) for content in (b"free", b"brought"))

    def bring() -> None:
        mark_known([Digests(brought.size, str(brought.sha256), crc32=0)])

    overtake(bring, lambda: mark_unreferenced(now=NOW))
    assert list(Blob.objects.filter(unreferenced_at=NOW)) == [free]


def test_a_row_that_somebody_has_is_left_for_the_next_time(
    monkeypatch: pytest.MonkeyPatch, owner: User
) -> None:
    """The second look, under the lock, is the one that counts."""
    blob = store_chunks([b"content"])
    mark_unreferenced(now=NOW)
    real = garbage.delete_blob

    def link_first(found: Blob, now: datetime) -> bool:
        put(owner, "/x", b"content")
        return real(found, now)

    monkeypatch.setattr(garbage, "delete_blob", link_first)
    assert list(collect_blobs(now=NOW + DAY)) == []
    assert File.objects.get().blob == blob
    assert content_of(blob_storage(), blob.storage_key) == b"content"


@pytest.mark.django_db(transaction=True)
def test_the_row_goes_first_and_the_object_after_the_commit(choose: Choose, oss: OSSServer) -> None:
    """Where the bucket fails in between, an object without a row is left. It harms nobody, and fsck finds it."""
    storage = choose("oss")
    blob = store_chunks([b"loose"])
    mark_unreferenced(now=NOW)
    oss.faults += [("DeleteObject", "unavailable")] * 2
    with pytest.raises(StorageError, match="ServiceUnavailable"):
        list(collect_garbage(now=NOW + DAY))
    assert not Blob.objects.exists()
    assert [found.key for found in storage.objects()] == [blob.storage_key]
    oss.faults += [("ListMultipartUploads", "unavailable")] * 2
    with pytest.raises(CommandError, match="ServiceUnavailable"):
        call_command("collect_garbage")


# --- Uploads that nobody finishes -------------------------------------------------------------------------------


def test_staged_bytes_that_no_open_upload_has_are_discarded(owner_api: Client, drive: Drive) -> None:
    storage = blob_storage()
    for path in storage.staging_path("").iterdir():
        path.unlink()
    (sender,) = begin(owner_api, announced("/big", b"x" * 10))
    upload_id = sender.start().json()["upload_id"]
    old = (NOW - DAY - timedelta(seconds=60)).timestamp()
    for name in ("old", "young"):
        storage.open_staging(name)
    os.utime(storage.staging_path("old"), (old, old))
    # An upload that is paused may rest for weeks.
    os.utime(storage.staging_path(upload_id), (old, old))
    assert [found.key for found in collect_garbage(now=NOW)] == ["old"]
    assert {path.name for path in storage.staging_path("").iterdir()} == {"young", upload_id}
    sender.abort()
    storage.discard("young")


def test_stale_uploads_into_the_bucket_are_aborted(bucket: BucketStorage) -> None:
    upload_id = bucket.start_parts("ab/stale")
    later = timezone.now() + DAY + timedelta(seconds=1)
    assert list(collect_garbage(now=later, dry_run=True)) == [Garbage(Kind.UPLOAD, "ab/stale", 0)]
    assert [found.upload_id for found in bucket.open_uploads()] == [upload_id]
    assert list(collect_garbage(now=later)) == [Garbage(Kind.UPLOAD, "ab/stale", 0)]
    assert list(bucket.open_uploads()) == []


def test_young_uploads_into_the_bucket_go_on(choose: Choose, oss: OSSServer) -> None:
    storage = choose("oss")
    assert isinstance(storage, BucketStorage)
    storage.start_parts("ab/young")
    assert list(collect_garbage(now=timezone.now() + DAY - timedelta(seconds=60))) == []
    assert len(list(storage.open_uploads())) == 1


@pytest.mark.django_db(transaction=True)
def test_swept_content_leaves_a_bucket_empty(choose: Choose, oss: OSSServer) -> None:
    choose("oss")
    for number in range(5):
        store_chunks([b"%d" % number])
    mark_unreferenced(now=NOW)
    oss.page_size = 2
    assert len(list(collect_garbage(now=NOW + DAY))) == 5
    assert stored_names(oss) == []
