"""fsck: database and storage, compared both ways."""

import json
import os
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.models import User
from drives.models import Blob
from drives.services import fsck
from drives.services.blobs import store_chunks
from drives.services.fsck import Finding, Kind, Tally, check_storage, confirmed, delete_orphan
from drives.signals import uploads_in_use
from drives.storage import BlobStorage, StorageError, blob_storage, new_key
from tests.drives.storages import Choose, content_of, keep
from tests.factories import put
from tests.standins.oss import OSSServer

pytestmark = pytest.mark.django_db
GRACE = timedelta(hours=24)


@pytest.fixture(params=["filesystem", "oss"])
def storage(request: pytest.FixtureRequest, choose: Choose) -> BlobStorage:
    if request.param == "oss":
        request.getfixturevalue("oss").page_size = 3
    return choose(request.param)


def found(now: datetime | None = None, **options: Any) -> list[Finding]:
    return list(check_storage(now=now or timezone.now() + GRACE, **options))


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    out = StringIO()
    try:
        call_command("fsck_storage", *arguments, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_where_both_agree_nothing_is_found(owner: User, storage: BlobStorage) -> None:
    for number in range(7):
        put(owner, f"/{number}", b"%d" % number)
    store_chunks([b""])
    tally = Tally()
    assert found(deep=True, tally=tally) == []
    assert (tally.blobs, tally.objects, dict(tally.found)) == (8, 8, {})
    assert run("--deep") == (0, "8 blobs, 8 objects: 0 missing, 0 orphaned, 0 altered; 0 deleted\n")


def test_a_row_without_its_object_is_missing(storage: BlobStorage) -> None:
    blobs = [store_chunks([b"%d" % number]) for number in range(5)]
    for blob in blobs[1:4]:
        storage.delete(blob.storage_key)
    expected = sorted((blob.storage_key, blob.pk) for blob in blobs[1:4])
    assert [(f.kind, f.key, f.size, f.blob_id) for f in found()] == [
        (Kind.MISSING, key, 1, pk) for key, pk in expected
    ]
    assert run()[0] == 1


def test_an_object_without_a_row_is_orphaned_once_it_is_old(storage: BlobStorage) -> None:
    """A young one may be on its way to its row: the object comes first."""
    kept, keys = store_chunks([b"kept"]), sorted(keep(storage, b"orphan") for _number in range(4))
    assert found(timezone.now()) == []
    assert found(timezone.now() + GRACE - timedelta(seconds=60)) == []
    assert found() == [Finding(Kind.ORPHANED, key, 6) for key in keys]
    assert storage.exists(kept.storage_key)


def test_an_object_of_another_size_is_altered(storage: BlobStorage) -> None:
    blob, same = store_chunks([b"content"]), store_chunks([b"same"])
    keep(storage, b"cut", blob.storage_key)
    assert found() == [Finding(Kind.ALTERED, blob.storage_key, 3, blob.pk, "7 bytes expected")]
    assert storage.exists(same.storage_key)


def test_other_bytes_of_the_same_size_show_only_to_the_deep_look(storage: BlobStorage) -> None:
    blob = store_chunks([b"content"])
    unverified = Blob.objects.create(size=7, storage_key=keep(storage, b"unknown"))
    keep(storage, b"CONTENT", blob.storage_key)
    assert found() == []
    (finding,) = found(deep=True)
    assert (finding.kind, finding.key, finding.blob_id) == (Kind.ALTERED, blob.storage_key, blob.pk)
    assert finding.detail.startswith(f"SHA-256 {blob.sha256} expected, ")
    keep(storage, b"shorter", unverified.storage_key)
    assert len(found(deep=True)) == 1


def test_a_lost_file_system_is_told_completely(choose: Choose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsck, "BATCH", 3)
    monkeypatch.setattr(fsck, "ROWS", 2)
    storage = choose("filesystem")
    blobs = [store_chunks([b"%d" % number]) for number in range(10)]
    for blob in blobs:
        storage.delete(blob.storage_key)
    orphans = [keep(storage, b"x") for _number in range(10)]
    expected = sorted([blob.storage_key for blob in blobs] + orphans)
    assert [finding.key for finding in found()] == expected


# --- Both sides change while they are read -----------------------------------------------------------------------


def test_what_has_changed_meanwhile_is_no_finding(storage: BlobStorage) -> None:
    landed, gone, back = store_chunks([b"landed"]), new_key(), store_chunks([b"back"])
    lost = store_chunks([b"lost"])
    storage.delete(lost.storage_key)
    suspected = [
        Finding(Kind.ORPHANED, landed.storage_key, 6),  # its row came after the rows were read
        Finding(Kind.MISSING, gone, 5, None),  # the row was swept
        Finding(Kind.ALTERED, gone, 5, None),
        Finding(Kind.MISSING, back.storage_key, 4, back.pk),  # its object came after the listing
        Finding(Kind.MISSING, lost.storage_key, 4, lost.pk),
    ]
    assert list(confirmed(suspected)) == suspected[4:]


@pytest.mark.parametrize("known_by", ["key", "staging id"])
def test_what_an_open_upload_needs_is_no_orphan(storage: BlobStorage, known_by: str) -> None:
    """One that goes straight to the bucket knows its key, another one only the id of the bytes it has kept."""
    needed, orphan = keep(storage, b"needed"), keep(storage, b"orphan")

    def answer(sender: Any, ids: set[str], **kwargs: Any) -> set[str]:
        return ids & {needed if known_by == "key" else needed.rpartition("/")[2]}

    uploads_in_use.connect(answer)
    try:
        assert [finding.key for finding in found()] == [orphan]
    finally:
        uploads_in_use.disconnect(answer)


def test_a_repair_looks_once_more(storage: BlobStorage) -> None:
    blob = store_chunks([b"content"])
    assert not delete_orphan(Finding(Kind.ORPHANED, blob.storage_key, 7))
    assert not delete_orphan(Finding(Kind.ALTERED, blob.storage_key, 7, blob.pk))
    assert content_of(storage, blob.storage_key) == b"content"


# --- The command ------------------------------------------------------------------------------------------------


@pytest.fixture
def broken(storage: BlobStorage, settings: Any) -> dict[Kind, str]:
    """One finding of each kind; the keys."""
    settings.BLOB_GRACE = timedelta(seconds=-5)  # what is young is old
    missing, altered, orphan = (
        store_chunks([b"missing"]),
        store_chunks([b"altered"]),
        keep(storage, b"orphan"),
    )
    store_chunks([b"fine"])
    storage.delete(missing.storage_key)
    keep(storage, b"other", altered.storage_key)
    return {Kind.MISSING: missing.storage_key, Kind.ALTERED: altered.storage_key, Kind.ORPHANED: orphan}


def test_the_report_in_lines(broken: dict[Kind, str]) -> None:
    lines = {
        broken[Kind.MISSING]: f"missing  {broken[Kind.MISSING]} 7 bytes",
        broken[Kind.ALTERED]: f"altered  {broken[Kind.ALTERED]} 5 bytes 7 bytes expected",
        broken[Kind.ORPHANED]: f"orphaned {broken[Kind.ORPHANED]} 6 bytes",
    }
    sums = "3 blobs, 3 objects: 1 missing, 1 orphaned, 1 altered; 0 deleted"
    code, out = run()
    assert (code, out.splitlines()) == (1, [*(lines[key] for key in sorted(lines)), sums])


def test_the_report_as_json(broken: dict[Kind, str]) -> None:
    code, out = run("--json")
    report = json.loads(out)
    assert code == 1
    assert {kind: report[kind] for kind in Kind} == dict.fromkeys(Kind, 1)
    assert (report["blobs"], report["objects"], report["deleted"]) == (3, 3, 0)
    assert {entry["kind"]: entry["key"] for entry in report["findings"]} == broken
    (orphan,) = (entry for entry in report["findings"] if entry["kind"] == "orphaned")
    assert orphan == {
        "kind": "orphaned",
        "key": broken[Kind.ORPHANED],
        "size": 6,
        "blob_id": None,
        "detail": "",
        "deleted": False,
    }
    Blob.objects.all().delete()
    for stored in blob_storage().objects():
        blob_storage().delete(stored.key)
    code, out = run("--json")
    assert (code, json.loads(out)["findings"]) == (0, [])


def test_a_repair_deletes_orphans_alone(storage: BlobStorage, broken: dict[Kind, str]) -> None:
    code, out = run("--repair")
    assert code == 1
    assert f"orphaned {broken[Kind.ORPHANED]} 6 bytes deleted" in out.splitlines()
    assert out.splitlines()[-1] == "3 blobs, 3 objects: 1 missing, 1 orphaned, 1 altered; 1 deleted"
    assert not storage.exists(broken[Kind.ORPHANED])
    assert content_of(storage, broken[Kind.ALTERED]) == b"other"
    assert Blob.objects.count() == 3
    code, out = run("--repair")
    assert (code, out.splitlines()[-1]) == (
        1,
        "3 blobs, 2 objects: 1 missing, 0 orphaned, 1 altered; 0 deleted",
    )


def test_nothing_stays_open_where_it_stops(choose: Choose, oss: OSSServer) -> None:
    """A cursor that is closed late is closed in somebody else's transaction, which is spoilt then."""
    choose("oss")
    store_chunks([b"content"])
    oss.faults += [("ListObjects", "unavailable")] * 2
    with pytest.raises(StorageError) as error:
        found()
    assert error.value is not None  # and with it the frames that it passed through
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_cursors WHERE name LIKE '\\_django%'")
        assert cursor.fetchone() == (0,)


def test_a_storage_that_fails_is_an_error_and_no_finding(choose: Choose, oss: OSSServer) -> None:
    choose("oss")
    store_chunks([os.urandom(10)])
    oss.faults += [("ListObjects", "unavailable")] * 2
    with pytest.raises(CommandError, match="ServiceUnavailable") as error:
        run()
    assert error.value.returncode == 2
    assert Blob.objects.count() == 1
