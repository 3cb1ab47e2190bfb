"""/dav/ under clients that mean harm: each gets a code, little is read or held for it, and nothing has changed."""

import tracemalloc

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from common.errors import TooLarge
from drives.dav import locks, properties, views
from drives.dav.bodies import MAX_SIZE, whole
from drives.dav.server import MAX_LOCK_BODY
from drives.models import Drive, DriveMember, File
from tests.drives.dav import LOCK, Dav
from tests.factories import put

pytestmark = pytest.mark.django_db
MIB = 2**20


@pytest.fixture
def dav(owner: User, drive: Drive) -> Dav:
    Drive.objects.filter(pk=drive.pk).update(name="d")
    found = Dav(owner)
    found("OPTIONS", "/")  # its first use is written down
    return found


def fill(owner: User, drive: Drive, count: int) -> None:
    first = put(owner, "/many/first", b"x")
    names = (f"{count}-{number:06}" for number in range(count))
    rows = (File(drive=drive, folder=first.folder, name=name, blob=first.blob, size=1) for name in names)
    File.objects.bulk_create(rows, batch_size=2000)


@pytest.mark.parametrize("headers", [{"Depth": "infinity"}, {"Depth": "Infinity"}, {"Depth": ""}])
def test_who_asks_for_everything_costs_a_sign_in(dav: Dav, headers: dict[str, str]) -> None:
    with CaptureQueriesContext(connection) as queries:
        answer = dav("PROPFIND", "/d", **headers)
    assert answer.status_code in (400, 403)
    assert len(queries) == 1, queries.captured_queries


def test_a_large_folder_is_not_held_in_memory(
    dav: Dav, owner: User, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (properties, views):
        monkeypatch.setattr(module, "IN_MEMORY", 2**16)
    fill(owner, drive, 10_000)
    dav("PROPFIND", "/d/many", Depth="1")  # plans are made
    tracemalloc.start()
    answer = dav("PROPFIND", "/d/many", Depth="1")
    size = sum(map(len, answer.streaming_content))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status_code, str(size)) == (207, answer["Content-Length"])
    assert peak < 3 * MIB < 4 * MIB < size


def test_an_answer_has_an_end(dav: Dav, owner: User, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of nothing are cheap to ask for and are answered for each file."""
    fill(owner, drive, 50)
    monkeypatch.setattr(properties, "MAX_ANSWER", 100_000)
    assert dav("PROPFIND", "/d/many", Depth="1").status_code == 207
    names = "".join(f"<x{number}{'y' * 100}/>" for number in range(100))
    body = f'<D:propfind xmlns:D="DAV:"><D:prop>{names}</D:prop></D:propfind>'
    assert dav("PROPFIND", "/d/many", body, Depth="1").status_code == 507


def test_of_a_body_without_end_little_is_read() -> None:
    asked = []

    def read(size: int) -> bytes:
        asked.append(size)
        return b" " * size

    with pytest.raises(TooLarge):
        whole(read)
    assert sum(asked) <= 2 * MAX_SIZE


@pytest.mark.parametrize("told", ["soon", "1e3", "-5", "9" * 5000, "²"])
def test_a_length_that_is_none(dav: Dav, told: str) -> None:
    # Without a length of HTTP's, as a body in chunks comes.
    answer = dav("PUT", "/d/a.bin", X_Expected_Entity_Length=told)
    assert answer.status_code == 400
    assert not File.objects.exists()


@pytest.mark.parametrize("asked", ["([", "(<", "(<opaquelocktoken:none>)", '(["other"])'])
def test_conditions_of_properties(dav: Dav, owner: User, asked: str) -> None:
    put(owner, "/a.txt", b"x")
    assert dav("PROPFIND", "/d/a.txt", If=asked).status_code in (207, 412)


def test_what_is_said_of_a_lock_is_short(dav: Dav) -> None:
    long = LOCK.replace("me", "x" * MAX_LOCK_BODY)
    assert dav("LOCK", "/d/new.txt", long).status_code == 413
    assert not File.objects.exists()


def test_locks_of_a_drive_have_an_end(dav: Dav, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    put(owner, "/a.txt", b"x")
    monkeypatch.setattr(locks, "MAX_LOCKS", 1)
    assert dav("LOCK", "/d/a.txt", LOCK).status_code == 200
    put(owner, "/b.txt", b"x")
    assert dav("LOCK", "/d/b.txt", LOCK).status_code == 507
    assert dav("LOCK", "/d/new.txt", LOCK).status_code == 507
    assert set(File.objects.values_list("name", flat=True)) == {"a.txt", "b.txt"}


def test_nothing_is_made_in_a_folder_that_another_holds(
    dav: Dav, owner: User, stranger: User, drive: Drive
) -> None:
    put(owner, "/in/a.txt", b"x")
    DriveMember.objects.create(drive=drive, user=stranger, role="editor")
    assert dav("LOCK", "/d/in", LOCK).status_code == 200
    other = Dav(stranger)
    assert other("LOCK", f"/{drive.pk}/in/new.txt", LOCK).status_code == 423
    assert other("MKCOL", f"/{drive.pk}/in/new").status_code == 423
    assert set(File.objects.values_list("name", flat=True)) == {"a.txt"}
